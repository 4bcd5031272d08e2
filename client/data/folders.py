"""A manifest from class folders, for a hospital whose tree is sorted by diagnosis."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client.data.places import check_names
from common.errors import DataError
from common.imaging.decode import IMAGE_SUFFIXES
from common.study.data import GroupColumn


@dataclass(frozen=True)
class FolderManifest:
    """The text of a manifest CSV, and what is in it."""

    text: str
    labels: Mapping[str, int]  # images per label
    skipped: int  # files that are no images, dotfiles apart


def manifest_from_folders(
    folder: Path, *, relative_to: Path | None = None, subfolder: GroupColumn | None = None
) -> FolderManifest:
    """List the images below class folders, the folders' names as labels, sorted by path.

    Files and folders whose names start with a dot are passed over; so are links to folders.

    Args:
        folder: holds one folder per class. Where it holds one folder only, and no image lies
            directly in that, this one is taken instead (archives are often packed so), unless
            `subfolder` is given.
        relative_to: where the manifest will lie, above every image; by default `folder`.
        subfolder: what a folder inside a class folder stands for, if anything; becomes that
            column, as the folder's path inside the class folder.

    Raises:
        DataError: the folder is missing, has no class folders with images, or images beside
            them; images lie outside `relative_to`; or a manifest cannot hold a name.
    """
    top = _class_level(folder, may_descend=subfolder is None)
    root = (relative_to or folder).resolve()
    files = [path for path in sorted(top.rglob("*")) if _is_listed(path, top)]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    loose = sum(path.parent == top for path in images)
    labels = Counter(path.relative_to(top).parts[0] for path in images if path.parent != top)
    if loose or not labels:
        raise DataError(
            f"{len(labels)} class folders with images, {loose} images beside them",
            fix="name a folder that holds one folder per class, and no image itself",
            local_detail=str(top),
        )
    if not top.resolve().is_relative_to(root):
        raise DataError(
            "the manifest would not lie above its images",
            fix="write it to the image folder or to a folder above it",
            local_detail=f"{root} is not above {top}",
        )
    check_names([path.relative_to(top) for path in images])
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "label", *([subfolder] if subfolder else [])])
    for path in images:
        inside = path.relative_to(top)
        cells = [(top.resolve() / inside).relative_to(root).as_posix(), inside.parts[0]]
        if subfolder:
            cells.append("/".join(inside.parts[1:-1]))
        table.writerow(cells)
    return FolderManifest(text.getvalue(), dict(sorted(labels.items())), len(files) - len(images))


def _class_level(folder: Path, *, may_descend: bool) -> Path:
    """Go down while a folder holds one folder, and that one holds no image itself."""
    if not folder.is_dir():
        raise DataError(
            "the image folder does not exist",
            fix="name the folder that holds the class folders",
            local_detail=str(folder),
        )
    while may_descend:
        folders = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
        if len(folders) != 1 or folders[0].is_symlink() or _has_images(folders[0]):
            break
        folder = folders[0]
    return folder


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _is_listed(path: Path, top: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(top).parts)
    return path.is_file() and not hidden
