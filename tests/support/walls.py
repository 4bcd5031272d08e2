"""The walls of a site, as root can build them: another user, and no network.

They are what the systemd units of a hospital do with `User=` and `PrivateNetwork=`.
"""

import os
import shutil
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.processes import ROOT

WORKER_USER, CARRIER_USER, GROUP = 12001, 12002, 12000  # numbers need no entry in /etc/passwd

# Where interpreter or checkout lie below a folder that only root may enter, the process gets a
# view of the file system, its own, in which that folder holds nothing else and is open.
_OPEN_UP = """\
set -e
closed=$1; stage=$2; shift 2
while [ "$1" != -- ]; do
  mkdir -p "$stage$1"; mount --bind "$1" "$stage$1"; kept="$kept $1"; shift
done
shift
mount -t tmpfs -o mode=755 tmpfs "$closed"
for place in $kept; do mkdir -p "$place"; mount --bind "$stage$place" "$place"; done
exec "$@"
"""


def can_wall() -> bool:
    """Whether walls can be built here."""
    tools = ("setpriv", "unshare", "mount")
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in tools)


def wall(user: int, stage: Path, places: Iterable[Path], *, network: bool) -> list[str]:
    """Return what to put before a command, to run it as a user, with or without a network.

    Args:
        user: its number.
        stage: a folder, to be made, in one that any user may enter.
        places: folders that the command needs, besides the checkout and the interpreter.
        network: whether it may use the machine's network.
    """
    without = [] if network else ["unshare", "--net"]
    as_user = ["setpriv", f"--reuid={user}", f"--regid={GROUP}", "--clear-groups"]
    opened: list[str] = []
    for closed, below in _closed(places).items():
        own = stage / closed.strip("/").replace("/", "-")
        opened += ["unshare", "--mount", "sh", "-c", _OPEN_UP, "sh", closed, str(own)]
        opened += [*below, "--"]
    return [*without, *opened, *as_user]


def hand_over(folder: Path, user: int, mode: int) -> None:
    """Give a folder, and all that is in it, to a user; `mode` is the folder's own."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, GROUP)
    folder.chmod(mode)


def _closed(places: Iterable[Path]) -> dict[str, list[str]]:
    """Return the folders that only root may enter, and what is needed below each."""
    found: dict[str, list[str]] = {}
    own = (Path(sys.base_prefix), Path(sys.prefix), ROOT)
    for place in dict.fromkeys(path.resolve() for path in (*own, *places)):
        for folder in reversed(place.parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                found.setdefault(str(folder), []).append(str(place))
                break
    return found
