"""The register of admitted sites: names bound to keys, here and at the SuperLink.

Each entry is a file `sites/NAME.yaml`. It is written before the SuperLink is asked, and completed
after it answered, so what a crash left half done the same command completes. An entry whose site
was revoked stays: a key that was burnt is never admitted again.
"""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime

from common.errors import ConfigError
from common.kit import EnrolmentRequest, NodePublicKey, fingerprint
from common.study.schema import SiteName
from common.study.strict import Strict
from common.whole_file import write_whole
from common.yaml_file import dump_yaml, load_yaml
from server.control import SUPERLINK, LinkError, flwr
from server.federation import Federation
from server.locks import held

_GONE = ("unregistered", "deleted")
_IN_USE = "already in use"
_HEAD = "# A site of this federation; kept by `leukofed-server admit` and `revoke`.\n"
_NEW_KEY = "let the hospital make a new site with `leukofed-site init` and send its request"


class AdmittedSite(Strict):
    """A site of the register."""

    name: SiteName
    """Its name in studies."""
    public_key: NodePublicKey
    """Its node's key, which only it has."""
    node_id: int | None = None
    """The SuperLink's number for its node; null: it was not registered there yet."""
    version: str = ""
    """Version of leukofed, as its request told."""
    contact: str = ""
    """Whom to call there."""
    admitted: AwareDatetime
    """When it was admitted."""
    revoked: AwareDatetime | None = None
    """When it was revoked, and its key burnt; null: it was not."""


def register(federation: Federation) -> list[AdmittedSite]:
    """Return every entry, those of revoked sites too, by name and then by time.

    Raises:
        ConfigError: an entry cannot be read.
    """
    fix = "bring the entry back from a copy, or take it away and admit the site anew"
    entries = [load_yaml(path, AdmittedSite, fix=fix) for path in federation.sites.glob("*.yaml")]
    return sorted(entries, key=lambda one: (one.name, one.admitted))


def admitted_sites(federation: Federation) -> dict[str, AdmittedSite]:
    """Return the sites that may take part: admitted, registered, not revoked.

    Raises:
        ConfigError: an entry cannot be read.
    """
    return {
        site.name: site
        for site in register(federation)
        if site.revoked is None and site.node_id is not None
    }


def known_entry(
    federation: Federation, request: EnrolmentRequest, name: str
) -> AdmittedSite | None:
    """Return the entry that a request would complete or repeat; None: it is a new site.

    Raises:
        ConfigError: the name is another site's, or the key was revoked, or is another name's.
    """
    for site in register(federation):
        if site.public_key == request.public_key:
            if site.revoked is not None:
                raise ConfigError(
                    f"this key was revoked on {site.revoked:%Y-%m-%d} and is burnt", fix=_NEW_KEY
                )
            if site.name != name:
                raise ConfigError(
                    f"this key was admitted under the name {site.name}",
                    fix=f"admit the request with --name {site.name}, or revoke that site first",
                )
            return site
    if any(site.name == name and site.revoked is None for site in register(federation)):
        raise ConfigError(
            f"there is a site {name} already, with another key",
            fix=f"choose another name with --name; or, if the hospital has lost its key, revoke "
            f"the old one with `leukofed-server revoke {name}`",
        )
    return None


def admit(federation: Federation, request: EnrolmentRequest, name: str) -> AdmittedSite:
    """Register a site's key under a name; for a site that is admitted already, change nothing.

    Raises:
        ConfigError: as `known_entry` says.
        LinkError: the SuperLink does not answer; the same call will complete what is missing.
    """
    nodes(federation)  # is it there at all? If not, nothing is begun
    with held(federation.sites):
        entry = known_entry(federation, request, name)
        if entry is None:
            _keep_burnt(federation, name)
            entry = AdmittedSite(
                name=name, public_key=request.public_key, version=request.leukofed,
                contact=request.contact, admitted=_now(),
            )  # fmt: skip
            _write(federation, entry)
        return entry if entry.node_id is not None else _at_link(federation, entry)


def revoke(federation: Federation, name: str) -> AdmittedSite:
    """Cut a site off, and burn its key; for one that is cut off already, make sure that it is.

    Raises:
        ConfigError: no such site.
        LinkError: the SuperLink does not answer; the register says revoked, the same call repeats.
    """
    with held(federation.sites):
        return _revoked(federation, name)


