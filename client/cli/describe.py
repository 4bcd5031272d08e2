"""`leukofed-site describe`: what a site's images are, in tables and pictures."""

from pathlib import Path

import click
from rich.console import Console

from client.cli.options import SITE
from common.commands import plain_errors


@click.command()
@click.argument("manifest", required=False, type=click.Path(dir_okay=False, path_type=Path))
@SITE
@click.option(
    "--study",
    "study_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take classes, groups and parts of this study or proposal.",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the table there too, a line per class and part.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw the table there, as bars.",
)
@click.option(
    "--samples",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw six images of each class there. They are patients' images: keep the file here.",
)
@plain_errors
def describe(
    manifest: Path | None,
    site: Path,
    study_file: Path | None,
    csv_file: Path | None,
    picture: Path | None,
    samples: Path | None,
) -> None:
    """Count this site's images, or those of MANIFEST: per class and part, groups, shares.

    Told besides: what groups the images, sizes, formats, and what a study would leave out and
    why. Every image is read; nothing leaves this machine, and nothing of the site is changed.

    Parts are those of the manifest's column `split`; with --study, those that the study draws at
    this site. Shares are of the part's images; in the last row, of all images.

    \b
    Examples:
      leukofed-site describe --site /var/lib/leukofed --study proposal.yaml
      leukofed-site describe /data/smears/manifest.csv --csv table.csv --picture table.png
    """  # noqa: D301 - click reads \b as "do not wrap"
    from client.data.account import Wanted, by_part, show
    from client.doctor.images import fitting, listed
    from client.site_config import Cache, Images, SiteConfig, load_site_config
    from client.site_folder import SiteFolder
    from common.study.schema import load_study

    study = None if study_file is None else load_study(study_file)
    if manifest is None:
        config = load_site_config(SiteFolder(site).site_file)
    else:
        nowhere = manifest.parent / "none"
        config = SiteConfig(
            name="none", images=Images(manifest=manifest), state=nowhere,
            cache=Cache(folder=nowhere),
        )  # fmt: skip
    if study is None:
        found, classes = listed(config)
    else:
        found, classes = fitting(config, study), study.labels.classes
    name = config.name if manifest is None else None
    show(
        found, classes, lambda examples: by_part(examples, study, name),
        Wanted(csv_file, picture, samples), Console(),
    )  # fmt: skip
