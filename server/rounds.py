"""One exchange with the sites: ask, poll, take in each reply as it arrives, count the quorum.

A site is known by its name. Whatever is wrong with a site's reply costs that reply only.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from flwr.serverapp import Grid

from common.asks import Ask
from common.errors import RunStopped, UpdateRejected
from common.log_head import split_head
from common.record import Record
from common.study.schema import Study
from common.wire import Step, WireError, decode_reply, encode_request
from server.accounts import Accounts, Cost
from server.attendance import Register
from server.carrier import Carrier, Seal, Undelivered, unsealed
from server.checkpoints import Part
from server.deadlines import Paces, Patience, wait_s
from server.exchange import Exchange, Take
from server.intake import check_answers, printable
from server.late import LateReplies, Owed
from server.log_heads import LogHeads
from server.node_keys import NodeKey
from server.progress import DONE, Watch

_ATTEMPTS = 5  # at one exchange with one site
Loss = Literal["missing", "refused", "rejected"]
_BELOW_QUORUM = (
    "see in the record what kept each site away, mend it, then resume the run; "
    "it goes on after its last checkpoint"
)
_CHANGED_LOG = "ask this hospital to run `leukofed-site log --verify --record` with this record"


class Rounds:
    """Carries requests to the sites of one run over Flower, and their replies back.

    Args:
        grid: Flower's, or the in-process one.
        study: supplies digest, sites and quorum.
        run: name of the run; with the digest it marks every step.
        record: takes an event for each exchange and each reply that does not count.
        watch: shows them.
        deadline_s: how long an exchange waits for replies at most, in seconds. Replies that are
            there when it ends are still taken in.
        accounts: bytes and seconds are added to them; by default to empty ones.
        poll_s: pause between two looks for replies, in seconds.
        pauses_s: pauses before a failed call to Flower is tried again, in seconds.
        grace_s: how long an exchange waits for sites that are away once all that were asked have
            answered, and the quorum among them, in seconds; for a site that did not come back,
            not a second time.
        seal: puts the coordinator's signature before a request.
        keys: the key under which each site was admitted, None where nodes have none.
        patience: how long it waits for a site whose pace is known, once the quorum has answered;
            by default as `server.deadlines` says, and never longer than `deadline_s`.

    Raises:
        CorruptFile: the record of this run so far cannot be read.
    """

    def __init__(
        self,
        grid: Grid,
        study: Study,
        run: str,
        record: Record,
        watch: Watch,
        deadline_s: float,
        *,
        accounts: Accounts | None = None,
        poll_s: float = 0.5,
        pauses_s: Sequence[float] = (1.0, 3.0, 9.0),
        grace_s: float = 0.0,
        seal: Seal = unsealed,
        keys: Mapping[str, NodeKey] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._carrier = Carrier(grid, ttl_s=2 * deadline_s, pauses_s=pauses_s, seal=seal, keys=keys)
        self.grace_s = grace_s
        self.study = study
        self.run = run
        self.record = record
        self.watch = watch
        self.deadline_s = deadline_s
        self.patience = patience or Patience(deadline_s)
        self.rehearsal = False  # whether sites are to answer from generated images
        self.accounts = accounts or Accounts()
        self.paces = Paces()
        self.register = Register()
        self.poll_s = poll_s
        self._study_digest = study.digest
        self._log_heads = LogHeads(record, study.sites)
        self._held: dict[str, dict[str, str]] = {}  # site -> part -> digest it last worked with
        self._late = LateReplies()
        self._away: set[str] = set()  # sites that did not come back within the grace

    def exchange(
        self,
        *,
        phase: str,
        round: int,
        exchange: int,
        ask: Ask,
        parts: Mapping[str, Part],
        take: Take,
        sites: Iterable[str] | None = None,
        quorum: int | None = None,
    ) -> list[str]:
        """Ask every site once and hand each usable reply to `take` as it arrives.

        Sites that are not connected, or still busy with an earlier step, are asked as soon as
        they can be, while the exchange lasts; it is prolonged for them below the quorum, and
        within the grace. What is lost on the way is asked again.

        Args:
            phase: of the study.
            round: of the phase, from 1; 0 where a phase has no rounds.
            exchange: of the round, from 0.
            ask: what every site is asked.
            parts: the arrays the work needs, by name; one that a site last worked with stays there.
            take: receives site and reply, one at a time, in order of arrival. To refuse a reply
                it raises UpdateRejected, and does so before it has changed anything.
            sites: whom to ask; by default all of the study.
            quorum: fewest usable replies; by default the study's.

        Returns:
            The sites whose replies were taken, in the order of `sites`.

        Raises:
            RunStopped: fewer replies than the quorum were usable, or Flower cannot be reached.
        """
        invited = tuple(self.study.sites if sites is None else sites)
        where: dict[str, str | int] = {"phase": phase, "round": round, "exchange": exchange}
        needed = self.study.quorum if quorum is None else quorum
        opened = Exchange.of(
            invited, ask, parts, take, needed, study=self._study_digest, run=self.run,
            rehearsal=self.rehearsal, **where,
        )  # fmt: skip
        self._run_to_its_end(opened)
        self.record.write("exchange", **where, ask=ask.kind, **opened.account())
        if problem := opened.shortfall:
            stopped = RunStopped(f"{phase}, round {round}: {problem}", fix=_BELOW_QUORUM)
            self.record.write("stopped", **where, problem=stopped.problem)
            raise stopped
        return opened.counted

    def _run_to_its_end(self, opened: Exchange) -> None:
        end = time.monotonic() + self.deadline_s
        self._collect_late()
        while True:
            self._invite(opened)
            if self._collect(opened):
                continue  # what was lost is asked again before anything else is decided
            if not opened.waits(self.grace_s, self._away):
                break
            if (left := end - time.monotonic()) <= 0:
                break
            time.sleep(min(self.poll_s, left))
        for site, why in list(opened.unasked.items()):
            self._away.add(site)
            self._lose(opened, site, "missing", why, "see that this site's service is running")
        for key, site in opened.pending.items():
            waited_s = opened.waited_s(site)
            self._late.add(key, Owed(opened.requests[site].step, opened.work, waited_s))
            self._away.add(site)
            why = f"no reply within {waited_s:.1f} s"
            fix = "see that this site is working, or allow more time"
            self._lose(opened, site, "missing", why, fix)

    def _invite(self, opened: Exchange) -> None:
        if not opened.unasked:
            return
        self._collect_late()
        nodes = self._carrier.nodes()
        busy = self._late.busy
        for site in list(opened.unasked):
            here = nodes.get(site, [])
            if site in busy:
                step = busy[site]
                why = f"it is still busy with {step.phase}, round {step.round}"
            elif len(here) != 1:
                why = f"{len(here)} nodes carry its name" if here else "it is not connected"
            else:
                why = ""
                opened.nodes[site] = here[0]
                opened.met = None  # should it be lost again, it has the whole grace
            opened.unasked[site] = why
            if not why:
                del opened.unasked[site]
                held = self._held.get(site, {})
                self._send(
                    opened, site, [n for n, p in opened.parts.items() if p.digest != held.get(n)],
                    held,
                )  # fmt: skip

    def _send(
        self, opened: Exchange, site: str, travelling: Iterable[str], held: Mapping[str, str]
    ) -> None:
        request = opened.carrying(site, travelling, held)
        data = encode_request(request)
        self._watch_site(request.step, "asked", 0.0)
        group = f"{request.step.phase}-{request.step.round}-{request.step.exchange}"
        key = self._carrier.push(opened.nodes[site], group, data)
        if key is None:
            fix = "see the SuperLink's log for what it refused"
            self._lose(opened, site, "missing", "Flower did not take the request", fix)
            return
        self._charge(opened, site, Cost(down=len(data)))
        opened.pending[key] = site
        slowest = self.paces.of(site, request.step.phase, opened.work)
        opened.sent(site, wait_s(slowest, self.patience))

    def _collect(self, opened: Exchange) -> bool:
        """Take in what has arrived, one reply in memory at a time; tell whether anything had."""
        before = dict(opened.pending)
        for key, site in before.items():
            try:
                if (data := self._carrier.pull(key)) is None:
                    continue
                self._receive(opened, site, data)
            except Undelivered as error:
                self._ask_again(opened, site, error)
            except (WireError, UpdateRejected) as error:
                self._lose(opened, site, "rejected", error.problem, error.fix)
            del opened.pending[key]
        return opened.pending != before

    def _receive(self, opened: Exchange, site: str, data: bytes) -> None:
        request = opened.requests[site]
        opened.hear(site)
        self._charge(opened, site, Cost(up=len(data)))
        head, body = split_head(data)
        reply = decode_reply(body)
        check_answers(request, reply)
        opened.log_heads[site] = head
        if problem := self._log_heads.take(site, head):  # the hospital's own log: the run goes on
            self._tell("rewound", request.step, problem, fix=_CHANGED_LOG)
        self._charge(opened, site, Cost(seconds=reply.seconds))
        if reply.status == "needs-parts":
            opened.resend(site)
            self._send(opened, site, sorted(set(reply.needs)), {})
        elif reply.status == "refused":
            problem, fix = printable(reply.problem), printable(reply.fix)
            self._lose(opened, site, "refused", problem, fix)
        else:
            opened.take(site, reply)
            self.paces.learn(site, request.step.phase, opened.work, opened.accept(site, reply))
            self.register.note(request.step.phase, request.step.round, site, "answered")
            self._away.discard(site)
            self._held.setdefault(site, {}).update(request.parts)
            self._watch_site(request.step, DONE, reply.seconds)

    def _ask_again(self, opened: Exchange, site: str, error: Undelivered) -> None:
        """Ask once more what was lost on the way: a site answers each step once, whoever asks."""
        opened.lost[site] += 1
        most = 1 if site in self._away else _ATTEMPTS
        if not error.passes or opened.lost[site] >= most:
            self._away.add(site)
            self._lose(opened, site, "missing", error.problem, error.fix)
            return
        step = opened.requests[site].step
        self._tell("again", step, error.problem)
        opened.unasked[site] = error.problem
        opened.resent.discard(site)

    def _charge(self, opened: Exchange, site: str, cost: Cost) -> None:
        self.accounts.add(opened.requests[site].step.phase, site, cost)
        opened.charge(site, cost)

    def _lose(self, opened: Exchange, site: str, loss: Loss, problem: str, fix: str) -> None:
        step = opened.requests[site].step
        opened.unasked.pop(site, None)
        self.register.note(step.phase, step.round, site, loss)
        self._watch_site(step, loss, 0.0)
        self._tell(loss, step, problem, fix=fix)

    def _collect_late(self) -> None:
        """Drop the replies to earlier steps that have come since; only their pace is kept."""
        for arrived in self._late.collect(self._carrier):
            step = arrived.owed.step
            self.accounts.add(step.phase, step.site, Cost(up=arrived.size))
            if arrived.size:
                self.register.came_late(step.phase, step.round, step.site)
            if arrived.pace is not None:
                self.paces.learn(step.site, step.phase, arrived.owed.work, arrived.pace)
                self._away.discard(step.site)  # it is slow, and not away
            self._tell("late", step, arrived.problem)

    def _tell(self, event: str, step: Step, problem: str, **fix: str) -> None:
        where = {"phase": step.phase, "round": step.round, "exchange": step.exchange}
        self.record.write(event, **where, site=step.site, problem=problem, **fix)
        self.watch.note(f"{step.site}, {step.phase}, round {step.round}: {event}: {problem}")

    def _watch_site(self, step: Step, status: str, seconds: float) -> None:
        self.watch.site(step.phase, step.round, step.site, status, seconds)
