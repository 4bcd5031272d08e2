"""Canonical SHA-256 digests of values, arrays and files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def canonical_json(value: object) -> bytes:
    """Serialise plain data with sorted keys and no spaces; NaN and infinity are refused."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    return text.encode()


def digest_value(value: object) -> str:
    """Return the SHA-256, in hex, of a plain value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256, in hex, of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_arrays(arrays: Arrays) -> str:
    """Return the SHA-256, in hex, of named arrays: names, dtypes, shapes and little-endian values.

    The order of the names does not matter.
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        total.update(canonical_json([name, little.dtype.name, list(array.shape)]))
        total.update(little.tobytes())
    return total.hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256, in hex, of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
