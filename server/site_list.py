"""What the coordinator can say of each site: from the register, the SuperLink and the last run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common.durations import duration
from common.errors import CorruptFile
from common.kit import fingerprint
from common.record import read_record
from server.control import LinkError
from server.federation import Federation
from server.intake import printable
from server.sites import AdmittedSite, nodes, register


@dataclass(frozen=True)
class SiteState:
    """A line of `leukofed-server sites`."""

    name: str
    fingerprint: str
    state: str
    """`online`, `offline`, `never seen`, `revoked`, `not registered` or `unknown`."""
    last_seen: datetime | None
    """When the node was last known to be online; of one that is, now."""
    version: str
    """Version of leukofed there, as the last census told, or else its request."""
    contact: str
    admitted: datetime
    revoked: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; times in ISO 8601, UTC."""
        return {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in vars(self).items()
        }


def site_states(federation: Federation) -> tuple[list[SiteState], LinkError | None]:
    """Return every site of the register, and why the SuperLink could not be asked, if so.

    Raises:
        ConfigError: an entry of the register cannot be read.
    """
    entries, versions = register(federation), _census_versions(federation)
    there: Mapping[int, Mapping[str, Any]] | None = {}
    failure = None
    try:
        there = nodes(federation) if entries else {}
    except LinkError as error:
        there, failure = None, error
    return [_state(one, there, versions) for one in entries], failure


def _state(
    site: AdmittedSite,
    there: Mapping[int, Mapping[str, Any]] | None,
    versions: Mapping[str, str],
) -> SiteState:
    state, seen = presence(site, there)
    return SiteState(
        site.name, fingerprint(site.public_key), state, seen,
        site.version if site.revoked else versions.get(site.name, site.version),
        site.contact, site.admitted, site.revoked,
    )  # fmt: skip


def presence(
    site: AdmittedSite, there: Mapping[int, Mapping[str, Any]] | None
) -> tuple[str, datetime | None]:
    """Return a site's state in a word or two, and when its node was last known to be online.

    Args:
        site: the register's entry.
        there: the SuperLink's nodes; None: it could not be asked.
    """
    if there is None:
        return ("revoked" if site.revoked else "unknown"), None
    node = None if site.node_id is None else there.get(site.node_id)
    if site.revoked:
        return ("revoked" if node is None else "revoked, still registered"), None
    if node is None:
        return "not registered", None
    if node["status"] == "online":
        return "online", datetime.now(UTC).replace(microsecond=0)
    if node["status"] == "registered":
        return "never seen", None
    return str(node["status"]), _time(node["offline-at"])


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace(" ", "T", 1))
    except ValueError:
        return None


def _census_versions(federation: Federation) -> dict[str, str]:
    """Return the versions that the newest run's census told, by site."""
    records = list(federation.runs.glob("*/record.jsonl"))
    for path in sorted(records, key=lambda one: one.stat().st_mtime, reverse=True):
        try:
            events = read_record(path)
        except CorruptFile:
            continue
        for event in reversed(events):
            if event.get("event") == "round" and event.get("phase") == "census":
                return {
                    site: printable(str(told.get("software", {}).get("leukofed", "")), 40)
                    for site, told in event.get("census", {}).items()
                }
    return {}


def ago(then: datetime, now: datetime) -> str:
    """Say how long ago something was: `now`, `3 min 20 s ago`, `4 days ago`."""
    passed = now - then
    if passed < timedelta(seconds=10):
        return "now"
    if passed >= timedelta(days=2):
        return f"{passed.days} days ago"
    return f"{duration(passed.total_seconds())} ago"