def _revoked(federation: Federation, name: str) -> AdmittedSite:
    found = [site for site in register(federation) if site.name == name]
    if not found:
        raise ConfigError(
            f"there is no site {name}", fix="see `leukofed-server sites` for their names"
        )
    entry = next((site for site in found if site.revoked is None), found[-1])
    if entry.revoked is None:
        entry = entry.model_copy(update={"revoked": _now()})
        _write(federation, entry)
    if entry.node_id is None:  # half admitted: the SuperLink may know its key, and must burn it
        entry = _at_link(federation, entry)
    try:
        _unregister(federation, entry)
    except LinkError:
        if entry.node_id in nodes(federation):  # else an earlier call has done it
            raise
    return entry


def register_all(federation: Federation) -> list[str]:
    """Bring a SuperLink's database, a new one perhaps, to what the register says.

    Returns:
        Names of the sites that had to be registered.

    Raises:
        ConfigError: an entry cannot be read.
        LinkError: the SuperLink does not answer.
    """
    keys = [site.public_key for site in register(federation)]
    there, added = nodes(federation) if keys else {}, []
    for key in keys:
        # One by one, and as the register is now: a command may have revoked it meanwhile.
        with held(federation.sites):
            for site in register(federation):
                if site.public_key != key:
                    continue
                if site.revoked is not None and site.node_id in there:
                    _unregister(federation, site)
                elif site.revoked is None and site.node_id not in there:
                    _at_link(federation, site)
                    added.append(site.name)
    return added


def nodes(federation: Federation) -> dict[int, Mapping[str, Any]]:
    """Return what the SuperLink says of its nodes, by number; without those unregistered.

    Raises:
        LinkError: the SuperLink does not answer.
    """
    told = flwr(federation, "supernode", "list", SUPERLINK)["nodes"]
    return {int(node["node-id"]): node for node in told if node["status"] not in _GONE}


def _at_link(federation: Federation, entry: AdmittedSite) -> AdmittedSite:
    """Register an entry's key at the SuperLink, and note the node's number."""
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
        file.write(f"{entry.public_key}\n")
        file.flush()
        try:
            told = flwr(
                federation, "supernode", "register", file.name, SUPERLINK, "--name", entry.name
            )
            number = int(told["node-id"])
        except LinkError as error:
            if _IN_USE not in error.local_detail:
                raise
            number = _unnoted(federation, error)
    noted = entry.model_copy(update={"node_id": number})
    _write(federation, noted)
    return noted


def _unnoted(federation: Federation, error: LinkError) -> int:
    """Find the node of a key that was registered by a command which then broke off.

    Flower's command lists numbers, no keys or names: it is the one that no entry names.
    """
    known = {site.node_id for site in register(federation)}
    strangers = [number for number in nodes(federation) if number not in known]
    if len(strangers) != 1:
        raise LinkError(
            "the SuperLink knows this key already, and which of its nodes has it cannot be told",
            fix=_NEW_KEY,
            local_detail=error.local_detail,
        ) from error
    return strangers[0]


def _unregister(federation: Federation, entry: AdmittedSite) -> None:
    flwr(federation, "supernode", "unregister", entry.node_id, SUPERLINK)


def _keep_burnt(federation: Federation, name: str) -> None:
    """Move a revoked site's entry aside for a new one of the same name."""
    place = _entry_file(federation, name)
    if place.exists():
        number = sum(site.name == name for site in register(federation))
        place.rename(place.with_name(f"{name}.revoked-{number}.yaml"))


def _write(federation: Federation, entry: AdmittedSite) -> None:
    told = f"{_HEAD}# fingerprint: {fingerprint(entry.public_key)}\n{dump_yaml(entry)}"
    try:
        write_whole(_entry_file(federation, entry.name), told.encode(), mode=0o600)
    except OSError as error:
        raise ConfigError(
            f"the register cannot be written: {error.strerror}",
            fix="work as the federation's owner, on a disk with room",
            local_detail=str(error),
        ) from error


def _entry_file(federation: Federation, name: str) -> Path:
    return federation.sites / f"{name}.yaml"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
