"""A partition in a file: which site and part each image has, to be digested and used again."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from client.data.manifest import read_table
from client.data.splits import PARTS, named_part
from common.errors import DataError

Row = dict[str, str]
SOURCE = "source"
"""The column of a run's manifest with an image's path in the dataset, where `path` is another."""
TRUE_LABEL = "true_label"
"""The column of a run's manifest with an image's label in the dataset, where `label` is another."""
_COLUMNS = ("path", "label", "site", "split")


def posix(path: str) -> str:
    """Return an image's path as one writes it on any system."""
    return Path(path.replace("\\", "/")).as_posix()


def partition_csv(rows: Sequence[Row]) -> bytes:
    """Return divided rows as a partition file: one line per image, in the order of the paths.

    The same division of the same images gives the same bytes, whatever the order of the rows. The
    label is there for who reads it, and as it was before noise.
    """
    plain = [
        {"path": row.get(SOURCE) or row["path"], "label": row.get(TRUE_LABEL) or row["label"],
         "site": row["site"], "split": row["split"]}
        for row in rows
    ]  # fmt: skip
    return table_csv(_COLUMNS, sorted(plain, key=lambda row: row["path"]))


def read_partition(path: Path, sites: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Read the site and the part of each image.

    Args:
        path: the file.
        sites: the study's.

    Raises:
        DataError: it cannot be read, lacks a column, lists an image twice, or names another site or
            part.
    """
    rows = [row for _, row in read_table(path, {})]
    missing = [name for name in ("site", "split") if name not in rows[0]]
    if missing:
        raise DataError(
            f"the partition lacks the column {' and '.join(missing)}",
            fix="write it by `leukofed-sim partition`",
            local_detail=str(path),
        )
    found: dict[str, tuple[str, str]] = {
        row["path"]: (row["site"], named_part(row["split"]) or "") for row in rows
    }
    strangers = sum(site not in sites for site, _ in found.values())
    unknown = sum(not part for _, part in found.values())
    absent = [site for site in sites if all(site != named for named, _ in found.values())]
    if len(found) < len(rows) or strangers or unknown or absent:
        raise DataError(
            f"of {len(rows)} lines of the partition {len(rows) - len(found)} list an image again, "
            f"{strangers} name no site of the study and {unknown} no part"
            + (f"; none names {', '.join(absent)}" if absent else ""),
            fix=f"the study's sites are {', '.join(sites)}, the parts {', '.join(PARTS)}",
            local_detail=str(path),
        )
    return found


def table_csv(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    """Return rows as CSV with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
