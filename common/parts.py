"""Sets of named arrays, the parts of a model, as one flat mapping from `part/name`."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def flattened(parts: Mapping[str, Arrays]) -> dict[str, NDArray[Any]]:
    """Return the arrays of all parts under `part/name`."""
    return {
        f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()
    }


def by_part(flat: Arrays) -> dict[str, dict[str, NDArray[Any]]]:
    """Undo `flattened`; a part without arrays is not found again."""
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in flat.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = array
    return parts
