"""`leukofed-site quality`: which images are unfit, and why."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from rich.console import Console

from client.cli.options import SITE
from client.cli.watched import watched
from common.commands import plain_errors

if TYPE_CHECKING:
    from client.site_config import SiteConfig

_WORST = 48


@click.command()
@click.argument(
    "manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False
)
@SITE
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Where the contact sheet goes.  [default: state/quality.png of the site; for a MANIFEST "
    "none is made]",
)
@click.option(
    "--worst",
    type=click.IntRange(min=1, max=400),
    default=_WORST,
    show_default=True,
    help="How many images the sheet shows, in turn of every reason.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write counts, and every flagged image with its reasons, as JSON.",
)
@plain_errors
def quality(
    manifest: Path | None, site: Path, sheet: Path | None, worst: int, json_file: Path | None
) -> None:
    """Find images that are unfit: out of focus, over-exposed, unstained, empty, marked, ...

    Looks at every image of the site, or of MANIFEST, and prints how many are flagged by each
    check, and from where on. Limits are settings of the site file (`quality`, see docs/site.md);
    with `quality.action: leave_out` images that are unfit are left out of every study. Labels are
    not looked at: `leukofed-site suspects` does that.

    The contact sheet shows the worst images, and the JSON file names them: only their owner can
    read them, and they must stay in this hospital. Nothing leaves it.

    Example: leukofed-site quality --site /var/lib/leukofed

    Example: leukofed-site quality /data/smears/manifest.csv --sheet worst.png
    """
    from client.site_config import QUALITY_SHEET, Cache, Images, SiteConfig, load_site_config
    from client.site_folder import SiteFolder

    if manifest is None:
        config = load_site_config(SiteFolder(site).site_file)
        _show(config, sheet or config.state / QUALITY_SHEET, worst, json_file)
        return
    with TemporaryDirectory(prefix="leukofed-") as place:
        folder = Path(place)
        config = SiteConfig(
            name="here", images=Images(manifest=manifest), state=folder, cache=Cache(folder=folder)
        )
        _show(config, sheet, worst, json_file)


def _show(config: "SiteConfig", sheet: Path | None, most: int, json_file: Path | None) -> None:
    from client.quality.examples import usable
    from client.quality.screen import summary, survey_json, table
    from client.quality.sheet import worst, write_private, write_sheet
    from client.quality.survey import survey

    console = Console()
    with watched(console) as watch:
        examples, unreadable = usable(config, watch)
        found = survey(
            examples, config.quality, config.cache.folder,
            progress=lambda done, of: watch("images measured", done, of),
        )  # fmt: skip
    console.print(table(found, config.quality))
    if unreadable:
        click.echo(f"{len(unreadable)} further images cannot be decoded.")
    click.echo(f"\n{summary(found, config.quality)}")
    if json_file is not None:
        root = config.images.root or config.images.manifest.parent
        write_private(json_file, survey_json(found, config.quality, root).encode(), "--json")
        click.echo(f"Written to {json_file}: it names patients' images and must stay here.")
    tiles = worst(found, most)
    if sheet is not None and tiles:
        title = f"{len(tiles)} of {sum(map(bool, found.flags))} flagged images"
        write_sheet(sheet, title, tiles)
        click.echo(f"Contact sheet in {sheet}: it shows patients' images and must stay here.")
