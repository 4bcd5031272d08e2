"""Files that appear whole or not at all, whatever ends the process that writes them."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place; a crash, or a power failure, leaves the old one or the new one.

    Raises:
        OSError: it cannot be written; the old file, if any, is as it was.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
