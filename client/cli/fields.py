"""`leukofed-site fields`: which images show one field of a slide, so that no split parts them."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from client.cli.watched import watched
from common.commands import plain_errors
from common.errors import DataError

if TYPE_CHECKING:
    from client.data.fields.columns import Fields
    from client.data.manifest import Manifest

_FILE = click.Path(dir_okay=False, path_type=Path)
_USER_CACHE = Path("~/.cache/leukofed/fields")


@click.command()
@click.argument("manifest", type=_FILE)
@click.option("--pairs", type=_FILE, help="Write the pairs: path_a,path_b,inliers.")
@click.option("--out", type=_FILE, help="Write the manifest again, its column `field` filled.")
@click.option(
    "--sheet",
    type=_FILE,
    metavar="FILE.png",
    help="Draw the pairs with fewest agreeing keypoints, to look at; it stays on this machine.",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that image paths start at.  [default: the manifest's]",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where keypoints are kept; it may be deleted at any time.  "
    "[default: in SITE's cache, else ~/.cache/leukofed/fields]",
)
@click.option(
    "--site",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    metavar="DIR",
    help="The site's folder, whose cache is used if there is one.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Threads.  [default: one per core]")
@plain_errors
def fields(
    manifest: Path,
    pairs: Path | None,
    out: Path | None,
    sheet: Path | None,
    root: Path | None,
    cache: Path | None,
    site: Path,
    workers: int | None,
) -> None:
    """Find the images of MANIFEST that show overlapping parts of one slide, or are copies.

    Why it matters: cameras are moved a little and pressed again, so that many images of a set
    share cells. Where one of two such images is trained on and the other tested on, the model
    knows the answer, and the figures tell nothing of new patients: the images leak. A perceptual
    hash finds a tenth of such pairs. This command compares corners of the images (ORB keypoints)
    and asks for one turn, scale and shift that many of them agree on, mirrored or not.

    With --out, images that are joined by pairs get one value in the column `field`, and a column
    that is there already is joined, never thrown away. By default (`data.joined_by` of a study)
    a field keeps its images on one side of every split, also across patients.

    Twenty thousand images take minutes. An interruption loses nothing: start it again. Paths and
    pairs stay on this machine.

    Example: leukofed-site fields manifest.csv --out manifest-fields.csv --pairs pairs.csv
    """
    from client.data.fields.columns import fields_of, manifest_text, pairs_text
    from client.data.fields.finding import digested, find_pairs
    from client.data.fields.store import FieldStore
    from client.data.manifest import read_manifest, read_table

    _check_places(manifest, root, {"--pairs": pairs, "--out": out, "--sheet": sheet})
    rows = [row for _, row in read_table(manifest, {})]
    labels = tuple(sorted({row["label"] for row in rows}))
    listed = read_manifest(manifest, labels, root=root)
    store = FieldStore(cache or _cache_of(site))
    try:
        with watched(Console(stderr=True)) as watch:
            images = digested([example.image for example in listed.examples], watch, workers)
            found = find_pairs(images, store, watch, workers)
    finally:
        store.close()
    named = fields_of(listed.examples, found.pairs)
    if pairs is not None:
        pairs.write_text(pairs_text(found.pairs, root or manifest.parent), encoding="utf-8")
    if out is not None:
        out.write_text(manifest_text(rows, named), encoding="utf-8")
    if sheet is not None and found.pairs:
        import cv2

        from client.data.fields.sheet import contact_sheet

        cv2.imwrite(str(sheet), contact_sheet(found.pairs)[..., ::-1])
    _tell(listed, named, len(found.pairs), len(found.unreadable))
    for place in (pairs, out, sheet if found.pairs else None):
        if place is not None:
            click.echo(f"Written to {place}")


def _tell(listed: "Manifest", named: "Fields", pairs: int, unreadable: int) -> None:
    """Print what was found, and what an existing split column parts."""
    from client.data.fields.columns import mixed, straddling

    sizes = named.sizes
    click.echo(f"{pairs} pairs of images that overlap or are copies")
    click.echo(
        f"{len(sizes)} fields of {len(named.names)} images; {named.sharing} images share theirs "
        f"with another one; the largest holds {max(sizes.values())}"
    )
    if unreadable:
        click.echo(f"{unreadable} images cannot be decoded, and stand alone")
    by_field = tuple(
        dataclasses.replace(example, group=name)
        for example, name in zip(listed.examples, named.names, strict=True)
    )
    parted = straddling(by_field)
    if parted:
        click.echo(
            f"{len(parted)} fields ({sum(parted.values())} images) lie in more than one part of "
            "the manifest's split column: figures from this split are too good"
        )
    if doubtful := mixed(by_field):
        click.echo(f"{doubtful} fields hold images of more than one label: look at them")


def _cache_of(site: Path) -> Path:
    from client.site_config import load_site_config
    from client.site_folder import SiteFolder

    site_file = SiteFolder(site).site_file
    if site_file.is_file():
        return load_site_config(site_file).cache.folder / "fields"
    return _USER_CACHE.expanduser()


def _check_places(manifest: Path, root: Path | None, places: dict[str, Path | None]) -> None:
    """Refuse, before anything is computed, to overwrite a file or to break the paths in one."""
    there = [option for option, place in places.items() if place is not None and place.exists()]
    if there:
        raise DataError(
            f"the file of {' and '.join(there)} exists already",
            fix="move it away, or name another one",
            local_detail=", ".join(str(places[option]) for option in there),
        )
    out = places["--out"]
    if out is not None and root is None and out.parent.resolve() != manifest.parent.resolve():
        raise DataError(
            "the new manifest would lie in another folder than the one its paths start at",
            fix="write it beside MANIFEST, or say with --root where the paths start",
            local_detail=f"{out} and {manifest}",
        )
