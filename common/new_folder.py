"""A party's folder, made whole or not at all, and never over another."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigError


@contextmanager
def new_folder(path: Path, entries: Iterable[str], *, holds: str) -> Iterator[None]:
    """Make a folder that its owner alone may enter; on a failure within, take it away again.

    Args:
        path: the folder. It may exist, with other files in it, which stay; so does then its mode.
        entries: names of what will be made in it; none of them may be there.
        holds: what the folder is for, for example `a federation`.

    Raises:
        ConfigError: one of the entries exists, or something cannot be made.
    """
    names = list(entries)
    found = [name for name in names if (path / name).exists() or (path / name).is_symlink()]
    if found:
        raise ConfigError(
            f"this folder holds {holds} already, or what would be overwritten: {', '.join(found)}",
            fix="name a new folder; nothing was changed here",
            local_detail=str(path),
        )
    was_there = path.exists()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(path.iterdir()):  # a folder that others use, such as /tmp, stays open to them
            path.chmod(0o700)
        yield
    except BaseException as error:
        for place in [path / name for name in names] if was_there else [path]:
            shutil.rmtree(place, ignore_errors=True)
            if place.is_file() or place.is_symlink():
                place.unlink()
        if isinstance(error, OSError):
            raise ConfigError(
                f"the folder cannot be made: {error.strerror}",
                fix="name a folder where you may write, on a disk with room",
                local_detail=str(error),
            ) from error
        raise
