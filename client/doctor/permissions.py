"""Checks of users and permissions: what the carrier's user can reach, and must not."""

import os
import pwd
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.doctor.finding import Finding, ok, problem, warning
from client.site_config import SiteConfig
from client.site_folder import SiteFolder
from client.walls import group_name

_MOST_TRIED = 200  # images that are really opened
_TRY = 'for path; do if (: < "$path") 2> /dev/null; then printf "%s\\0" "$path"; fi; done'


@dataclass(frozen=True)
class User:
    """A user as the system's permissions see it."""

    uid: int
    groups: frozenset[int]
    name: str


def owner(path: Path) -> User:
    """Return the user to whom a folder belongs; one without an account has the folder's group."""
    status = path.stat()
    try:
        entry = pwd.getpwuid(status.st_uid)
    except KeyError:
        return User(status.st_uid, frozenset({status.st_gid}), str(status.st_uid))
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return User(status.st_uid, frozenset(groups), entry.pw_name)


def may(user: User, path: Path, wanted: int = stat.S_IROTH) -> bool:
    """Say whether the mode bits let a user do something with a file, along its whole path.

    Lists of further permissions (ACLs) are not looked at; `really_reads` tries.

    Args:
        user: who.
        path: what; links are followed.
        wanted: S_IROTH to read, S_IWOTH to write.
    """
    if user.uid == 0:
        return True
    try:
        resolved = path.resolve(strict=True)
        return all(_allows(user, folder, stat.S_IXOTH) for folder in resolved.parents) and _allows(
            user, resolved, wanted
        )
    except OSError:
        return False


def really_reads(user: User, paths: Sequence[Path]) -> list[Path]:
    """Return those of the paths that a user opens, tried as that user; this process is root's."""
    if not paths:
        return []
    done = subprocess.run(
        ["/bin/sh", "-c", _TRY, "sh", *map(str, paths)],
        user=user.uid, group=min(user.groups), extra_groups=sorted(user.groups),
        capture_output=True, cwd="/", check=False, env={}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]


def permission_lines(
    folder: SiteFolder, config: SiteConfig, images: Sequence[Path]
) -> list[Finding]:
    """Look at who may do what in a site's folder.

    Args:
        folder: the site's; its link/ exists.
        config: its site file.
        images: the images that its manifest lists.
    """
    return [
        carrier_line(folder, config, images),
        key_line(folder),
        state_line(folder, config),
        sockets_line(folder),
    ]


def carrier_line(folder: SiteFolder, config: SiteConfig, images: Sequence[Path]) -> Finding:
    """See that the carrier's user reads none of what is the worker's."""
    carrier, worker = owner(folder.link), owner(folder.path)
    if carrier.uid == worker.uid:
        return warning(
            "carrier",
            f"worker and carrier are the same user ({carrier.name}): no wall is between them",
            "for a trial it may stay so; otherwise run them as two users, as the systemd units do",
        )
    private: Mapping[str, Sequence[Path]] = {
        "images": images,
        "the manifest": [config.images.manifest],
        "the state folder": _with_files(config.state),
        "the cache": _with_files(config.cache.folder),
        "the key of the pseudonyms": [folder.pseudonym_key],
    }
    reached = {what: _readable(carrier, paths) for what, paths in private.items()}
    open_ = {what: paths for what, paths in reached.items() if paths}
    if open_:
        told = ", ".join(f"{len(paths)} of {what}" if len(paths) > 1 else what
                         for what, paths in open_.items())  # fmt: skip
        first = next(iter(open_.values()))[0]
        return problem(
            "carrier",
            f"the carrier's user {carrier.name} can read {told}, for one {first}: it must not",
            f"take the rights of others away, for example `chmod o-rwx {first.parent}`, and the "
            f"group's if {carrier.name} is in it",
        )
    tried = "; tried as that user" if os.geteuid() == 0 else ""
    return ok(
        "carrier",
        f"the carrier's user {carrier.name} can read neither images nor the worker's files{tried}",
    )


