"""The guard's two files in this environment's site-packages, and the folders they allow."""

import os
import sys
import sysconfig
from collections.abc import Iterable
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Literal

import client.import_guard.finder
from common.commands import PACKAGES
from common.errors import ConfigError
from common.whole_file import write_whole

MODULE = "leukofed_import_guard"
_STARTER = f"{MODULE}.pth"
_LIBRARIES = ("site-packages", "dist-packages", "lib-dynload")

State = Literal["absent", "altered", "whole"]


def site_packages() -> Path:
    """Return the folder in which this environment's packages, and the guard, are installed.

    Raises:
        ConfigError: this Python is not that of a virtual environment; a guard there would stand
            in the way of every other program that uses it.
    """
    if sys.prefix == sys.base_prefix:
        raise ConfigError(
            "this Python does not belong to a virtual environment",
            fix="install leukofed in a virtual environment of its own and guard that one",
            local_detail=sys.prefix,
        )
    return Path(sysconfig.get_path("purelib"))


def installed_roots() -> tuple[str, ...]:
    """Name the folders whose modules count as installed, resolved, each ending in the separator.

    They are the standard library, every folder of packages on Python's path, and for an editable
    installation our own packages where they lie. The environment as a whole is none of them: it
    may well be the place where a hospital keeps Flower's folder, into which apps are unpacked.
    """
    folders = [sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")]
    folders += [place for place in sys.path if Path(place).name in _LIBRARIES]
    specs = [find_spec(name) for name in PACKAGES]
    folders += [str(Path(spec.origin).parent) for spec in specs if spec and spec.origin]
    return _outermost(os.path.realpath(folder) + os.sep for folder in folders)


def _outermost(roots: Iterable[str]) -> tuple[str, ...]:
    """Leave out what lies inside another root; the rest, each once and in order."""
    kept: list[str] = []
    for root in sorted(set(roots)):
        if not root.startswith(tuple(kept)):
            kept.append(root)
    return tuple(kept)


def guard_files(roots: tuple[str, ...]) -> dict[str, bytes]:
    """Return the files of a guard by name, in the order in which they may appear."""
    source = Path(client.import_guard.finder.__file__).read_text(encoding="utf-8")
    listed = "".join(f"        {root!r},\n" for root in roots)
    text = f"{source}\n\nstand(\n    (\n{listed}    )\n)\n"
    return {f"{MODULE}.py": text.encode(), _STARTER: f"import {MODULE}\n".encode()}


def state(folder: Path, files: dict[str, bytes]) -> State:
    """Compare what is installed with what this version would install in this environment."""
    found = {
        name: (folder / name).read_bytes() if (folder / name).is_file() else None for name in files
    }
    if set(found.values()) == {None}:
        return "absent"
    return "whole" if found == files else "altered"


def put(folder: Path, files: dict[str, bytes]) -> None:
    """Write the guard's files, readable for every user: Flower may run as another one.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        for name, content in files.items():
            write_whole(folder / name, content)
            (folder / name).chmod(0o644)
    except OSError as error:
        raise _not_writable(error) from error


def take_away(folder: Path) -> None:
    """Remove the guard's files, as far as they are there; the one that starts it goes first.

    Raises:
        ConfigError: the folder cannot be written.
    """
    module = folder / f"{MODULE}.py"
    try:
        for path in (folder / _STARTER, module, Path(cache_from_source(module))):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_writable(error) from error


def _not_writable(error: OSError) -> ConfigError:
    return ConfigError(
        "this user may not change the environment",
        fix="run the command as the user who installed leukofed",
        local_detail=str(error),
    )
