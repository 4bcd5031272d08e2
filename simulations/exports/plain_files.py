"""Tables as CSV and as Parquet files, beside one that says what every column means."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from common.study.strict import Strict
from common.whole_file import write_whole
from simulations.exports.tables import Table


def write_csv(tables: Sequence[Table], folder: Path) -> None:
    """Write TABLE.csv for each table; what is not known is an empty cell."""
    for table in tables:
        write_whole(
            folder / f"{table.name}.csv",
            _csv(list(table.kind.model_fields), [row.model_dump() for row in table.rows]),
        )
    _write_columns(tables, folder)


def write_parquet(tables: Sequence[Table], folder: Path) -> None:
    """Write TABLE.parquet for each table; what is not known is null."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    for table in tables:
        schema = pa.schema(
            [(name, kinds[_kind(field.annotation)]) for name, field in
             table.kind.model_fields.items()]
        )  # fmt: skip
        drawn = io.BytesIO()
        rows = [row.model_dump() for row in table.rows]
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), drawn)
        write_whole(folder / f"{table.name}.parquet", drawn.getvalue())
    _write_columns(tables, folder)


def _write_columns(tables: Sequence[Table], folder: Path) -> None:
    rows = [
        {"table": table.name, "column": name, "meaning": _meaning(field.description)}
        for table in tables
        for name, field in table.kind.model_fields.items()
    ]  # fmt: skip
    write_whole(folder / "columns.csv", _csv(list(rows[0]), rows))


def _csv(columns: list[str], rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _meaning(description: str | None) -> str:
    return " ".join((description or "").split())


def _kind(annotation: Any) -> type:
    """Return the plain type of a column: of `int | None` int, of a choice of words str."""
    if isinstance(annotation, type) and not issubclass(annotation, Strict):
        return annotation
    plain = [one for one in get_args(annotation) if one is not type(None)]
    return _kind(plain[0]) if not isinstance(plain[0], str) else str
