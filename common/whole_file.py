"""Files that appear whole or not at all, whatever ends the process that writes them."""

import os
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put a file in place; a crash, or a power failure, leaves the old one or the new one.

    Args:
        path: the file.
        data: what it holds.
        mode: who may do what with it, from its first byte on; written by root, it then belongs
            to whom its folder belongs. None: as this process's umask says.

    Raises:
        OSError: it cannot be written; the old file, if any, is as it was.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") if mode is None else _guarded(draft, mode) as file:
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


def _guarded(path: Path, mode: int) -> BinaryIO:
    path.unlink(missing_ok=True)
    # Exclusive: where the folder's owner puts a link in its way, nothing is written through it.
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(number, folder.st_uid, folder.st_gid)
    os.fchmod(number, mode)
    return os.fdopen(number, "wb")
