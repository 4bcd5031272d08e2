"""`leukofed-sim partition`: who gets which images, written to a file that can be used again."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from common.commands import plain_errors

if TYPE_CHECKING:
    from simulations.partition_file import Row


@click.command()
@click.argument("scenario")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the dataset that the scenario names.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE.csv",
    help="Write path, label, site and split of every image there.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw classes and colours of each site there.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/cache"),
    show_default=True,
    help="Folder in which generated smears are kept.",
)
@plain_errors
def partition(
    scenario: str, data: Path | None, out: Path, picture: Path | None, cache: Path
) -> None:
    """Divide the images of SCENARIO among its sites, without running it.

    A scenario that says `partition: {by: file, file: FILE.csv}` uses the division again, with
    whatever seed. The same division has the same SHA-256, which every run tells in its report.
    Labels in the file, and the bars, are the true ones; colours are those of shifted images.

    \b
    Examples:
      leukofed-sim partition synthetic --out sites.csv --picture sites.png
      leukofed-sim partition taleqani-3-sites --data DIR --out sites.csv
    """  # noqa: D301 - click reads \b as "do not wrap"
    from common.digests import digest_bytes
    from common.whole_file import write_whole
    from server.progress import progress_for
    from simulations.partition_file import partition_csv
    from simulations.partition_picture import draw_partition
    from simulations.prepare import Places, dataset, divided, images_of
    from simulations.scenario import load_scenario
    from simulations.telling import site_colours

    found, study = load_scenario(scenario)
    places, console = Places(data, None, out.parent, cache), Console()
    with progress_for(console) as watch:
        manifest = dataset(found, places, watch)
        images = images_of(found, places, manifest)
        watch.phase("dividing images", 1)
        rows = divided(found, study, images, manifest)
        text = partition_csv(rows)
        try:
            write_whole(out, text)
        except OSError as error:
            raise click.ClickException(f"{out} cannot be written: {error.strerror}") from error
        if picture is not None:
            watch.phase("looking at colours", 1)
            colours = site_colours(rows, images, found.shifts)
            draw_partition(rows, colours, study.labels.classes, picture)
    console.print(_table(rows, study.sites, study.labels.classes))
    console.print(f"sha256: {digest_bytes(text)}", highlight=False, soft_wrap=True)


def _table(rows: Sequence["Row"], sites: Sequence[str], classes: Sequence[str]) -> Table:
    """Lay out the images of every site, part and class."""
    from client.data.splits import PARTS

    counts = Counter((row["site"], row["split"], row["label"]) for row in rows)
    table = Table(box=None, pad_edge=False)
    for name in ("site", "part"):
        table.add_column(name)
    for name in (*classes, "images"):
        table.add_column(name, justify="right")
    for site in sites:
        for part in PARTS:
            cells = [counts[site, part, name] for name in classes]
            shown = site if part == PARTS[0] else ""
            table.add_row(shown, part, *map(str, cells), str(sum(cells)))
    return table
