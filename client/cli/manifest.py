"""`leukofed-site manifest`: a manifest from a tree of class folders."""

from pathlib import Path

import click

from common.commands import plain_errors
from common.errors import DataError
from common.study.data import GROUP_ORDER, GroupColumn


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The manifest to write, above all images.  [default: FOLDER/manifest.csv]",
)
@click.option(
    "--subfolder",
    type=click.Choice(GROUP_ORDER),
    help="What a folder inside a class folder stands for, if anything.",
)
@plain_errors
def manifest(folder: Path, out: Path | None, subfolder: GroupColumn | None) -> None:
    """Write a manifest of the images in FOLDER, one folder per class.

    A class folder's name becomes the label of its images; it must be a class of the study. Add
    a column `patient` wherever your records tell the patient (any code will do): without it,
    images of one patient may stand on both sides of a split.

    Example: leukofed-site manifest /data/smears --subfolder patient
    """
    from client.data.folders import manifest_from_folders

    place = out or folder / "manifest.csv"
    if place.exists():
        raise DataError(
            "the manifest exists already",
            fix="move it away, or write another one with --out",
            local_detail=str(place),
        )
    found = manifest_from_folders(folder, relative_to=place.parent, subfolder=subfolder)
    place.write_text(found.text, encoding="utf-8")
    for label, images in found.labels.items():
        click.echo(f"{images:7d} images of {label}")
    if found.skipped:
        click.echo(f"{found.skipped:7d} other files left out")
    click.echo(f"Written to {place}")
