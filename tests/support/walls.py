"""The walls of a site, as root can build them: another user, and no network.

They are what the systemd units of a hospital do with `User=` and `PrivateNetwork=`.
"""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.support.processes import ROOT

WORKER_USER, CARRIER_USER, GROUP = 12001, 12002, 12000  # numbers need no entry in /etc/passwd

# A view of the file system, the process's own, in which one folder holds nothing but these places.
# It makes room below a folder that only root may enter, and empties one that nobody is to read.
_VIEW = """\
set -e
umask 022
folder=$1; stage=$2; mode=700; here=$(pwd -P); shift 2
while [ "$1" != -- ]; do
  mkdir -p "$stage$1"; mount --bind "$1" "$stage$1"; kept="$kept $1"; mode=755; shift
done
shift
if [ -d "$folder" ]; then mount -t tmpfs -o "mode=$mode" tmpfs "$folder"; fi
for place in $kept; do mkdir -p "$place"; mount --bind "$stage$place" "$place"; done
if [ -d "$stage" ]; then mount -t tmpfs -o mode=700 tmpfs "$stage"; fi
cd "$here" 2>/dev/null || cd /  # or what lies about the old one would still be there, at ..
exec "$@"
"""


@cache
def can_wall() -> bool:
    """Whether walls can be built here: each of them is tried."""
    if os.geteuid() != 0:
        return False
    try_all = f"mount -t tmpfs tmpfs '{tempfile.gettempdir()}' && exec \"$@\""
    command = ["unshare", "--net", "--mount", "sh", "-c", try_all, "sh", *_as(WORKER_USER), "true"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def wall(
    user: int,
    stage: Path,
    places: Iterable[Path],
    *,
    network: bool,
    hidden: Iterable[Path] = (),
) -> list[str]:
    """Return what to put before a command, to run it as a user, with or without a network.

    Args:
        user: its number.
        stage: a folder, to be made, in one that any user may enter.
        places: folders that the command needs, besides the checkout and the interpreter.
        network: whether it may use the machine's network.
        hidden: folders in which it finds nothing but those of the places that lie below.
    """
    own = (Path(sys.base_prefix), Path(sys.prefix), ROOT)
    needed = list(dict.fromkeys(path.resolve() for path in (*own, *places)))
    views = _closed(needed)
    for folder in sorted({path.resolve() for path in hidden}):  # what lies within comes later
        views.append((folder, [place for place in needed if folder in place.parents]))
    command = [] if network else ["unshare", "--net"]
    for number, (folder, kept) in enumerate(views):
        command += ["unshare", "--mount", "sh", "-c", _VIEW, "sh", str(folder)]
        command += [str(stage / f"{number}"), *map(str, kept), "--"]
    return [*command, *_as(user)]


def hand_over(folder: Path, user: int, mode: int) -> None:
    """Give a folder, and all that is in it, to a user; `mode` is the folder's own."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, GROUP)
    folder.chmod(mode)


def has_way_out(pid: int) -> bool:
    """Whether a process has a route to anywhere but itself; an interface that is down has none."""
    net = Path(f"/proc/{pid}/net")
    four = (net / "route").read_text(encoding="ascii").splitlines()[1:]
    six = net / "ipv6_route"
    others = six.read_text(encoding="ascii").splitlines() if six.exists() else []
    return bool(four) or any(line.split()[-1] != "lo" for line in others)


def _as(user: int) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={GROUP}", "--clear-groups"]


def _closed(needed: Iterable[Path]) -> list[tuple[Path, list[Path]]]:
    """Return the folders that only root may enter, and what is needed below each."""
    found: dict[Path, list[Path]] = {}
    for place in needed:
        for folder in reversed(place.parents):
            if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
                found.setdefault(folder, []).append(place)
                break
    return list(found.items())
