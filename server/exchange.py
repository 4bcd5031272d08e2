"""An exchange while it runs: who is asked what, who has answered, and what it has cost."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from common.asks import Ask
from common.log_head import LogHead
from common.wire import Reply, Request, Step
from server.accounts import Cost
from server.checkpoints import Part

Take = Callable[[str, Reply], None]
"""Receives a site's name and its reply; raises UpdateRejected to refuse it."""


@dataclass
class Exchange:
    """The state of one exchange; `server.rounds` moves it on."""

    requests: dict[str, Request]  # by site, without arrays
    parts: Mapping[str, Part]
    take: Take
    quorum: int
    unasked: dict[str, str]  # site -> why it could not be asked yet
    pending: dict[str, str] = field(default_factory=dict)  # message id -> site
    accepted: set[str] = field(default_factory=set)
    nodes: dict[str, int] = field(default_factory=dict)  # sites asked, and Flower's number for them
    resent: set[str] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)  # deliveries that failed, by site
    costs: dict[str, Cost] = field(default_factory=dict)  # by site
    log_heads: dict[str, LogHead] = field(default_factory=dict)  # by site that replied
    began: float = field(default_factory=time.monotonic)
    met: float | None = None  # when the grace began, in seconds of the monotonic clock

    @classmethod
    def of(
        cls,
        sites: Collection[str],
        ask: Ask,
        parts: Mapping[str, Part],
        take: Take,
        quorum: int,
        **step: str | int,
    ) -> "Exchange":
        """Open an exchange with some sites; `step` is the step of all, without the site."""
        digests = {name: part.digest for name, part in parts.items()}
        requests = {
            site: Request(Step.model_validate({**step, "site": site}), ask, digests)
            for site in sites
        }
        return cls(requests, parts, take, quorum, dict.fromkeys(sites, ""))

    @property
    def seconds(self) -> float:
        """How long it has lasted, in seconds, to the millisecond."""
        return round(time.monotonic() - self.began, 3)

    def charge(self, site: str, cost: Cost) -> None:
        """Add a cost."""
        self.costs[site] = self.costs.get(site, Cost()) + cost

    def waits(self, grace_s: float, away: Collection[str]) -> bool:
        """Say whether the exchange waits on.

        Below the quorum it waits for everyone. Else it waits for the replies of sites that were
        not away before; and for as long as the grace lasts for the replies of those that were,
        and for sites that could not be asked yet and were not away before.

        Args:
            grace_s: from when no other reply is waited for, in seconds.
            away: sites that did not come back, or never answered, when they were waited for last.
        """
        if len(self.accepted) < self.quorum:
            return bool(self.unasked or self.pending)
        if not set(away).issuperset(self.pending.values()):
            return True
        if self.met is None:
            self.met = time.monotonic()
        has_time = time.monotonic() < self.met + grace_s
        return has_time and (bool(self.pending) or not self.unasked.keys() <= set(away))
