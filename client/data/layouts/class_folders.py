"""Class folders: a folder's name is the label. FAB subtypes lie so, and most hospitals' own."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from client.data.layouts.layout import Folder, Layout, Row, refuse
from common.labels import FAB, bare
from common.study.data import GroupColumn

_FAB = re.compile(r"(?:all|fab|type)*(l[123])")


def class_level(folder: Folder) -> Path:
    """Go down while a folder holds one folder with images, and those lie deeper still.

    Archives are often packed so.
    """
    level = Path()
    while True:
        depth = len(level.parts)
        below = [image for image in folder.images if image.parts[:depth] == level.parts]
        names = {image.parts[depth] for image in below}
        if len(names) != 1 or any(len(image.parts) <= depth + 2 for image in below):
            return level
        level /= names.pop()


def folder_rows(folder: Folder, subfolder: GroupColumn | None = None) -> Iterator[Row]:
    """Yield each image with its class folder's name as the label.

    Args:
        folder: holds one folder per class, or one folder that does.
        subfolder: what a folder inside a class folder stands for, if anything; becomes that
            column, as the folder's path inside the class folder. Nothing is gone down then.

    Raises:
        DataError: there are no class folders with images, or images beside them.
    """
    level = Path() if subfolder else class_level(folder)
    depth = len(level.parts)
    loose = [image for image in folder.images if len(image.parts) <= depth + 1]
    if loose or not folder.images:
        labels = Counter(image.parts[depth] for image in folder.images if image not in set(loose))
        raise refuse(
            f"{len(labels)} class folders with images, {len(loose)} images beside them",
            "name a folder that holds one folder per class, and no image itself; or say with "
            "--table which table tells the labels",
            loose or [folder.path],
        )
    for image in folder.images:
        inside = image.parts[depth:]
        columns: dict[str, str] = {subfolder: "/".join(inside[1:-1])} if subfolder else {}
        yield Row(image, inside[0], columns)


def _has_class_folders(folder: Folder) -> bool:
    depth = len(class_level(folder).parts)
    return bool(folder.images) and all(len(image.parts) > depth + 1 for image in folder.images)


def _fab(name: str) -> str | None:
    found = _FAB.fullmatch(bare(name))
    return found[1].upper() if found else None


def _is_fab(folder: Folder) -> bool:
    if not _has_class_folders(folder):
        return False
    depth = len(class_level(folder).parts)
    labels = {_fab(image.parts[depth]) for image in folder.images}
    return None not in labels and len(labels) > 1


def _fab_rows(folder: Folder) -> Iterator[Row]:
    for row in folder_rows(folder):
        label = _fab(row.label)
        if label is not None:
            yield Row(row.path, label, row.columns)


FAB_FOLDERS = Layout(
    name="fab",
    title="class folders of the FAB subtypes L1, L2, L3",
    classes=FAB,
    recognises=_is_fab,
    rows=_fab_rows,
)
CLASS_FOLDERS = Layout(
    name="class-folders",
    title="class folders: each folder's name is the label",
    classes=(),
    recognises=_has_class_folders,
    rows=folder_rows,
)