def key_line(folder: SiteFolder) -> Finding:
    """See that the site's private key is its owner's alone."""
    key = folder.node_key
    try:
        status = key.stat()
    except FileNotFoundError:
        return problem("key", "this site has no key", "`leukofed-site init` makes one")
    except OSError:
        return ok("key", "this user cannot see it, as it should be")
    if status.st_mode & 0o077:
        return problem(
            "key",
            f"others than its owner may use the private key (mode {_mode(status.st_mode)})",
            f"chmod 600 {key}; if others have used this machine, make a new key and enrol anew",
        )
    if status.st_uid != folder.link.stat().st_uid:
        return problem(
            "key",
            "the private key does not belong to the carrier's user, who needs it",
            f"chown {owner(folder.link).name} {key}",
        )
    return ok("key", f"its owner's alone (mode {_mode(status.st_mode)})")


def state_line(folder: SiteFolder, config: SiteConfig) -> Finding:
    """See that state and cache are the worker's alone, and that others cannot enter link/."""
    loose = [
        path
        for path in (config.state, config.cache.folder, folder.link)
        if path.is_dir() and path.stat().st_mode & 0o007
    ]
    if loose:
        named = " ".join(str(path) for path in loose)
        return warning("folders", f"every user of this machine may enter {named}",
                       f"chmod o-rwx {named}")  # fmt: skip
    return ok("folders", "state, cache and link are closed to other users")


def sockets_line(folder: SiteFolder) -> Finding:
    """See that the worker's sockets are open to those who need them, and to no one else."""
    sockets = [path for path in (folder.socket, folder.desk) if path.is_socket()]
    wide = [path.name for path in sockets if path.stat().st_mode & 0o007]
    if folder.desk in sockets and folder.desk.stat().st_mode & 0o077:
        wide.append(folder.desk.name)
    if wide:
        return problem(
            "sockets",
            f"too many users may use {' and '.join(dict.fromkeys(wide))}",
            "start the worker again, which sets them right; keep others from changing them",
        )
    carrier = owner(folder.link)
    if folder.socket in sockets and not may(carrier, folder.socket, stat.S_IWOTH):
        group = folder.socket.stat().st_gid
        return problem(
            "sockets",
            f"the carrier's user {carrier.name} cannot reach the worker's socket",
            f"put {carrier.name} into the group {group_name(group)} of {folder.socket}, and let "
            "the group enter its folders",
        )
    return ok("sockets", "as they should be" if sockets else "none: the worker does not run")


def worker_line(folder: SiteFolder, images: Sequence[Path]) -> Finding:
    """See that the worker's user reads the images; whoever checks may be another."""
    worker = owner(folder.path)
    closed = [path for path in images if not may(worker, path)]
    if closed:
        return problem(
            "reading",
            f"the worker's user {worker.name} cannot read {len(closed)} of {len(images)} images, "
            f"for one {closed[0]}",
            f"let {worker.name} read them, for example through a group",
        )
    return ok("reading", f"the worker's user {worker.name} can read all images")


def _readable(user: User, paths: Sequence[Path]) -> list[Path]:
    tried = paths[:_MOST_TRIED] if os.geteuid() == 0 else []
    by_mode = [path for path in paths[len(tried) :] if may(user, path)]
    return [*really_reads(user, tried), *by_mode]


def _with_files(folder: Path) -> list[Path]:
    """Return a folder and the files right in it, as far as they can be seen."""
    try:
        return [folder, *sorted(path for path in folder.iterdir() if path.is_file())]
    except OSError:
        return [folder]


def _allows(user: User, path: Path, wanted: int) -> bool:
    status = path.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & wanted << 6)
    if status.st_gid in user.groups:
        return bool(status.st_mode & wanted << 3)
    return bool(status.st_mode & wanted)


def _mode(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"
