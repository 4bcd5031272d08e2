"""Shifted images in files of their own: to a virtual site they are what its scanner made.

Being other bytes, they have other digests, so everything that a site keeps of an image (front
activations, features, colours, verdicts) is kept of the shifted one apart. The site itself runs the
code that a hospital runs and knows of no shift.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from client.data.parallel import ROOM, in_order
from common.digests import digest_value
from common.errors import DataError
from common.imaging.decode import decode
from common.whole_file import write_whole
from server.progress import Watch
from simulations.partition_file import SOURCE, Row
from simulations.shift import VERSION, Shift, encoded

_AS_IT_IS = "as-it-is"


def shifted_rows(
    rows: Sequence[Row], shifts: Mapping[str, Shift], digests: Sequence[str]
) -> list[Row]:
    """Name for each divided row the file of its shifted image, and its own under `source`.

    The file's name holds the settings' digest and the image's: other settings, or another image of
    the same path, are another file. Rows of sites without a shift get copies, for all images of a
    run lie below one folder.

    Args:
        rows: with a site.
        shifts: by site.
        digests: of each row's image.
    """
    named = []
    for row, digest in zip(rows, digests, strict=True):
        shift = shifts.get(row["site"])
        place = _AS_IT_IS if shift is None else _name(shift)
        suffix = Path(row["path"]).suffix
        if shift is not None:
            suffix = ".png" if shift.jpeg is None else ".jpg"
        path = f"{place}/{row['path']}.{digest[:12]}{suffix}"
        named.append({**row, "path": path, SOURCE: row["path"]})
    return named


def write_shifted(
    rows: Sequence[Row], shifts: Mapping[str, Shift], images: Path, folder: Path, watch: Watch
) -> None:
    """Write the files that `shifted_rows` named, those that are there already left out.

    Raises:
        DataError: an image cannot be read or written.
    """
    missing = [row for row in rows if not (folder / row["path"]).is_file()]
    work = partial(_write, shifts=shifts, images=images, folder=folder)
    for done, _ in enumerate(in_order(work, missing), start=1):
        watch.work("shifted images", done, len(missing))


def _write(row: Row, shifts: Mapping[str, Shift], images: Path, folder: Path) -> None:
    source, target = images / row[SOURCE], folder / row["path"]
    shift = shifts.get(row["site"])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        data = source.read_bytes()
        if shift is not None:
            with ROOM.for_image(data):
                data = encoded(decode(data), shift)
        write_whole(target, data)
    except OSError as error:
        raise DataError(
            f"a shifted image cannot be written: {error.strerror}",
            fix="make room on the disk of the cache folder, or name another by --cache",
            local_detail=f"{source} to {target}: {error}",
        ) from error


def _name(shift: Shift) -> str:
    return f"shift-{digest_value([VERSION, shift.model_dump(mode='json')])[:12]}"
