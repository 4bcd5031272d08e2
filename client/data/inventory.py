"""What a folder holds, made a manifest: by its layout, or by a laboratory's table."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from client.data.laboratory import read_laboratory_table
from client.data.layouts.class_folders import CLASS_FOLDERS, folder_rows
from client.data.layouts.layout import Folder, Row
from client.data.layouts.table import chosen_layout
from client.data.listing import Listing, listing
from client.data.matching import match
from client.data.pseudonyms import pseudonym
from common.errors import ConfigError
from common.imaging.dicom import patient_number
from common.study.data import GROUP_ORDER, GroupColumn

MakeKey = Callable[[], bytes]
"""Returns the site's key of pseudonyms; asked only where there is a number to hide."""


@dataclass(frozen=True)
class Inventory:
    """A manifest, how it came about, and what it does not hold."""

    listing: Listing
    told: tuple[str, ...]  # lines for whoever asked
    left_out: tuple[tuple[str, str], ...]  # why, and which file or line; stays on this machine


def by_layout(
    folder: Folder,
    name: str,
    subfolder: GroupColumn | None,
    relative_to: Path,
    key: MakeKey,
) -> Inventory:
    """List a folder's images as a layout says.

    Args:
        folder: the images'.
        name: of the layout; `auto` recognises it.
        subfolder: what a folder inside a class folder stands for; class folders only.
        relative_to: where the manifest will lie.
        key: for numbers that DICOM files name.

    Raises:
        DataError: as the layouts and `client.data.listing.listing` say.
        ConfigError: `subfolder` is given with a layout that says itself what its folders mean.
    """
    layout = CLASS_FOLDERS if subfolder and name == "auto" else chosen_layout(folder, name)
    if subfolder and layout is not CLASS_FOLDERS:
        raise ConfigError(
            f"the layout {layout.name} says itself what its folders stand for",
            fix="leave out --subfolder, or give --layout class-folders",
        )
    rows = folder_rows(folder, subfolder) if subfolder else layout.rows(folder)
    how = "Recognised" if name == "auto" and not subfolder else "Layout"
    made = listing(folder, _with_dicom_patients(folder, rows, key), layout.name, relative_to)
    return Inventory(
        made,
        (f"{how}: {layout.name}, {layout.title}.", *([layout.note] if layout.note else [])),
        tuple(("not of this layout", str(image)) for image in made.images_left_out),
    )


def by_table(
    folder: Folder, table: Path, columns: Mapping[str, str], relative_to: Path, key: MakeKey
) -> Inventory:
    """List those of a folder's images that a laboratory's table names.

    Args:
        folder: the images'.
        table: CSV or spreadsheet.
        columns: the table's name of each of the manifest's columns; `path` and `label` are wanted.
        relative_to: where the manifest will lie.
        key: for values of the grouping columns, which all become pseudonyms.

    Raises:
        DataError: the table cannot be read, fits no image, or is ambiguous.
    """
    read = read_laboratory_table(table, columns)
    matched = match(folder, read.records)
    rows = (_hidden(row, key) for row in matched.rows)
    made = listing(folder, _with_dicom_patients(folder, rows, key), "table", relative_to)
    told = [f"Table: {len(read.records)} lines ({read.read_as})."]
    if matched.repeated:
        told.append(f"{matched.repeated} lines say again what another one says.")
    return Inventory(
        made,
        tuple(told),
        (
            *(("line without an image", f"{record.line}: {record.cells['path']}")
              for record in matched.without_image),
            *(("line without a label", f"{record.line}: {record.cells['path']}")
              for record in matched.without_label),
            *(("image that no line names", str(image)) for image in made.images_left_out),
        ),
    )  # fmt: skip


def _hidden(row: Row, key: MakeKey) -> Row:
    """Replace what groups images, for it need only be equal or not; slides are numbered as well."""
    columns = {
        name: pseudonym(key(), name, value) if name in GROUP_ORDER and value else value
        for name, value in row.columns.items()
    }
    return replace(row, columns=columns)


def _with_dicom_patients(folder: Folder, rows: Iterable[Row], key: MakeKey) -> Iterator[Row]:
    """Add the pseudonym of the patient that a DICOM file names, where nothing else tells it."""
    listed = list(rows)
    for number, row in enumerate(listed):
        if row.path.suffix.lower() == ".dcm" and not row.columns.get("patient"):
            folder.watch("DICOM headers read", number, len(listed))
            found = patient_number(folder.path / row.path)
            if found:
                hidden = pseudonym(key(), "patient", found)
                row = replace(row, columns={**row.columns, "patient": hidden})
        yield row
    folder.watch("DICOM headers read", len(listed), len(listed))
