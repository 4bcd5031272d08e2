"""`leukofed-site suspects`: labels that the images themselves contradict."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from client.cli.options import SITE
from client.cli.watched import watched
from common.commands import plain_errors
from common.errors import ConfigError

if TYPE_CHECKING:
    from client.site_config import SiteConfig
    from client.site_folder import SiteFolder
    from common.study.schema import Study

_SHOWN = 20


@click.command()
@SITE
@click.option(
    "--study",
    metavar="STUDY",
    help="Whose classes, preparation and backbones to use: a file, or the name of an approved "
    "one.  [default: the approved one, if there is one only]",
)
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Where the contact sheet goes.  [default: state/suspects.png of the site]",
)
@click.option(
    "--list",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Write every suspect image with its label and what was predicted.",
)
@plain_errors
def suspects(site: Path, study: str | None, sheet: Path | None, csv_file: Path | None) -> None:
    """Find images whose label is doubtful, for a physician to look at again.

    A logistic regression on the frozen features of the study's backbones predicts every image
    from images of other patients (or slides, ...). An image is suspect if its label is predicted
    with little probability and another class with much (`quality.suspect_given` and
    `suspect_other` of the site file). Many suspects have the right label and are hard, or come
    from a slide that looks like another class: look before you change anything, and never change
    a label because of this list alone.

    Activations that a study computed before are used again; else the first pass takes about half a
    second per image. It needs the cache for itself: stop the worker first. Contact sheet and list
    must stay in this hospital, and only their owner can read them. Nothing leaves it.

    Example: leukofed-site suspects --site /var/lib/leukofed --study trial
    """
    from client.cli.check import named_study
    from client.quality.examples import usable
    from client.quality.review import suspects_csv, suspects_table, suspects_tiles
    from client.quality.sheet import write_private, write_sheet
    from client.quality.suspects import doubts
    from client.site_config import SUSPECTS_SHEET, load_site_config
    from client.site_folder import SiteFolder

    folder = SiteFolder(site)
    config = load_site_config(folder.site_file)
    chosen = _only_study(config, folder) if study is None else named_study(study, config, folder)
    console = Console()
    with watched(console) as watch:
        examples, _ = usable(config, watch, chosen)
        found = doubts(config, chosen, examples, watch)
    click.echo(
        f"{len(found.suspects)} of {len(examples)} labels are suspect; {found.accuracy:.0%} are "
        f"predicted as they are, from other groups ({found.groups} in all)."
    )
    if not found.suspects:
        return
    root = config.images.root or config.images.manifest.parent
    classes = chosen.labels.classes
    console.print(suspects_table(found.suspects[:_SHOWN], examples, classes, root))
    if len(found.suspects) > _SHOWN:
        click.echo(f"and {len(found.suspects) - _SHOWN} more")
    if csv_file is not None:
        text = suspects_csv(found.suspects, examples, classes, root)
        write_private(csv_file, text.encode(), "--list")
        click.echo(f"Written to {csv_file}: it names patients' images and must stay here.")
    place = sheet or config.state / SUSPECTS_SHEET
    title = f"{len(found.suspects)} suspect labels: label -> predicted"
    write_sheet(place, title, suspects_tiles(found.suspects, examples, classes))
    click.echo(f"Contact sheet in {place}: it shows patients' images and must stay here.")


def _only_study(config: "SiteConfig", folder: "SiteFolder") -> "Study":
    from client.doctor.examination import approved_studies

    approved = approved_studies(config, folder)
    if len(approved) != 1:
        raise ConfigError(
            f"{len(approved)} studies are approved, and none is named",
            fix="name one with --study: a study's file, or an approved study",
        )
    return approved[0]
