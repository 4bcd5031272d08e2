"""The wall between a site's two processes: two users, and no network where the images are."""

import grp
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError


@dataclass(frozen=True)
class User:
    """A user of this machine, and the group that its process has."""

    number: int
    group: int


def found_user(text: str) -> User:
    """Find a user by name, or by numbers as `USER:GROUP`.

    Raises:
        ConfigError: there is none, or it is root.
    """
    try:
        if ":" in text:
            number, group = map(int, text.split(":"))
        else:
            entry = pwd.getpwnam(text)
            number, group = entry.pw_uid, entry.pw_gid
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"this machine has no user `{text}`",
            fix="make it (`useradd --system`), or give numbers as USER:GROUP",
        ) from error
    if number == 0:
        raise ConfigError("root is no user for this", fix="make a user of its own")
    return User(number, group)


def group_name(number: int) -> str:
    """Return a group's name; its number where it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def check_walls() -> None:
    """Check that walls can be built here.

    Raises:
        ConfigError: this is not Linux, this process is not root's, or a tool is missing.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ConfigError(
            "only root, and only on Linux, can start processes as other users and without a "
            "network",
            fix="start it as root, or leave out --worker-user and --carrier-user",
        )
    missing = [tool for tool in ("unshare", "setpriv") if shutil.which(tool) is None]
    if missing:
        raise ConfigError(f"`{missing[0]}` is not installed", fix="install the package util-linux")


def as_user(user: User, *, group: int, network: bool) -> list[str]:
    """Return what to put before a command to run it as a user, with no way to become another.

    Args:
        user: whose process it becomes.
        group: its only group.
        network: whether it keeps this machine's network.
    """
    alone = [] if network else ["unshare", "--net"]
    return [
        *alone, "setpriv", f"--reuid={user.number}", f"--regid={group}", "--clear-groups",
        "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--pdeathsig=TERM",
    ]  # fmt: skip


def check_can_run(before: Sequence[str], who: str, python: str = sys.executable) -> None:
    """Check that a user can run this installation, and start others of its programs.

    Root's own rights reach as far as the first program that it starts as somebody else: that one
    may run from a closed folder and yet be unable to start its children.

    Args:
        before: what stands before the user's commands.
        who: what an error calls the user.
        python: the installation's.

    Raises:
        ConfigError: the user cannot.
    """
    done = subprocess.run(
        [*before, "sh", "-c", '"$0" -I -c ""', python], capture_output=True, check=False, cwd="/"
    )
    if done.returncode:
        raise ConfigError(
            f"{who} cannot run this installation",
            fix="install leukofed where every user may read and run it, such as /opt/leukofed, "
            "with a Python that lies in no closed home folder",
            local_detail=python,
        )


def make_room(folder: Path, owner: User) -> None:
    """Make a folder for a user's sockets, if there is none; its group may enter."""
    if not folder.is_dir():
        folder.mkdir(mode=0o750)
        os.chown(folder, owner.number, owner.group, follow_symlinks=False)


def check_only_roots(folder: Path) -> None:
    """Check that no other user can put something else in a folder's place.

    Root writes there what other users' processes print: a link in its place would let them write
    to any file.

    Raises:
        ConfigError: one can.
    """
    whole = Path(os.path.abspath(folder))  # not resolved: a link is what it is about  # noqa: PTH100
    for place in (whole, *whole.parents):
        if not (place.exists() or place.is_symlink()):
            continue
        found = place.lstat()
        others = stat.S_IWGRP | stat.S_IWOTH
        is_open = found.st_mode & others and not found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or stat.S_ISLNK(found.st_mode) or is_open:
            raise ConfigError(
                "another user than root could put something else in the place of the logs' folder",
                fix="name a folder of root's with --logs, such as /var/log/leukofed",
                local_detail=str(place),
            )
