"""What each phase cost: bytes down, bytes up and seconds of work, per site."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What was carried and worked."""

    down: int = 0  # bytes from the coordinator
    up: int = 0  # bytes to the coordinator
    seconds: float = 0.0  # of work, as the site tells

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.down + other.down, self.up + other.up, self.seconds + other.seconds)


class Accounts:
    """Costs that add, by phase and site."""

    def __init__(self) -> None:
        self.phases: dict[str, dict[str, Cost]] = {}

    def add(self, phase: str, site: str, cost: Cost) -> None:
        """Add a cost."""
        sites = self.phases.setdefault(phase, {})
        sites[site] = sites.get(site, Cost()) + cost

    def to_json(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return plain data: phase, site, then the fields of `Cost`."""
        return {
            phase: {site: asdict(cost) for site, cost in sites.items()}
            for phase, sites in self.phases.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> "Accounts":
        """Rebuild accounts from `to_json`'s plain data."""
        accounts = cls()
        for phase, sites in data.items():
            for site, fields in sites.items():
                accounts.add(phase, site, Cost(**fields))
        return accounts
