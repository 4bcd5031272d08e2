"""Making a site: its folder, its node key, which never leaves it, and its enrolment request."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from client.site_config import Cache, Limits, load_site_config
from client.site_folder import LinkSettings, SiteFolder
from client.walls import found_user, group_name
from common.errors import ConfigError
from common.kit import EnrolmentRequest, openssh, request_text
from common.new_folder import new_folder
from common.study.schema import PROTOCOL
from common.whole_file import write_whole

_OWN = ("state", "approved", "run", "link", "logs")
_USUAL = ("cache", "weights")  # unless the hospital chose other places
_FILES = ("site.yaml", "request.yaml", "kit.yaml", "ca.crt")


@dataclass(frozen=True)
class Choices:
    """What a hospital decides when it makes a site."""

    name: str
    """The name by which it asks to be known."""
    manifest: Path
    """Its manifest; it may be written later. This path and the others are absolute."""
    weights: Path
    """Folder of pre-trained weights; made if there is none."""
    cache: Cache
    """Where activations are kept; made likewise."""
    limits: Limits
    """What may leave."""
    contact: str
    """Whom the coordinator calls."""


@dataclass(frozen=True)
class Owners:
    """The two users of a site, by number; only root can hand over to them."""

    worker: int
    """Reads the images, and has no network."""
    group: int
    """The worker's primary group, in which the carrier is too."""
    carrier: int
    """Has the network, and reads no image."""


def owners(worker: str, carrier: str) -> Owners:
    """Look two users up, by name or as `USER:GROUP`.

    Raises:
        ConfigError: there is no such user, or the carrier could not reach the worker.
    """
    one, other = found_user(worker), found_user(carrier)
    if one.number == other.number:
        raise ConfigError(
            "worker and carrier are the same user, so no wall stands between them",
            fix="name two users",
        )
    groups = {other.group} if ":" in carrier else set(os.getgrouplist(carrier, other.group))
    if one.group not in groups:
        raise ConfigError(
            f"the user {carrier} is not in {group_name(one.group)}, the first group of {worker}, "
            "so the carrier could not reach the worker's socket",
            fix=f"add it with `usermod --append --groups {group_name(one.group)} {carrier}`",
        )
    return Owners(one.number, one.group, other.number)


def make_site(path: Path, choices: Choices, users: Owners | None) -> EnrolmentRequest:
    """Make a site's folder, whole or not at all; return the request that was written.

    Args:
        path: the folder; it may exist, if it holds nothing of a site's.
        choices: what the hospital decided.
        users: whom it is handed over to; None: all of it is this process's user's.

    Raises:
        ConfigError: the folder holds a site, or cannot be made.
    """
    folder = SiteFolder(path)
    if users is not None and path.exists() and any(path.iterdir()):
        raise ConfigError(
            "this folder is not empty, and all that is in it would be handed over to the two users",
            fix="name a new folder; nothing was changed here",
            local_detail=str(path),
        )
    with new_folder(path, (*_FILES, *_OWN, *_USUAL), holds="a site"):
        for name in _OWN:
            (path / name).mkdir(mode=0o700)
        folder.flower_home.mkdir(mode=0o700)
        made = [place for place in (choices.weights, choices.cache.folder) if _made(place)]
        key = ec.generate_private_key(ec.SECP384R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        write_whole(folder.node_key, private, mode=0o600)
        write_whole(folder.link / "link.yaml", link_text().encode(), mode=0o600)
        write_whole(folder.site_file, site_text(choices, path).encode(), mode=0o600)
        load_site_config(folder.site_file)  # what was written can be read
        request = EnrolmentRequest(
            site=choices.name, public_key=openssh(key.public_key()), contact=choices.contact,
            leukofed=version("leukofed"), protocol=PROTOCOL,
            made=datetime.now(UTC).replace(microsecond=0),
        )  # fmt: skip
        write_whole(folder.request, request_text(request, key).encode(), mode=0o644)
        folder.socket.parent.chmod(0o750)
        if users is not None:
            hand_over(folder, users, made)
    return request


def hand_over(folder: SiteFolder, users: Owners, beside: list[Path]) -> None:
    """Give a site's folder to its two users.

    The carrier may enter the folder and read the kit and the root certificate there; all else but
    its own `link/` is closed to it.

    Args:
        folder: the site.
        users: the two.
        beside: folders elsewhere that were made for the worker.
    """
    for place in (folder.path, *folder.path.rglob("*"), *beside):
        is_link = place == folder.link or folder.link in place.parents
        owner = users.carrier if is_link else users.worker
        os.chown(place, owner, users.group, follow_symlinks=False)
    folder.path.chmod(0o750)


def site_text(choices: Choices, path: Path) -> str:
    """Return the text of `site.yaml` in a site's folder, with comments."""
    limits, cache, here = choices.limits, choices.cache, path.resolve()
    return f"""\
# This hospital's own file: no study can change it. docs/site.md explains every setting.
# Relative paths start at this file's folder. After a change, start `leukofed-site run` again.

name: {choices.name}                      # the name under which the site was admitted

# The coordinator's public key; `leukofed-site join` takes it from the kit. The worker takes
# requests and studies that this key signed, and no others.
coordinator: null

images:
  manifest: {_quoted(choices.manifest, here)}

state: state                    # what left this site; keep it, and back it up
weights: {_quoted(choices.weights, here)}

cache:
  folder: {_quoted(cache.folder, here)}      # a fast disk; it may be deleted at any time
  limit_gb: {cache.limit_gb:g}

numerics: auto                  # threads and precision: measured once on this machine, then kept

limits:                         # what may leave, whatever a study asks
  phases: [{", ".join(limits.phases)}]
  # A class with fewer images is not counted to the coordinator.
  fewest_examples: {limits.fewest_examples}
  most_rounds: {limits.most_rounds}              # most answers in one run
  most_runs: {limits.most_runs}                 # most runs of one study
  largest_payload_mb: {limits.largest_payload_mb:g}       # of a reply
  largest_request_mb: {limits.largest_request_mb:g}       # a larger request is not taken in
  most_mb_a_day: {json.dumps(limits.most_mb_a_day)}           # within 24 hours; null: no limit
"""


def link_text() -> str:
    """Return the text of `link/link.yaml`, with comments."""
    settings = LinkSettings()
    return f"""\
# How this site reaches the coordinator. docs/link.md explains every setting.
# After a change, start `leukofed-site run` again.

address: ""                     # HOST:PORT; `leukofed-site join` takes it from the kit
proxy: null                     # an HTTP proxy of your network, http://HOST:PORT
hours: null                     # when this site works, local time, for example 19:00-07:00
bandwidth_mbit: null            # most bandwidth, each way, in units of 10^6 bit/s
health_port: {settings.health_port}               # where `leukofed-site run` tells how it is
"""


def _made(place: Path) -> bool:
    """Make a folder, if there is none; tell whether it was made."""
    if place.is_dir():
        return False
    place.mkdir(mode=0o700, parents=True)
    return True


def _quoted(value: Path, here: Path) -> str:
    """Write a path as JSON does, whose strings are YAML's; one in the site's folder from there."""
    place = value.relative_to(here) if value.is_relative_to(here) else value
    return json.dumps(str(place), ensure_ascii=False)
