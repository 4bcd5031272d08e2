"""An exchange while it runs: who is asked what, who has answered, and what it has cost."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from common.asks import Ask
from common.errors import UpdateRejected
from common.log_head import LogHead
from common.wire import Reply, Request, Step
from server.accounts import Cost
from server.checkpoints import Part
from server.deadlines import Pace, examples_told, work_name

Take = Callable[[str, Reply], None]
"""Receives a site's name and its reply; raises UpdateRejected to refuse it."""


@dataclass
class Exchange:
    """The state of one exchange; `server.rounds` moves it on."""

    work: str  # whose pace is learned
    requests: dict[str, Request]  # by site, without arrays
    parts: Mapping[str, Part]
    take: Take
    quorum: int
    unasked: dict[str, str]  # site -> why it could not be asked yet
    pending: dict[str, str] = field(default_factory=dict)  # message id -> site
    accepted: set[str] = field(default_factory=set)
    nodes: dict[str, int] = field(default_factory=dict)  # sites asked, and Flower's number for them
    asked: dict[str, float] = field(default_factory=dict)  # by site, of the monotonic clock
    allowed_s: dict[str, float] = field(default_factory=dict)  # how long each may take
    heard_s: dict[str, float] = field(default_factory=dict)  # how long each took to reply
    paces: dict[str, Pace] = field(default_factory=dict)  # by site whose reply was taken
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
        **step: str | int | bool,
    ) -> "Exchange":
        """Open an exchange with some sites; `step` is the step of all, without the site."""
        digests = {name: part.digest for name, part in parts.items()}
        requests = {
            site: Request(Step.model_validate({**step, "site": site}), ask, digests)
            for site in sites
        }
        return cls(work_name(ask), requests, parts, take, quorum, dict.fromkeys(sites, ""))

    @property
    def seconds(self) -> float:
        """How long it has lasted, in seconds, to the millisecond."""
        return round(time.monotonic() - self.began, 3)

    @property
    def counted(self) -> list[str]:
        """The sites whose replies were taken, in the order in which they were named."""
        return [site for site in self.requests if site in self.accepted]

    @property
    def shortfall(self) -> str:
        """What is lacking to the quorum, in words; empty if nothing is."""
        if len(self.accepted) >= self.quorum:
            return ""
        return (
            f"{len(self.accepted)} of {len(self.requests)} sites answered usably, and the quorum "
            f"is {self.quorum}"
        )

    def carrying(self, site: str, names: Iterable[str], held: Mapping[str, str]) -> Request:
        """Return a site's request with some parts.

        Args:
            site: whom it is for.
            names: of the parts.
            held: digests of the parts that the site is believed to hold, by name. Where one of
                them is what a coded step starts from, the step travels instead of the part.
        """
        arrays, since = {}, {}
        for name in names:
            step = self.parts[name].step
            if step is not None and step.since == held.get(name):
                arrays[name], since[name] = step.coded, step.since
            else:
                arrays[name] = self.parts[name].arrays
        return replace(self.requests[site], arrays=arrays, since=since)

    def sent(self, site: str, allowed_s: float) -> None:
        """Note that a site is asked now, and how long it may take."""
        self.asked[site] = time.monotonic()
        self.heard_s.pop(site, None)
        self.allowed_s[site] = allowed_s

    def resend(self, site: str) -> None:
        """Note that a site is sent parts again.

        Raises:
            UpdateRejected: it was sent them a moment ago.
        """
        if site in self.resent:
            raise UpdateRejected(
                site, "it calls for parts that it was just sent", fix="see this site's own log"
            )
        self.resent.add(site)

    def hear(self, site: str) -> None:
        """Note that a site has replied."""
        self.heard_s[site] = self.waited_s(site)

    def waited_s(self, site: str) -> float:
        """Return how long a site was waited for since it was last asked, in seconds."""
        if site in self.heard_s:
            return self.heard_s[site]
        return round(time.monotonic() - self.asked.get(site, self.began), 3)

    def accept(self, site: str, reply: Reply) -> Pace:
        """Note that a site's reply was taken; return the pace that it tells of."""
        self.accepted.add(site)
        # A reply that a site had kept, asked again after a crash, comes at once.
        seconds = max(self.waited_s(site), reply.seconds)
        self.paces[site] = Pace(seconds, examples_told(reply.told))
        return self.paces[site]

    def account(self) -> dict[str, Any]:
        """Return what the record tells of it, by site where it concerns one."""
        return {
            "work": self.work,
            "rehearsal": any(request.step.rehearsal for request in self.requests.values()),
            "invited": list(self.requests),
            "accepted": self.counted,
            "seconds": self.seconds,
            "waited_s": {site: self.waited_s(site) for site in self.requests},
            "allowed_s": {site: round(allowed, 3) for site, allowed in self.allowed_s.items()},
            "work_s": {site: cost.seconds for site, cost in self.costs.items()},
            "examples": {site: pace.examples for site, pace in self.paces.items()},
            "bytes_down": {site: cost.down for site, cost in self.costs.items()},
            "bytes_up": {site: cost.up for site, cost in self.costs.items()},
            "log_heads": {site: head.model_dump() for site, head in self.log_heads.items()},
        }

    def charge(self, site: str, cost: Cost) -> None:
        """Add a cost."""
        self.costs[site] = self.costs.get(site, Cost()) + cost

    def waits(self, grace_s: float, away: Collection[str]) -> bool:
        """Say whether the exchange waits on.

        Below the quorum it waits for everyone. Else it waits for the replies of sites that were
        not away before and have not used up the time allowed to each; and for as long as the grace
        lasts for the replies of those that were away, and for sites that could not be asked yet
        and were not away before.

        Args:
            grace_s: from when no other reply is waited for, in seconds.
            away: sites that did not come back, or never answered, when they were waited for last.
        """
        if len(self.accepted) < self.quorum:
            return bool(self.unasked or self.pending)
        now, asked = time.monotonic(), set(self.pending.values())
        if any(now < self.asked[site] + self.allowed_s[site] for site in asked - set(away)):
            return True
        if self.met is None:
            self.met = now
        is_awaited = asked & set(away) or self.unasked.keys() - set(away)
        return now < self.met + grace_s and bool(is_awaited)
