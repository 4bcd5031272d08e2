"""`leukofed-site manifest`: a manifest from a folder of images, by its layout or by a table."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from client.cli.options import SITE
from client.cli.watched import watched
from common.commands import plain_errors
from common.errors import DataError
from common.plain_text import plain
from common.study.data import GROUP_ORDER, GroupColumn

if TYPE_CHECKING:
    from client.data.inventory import Inventory

_SHOWN = 10
_LAYOUTS = ("auto", "taleqani", "taleqani-copy", "c-nmc", "all-idb", "pbc", "fab", "class-folders")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The manifest to write, above all images.  [default: FOLDER/manifest.csv]",
)
@click.option(
    "--layout",
    type=click.Choice(_LAYOUTS),
    default="auto",
    show_default=True,
    help="How the images lie; auto recognises public datasets, and takes others for class folders.",
)
@click.option(
    "--subfolder",
    type=click.Choice(GROUP_ORDER),
    help="What a folder inside a class folder stands for, if anything.",
)
@click.option(
    "--table",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A table of the laboratory's system that names images and labels: .csv or .xlsx.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="OURS=THEIRS,...",
    help="What the table calls the manifest's columns.  [default: path=path,label=label]",
)
@SITE
@plain_errors
def manifest(
    folder: Path,
    out: Path | None,
    layout: str,
    subfolder: GroupColumn | None,
    table: Path | None,
    columns: tuple[str, ...],
    site: Path,
) -> None:
    """Write a manifest of the images in FOLDER.

    Public datasets are recognised by how they lie on disk. Any other folder holds one folder per
    class, whose name becomes the label of its images; what a label stands for in a study, you say
    in the site file (`labels`). Add a column `patient` wherever your records tell the patient:
    without it, images of one patient may stand on both sides of a split.

    With --table, a table of your laboratory's system tells labels and patients. It names each
    image by its file name, or by folders and file name. What it says in patient, slide,
    stain_cluster and field becomes a pseudonym, made with a key in the site's folder (--site),
    and so does the patient that a DICOM file names. Who has that key can undo it: guard it.

    Nothing leaves this machine.

    Example: leukofed-site manifest /data/smears --subfolder patient

    Example: leukofed-site manifest /data/smears --table export.xlsx --columns
    path=File,label=Diagnosis,patient=MRN --site /var/lib/leukofed
    """
    from client.data.inventory import by_layout, by_table
    from client.data.layouts.layout import open_folder
    from client.data.pseudonyms import site_key
    from client.site_folder import SiteFolder

    names = _column_names(columns)
    if columns and table is None:
        raise click.UsageError("--columns goes with --table")
    if table is not None and (layout != "auto" or subfolder):
        raise click.UsageError("--table tells the labels: leave out --layout and --subfolder")
    place = out or folder / "manifest.csv"
    if place.exists():
        raise DataError(
            "the manifest exists already",
            fix="move it away, or write another one with --out",
            local_detail=str(place),
        )
    key = cache(lambda: site_key(SiteFolder(site)))
    with watched(Console(stderr=True)) as watch:
        opened = open_folder(folder, watch)
        if table is None:
            made = by_layout(opened, layout, subfolder, place.parent, key)
        else:
            made = by_table(opened, table, names, place.parent, key)
    try:
        place.write_text(made.listing.text, encoding="utf-8")
        report = _left_out(made, place)
    except OSError as error:
        raise DataError(
            f"the manifest cannot be written ({type(error).__name__})",
            fix="make room, let this user write there, or name another file above the images with "
            "--out",
            local_detail=str(error),
        ) from error
    _tell(made, place, report)


def _column_names(columns: Sequence[str]) -> dict[str, str]:
    names = {"path": "path", "label": "label"}
    given: list[str] = []
    for pair in (pair for text in columns for pair in text.split(",")):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (equals and theirs and re.fullmatch(r"[a-z][a-z0-9_]*", ours)):
            raise click.UsageError(f"--columns: write OURS=THEIRS, not {pair!r}")
        given.append(ours)
        names[ours] = theirs
    if len(set(given)) < len(given):
        raise click.UsageError("--columns: a column is named twice")
    return names


def _left_out(made: "Inventory", place: Path) -> Path | None:
    """List beside the manifest what it does not hold, if there is anything."""
    if not made.left_out:
        return None
    report = place.with_name(f"{place.stem}.left-out.csv")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("why", "what"), *made.left_out])
    report.write_text(text.getvalue(), encoding="utf-8", errors="backslashreplace")
    return report


def _tell(made: "Inventory", place: Path, report: Path | None) -> None:
    listing = made.listing
    for line in made.told:
        click.echo(plain(line))
    for label, images in listing.labels.items():
        click.echo(f"{images:7d} images of {plain(label) or '(no label)'}")
    total = sum(listing.labels.values())
    for column, filled in listing.filled.items():
        if 0 < filled < total:
            click.echo(f"{filled:7d} of {total} images have a {column}: unless all have, it is "
                       "not used to group them")  # fmt: skip
    if listing.others:
        click.echo(f"{listing.others:7d} other files left out")
    for why, number in Counter(why for why, _ in made.left_out).items():
        click.echo(f"{number:7d} x left out: {why}")
        listed = [what for reason, what in made.left_out if reason == why]
        for what in listed[:_SHOWN]:
            click.echo(f"          {plain(what)}")
    if report is not None:
        click.echo(f"All that was left out: {report}")
    click.echo(f"Written to {place}")
