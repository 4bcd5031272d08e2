"""The table of all layouts, and which of them a folder has."""

from client.data.layouts.all_idb import ALL_IDB
from client.data.layouts.class_folders import CLASS_FOLDERS, FAB_FOLDERS
from client.data.layouts.cnmc import CNMC
from client.data.layouts.layout import Folder, Layout
from client.data.layouts.pbc import PBC
from client.data.layouts.taleqani import TALEQANI
from client.data.layouts.taleqani_copy import TALEQANI_COPY
from common.errors import DataError

PUBLIC = (TALEQANI, TALEQANI_COPY, CNMC, ALL_IDB, PBC, FAB_FOLDERS)
"""Each is recognised by what only it has."""
LAYOUTS = (*PUBLIC, CLASS_FOLDERS)
"""The last one is what most folders also are."""


def chosen_layout(folder: Folder, name: str) -> Layout:
    """Return the layout of this name, or with `auto` the one that the folder has.

    Raises:
        DataError: none is recognised, or more than one.
    """
    if name != "auto":
        return next(layout for layout in LAYOUTS if layout.name == name)
    found = [layout for layout in PUBLIC if layout.recognises(folder)]
    if len(found) > 1:
        raise DataError(
            f"the folder holds more than one dataset: {', '.join(one.name for one in found)}",
            fix="name the folder of one of them, or the layout with --layout",
            local_detail=str(folder.path),
        )
    return found[0] if found else CLASS_FOLDERS
