"""The one door out of a site: gate, outbox and log, in this order, for every reply."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from client.egress.gate import check_request, check_size, check_volume
from client.egress.log import EgressLog, Passage, passage
from client.egress.outbox import Outbox
from client.site_config import Limits
from common.errors import CorruptFile, RequestRefused
from common.log_head import LogHead, with_head
from common.parts import Arrays
from common.study.schema import Study
from common.wire import Request, Step

_MOST_TOLD = 1000  # refusals that are remembered as logged


class Door:
    """What leaves a site, leaves here.

    A step of a run is answered once. The same request gets the same reply again, as long as no
    later round was admitted; another request for the same step is refused. So a coordinator
    cannot collect two answers to one step and learn from their difference, unless it starts a new
    run, of which the hospital allows so many.

    Every reply leaves behind the head of the log, in which its own line then stands. So the
    coordinator can tell later which lines the log held, though it never sees one.

    Args:
        state: the site's own folder; holds `egress.jsonl`, `egress.head` and `outbox/`.
        site: the site's name.
        limits: the hospital's rules.
    """

    def __init__(self, state: Path, site: str, limits: Limits) -> None:
        self.site = site
        self.limits = limits
        self.log = EgressLog(state / "egress.jsonl")
        self.outbox = Outbox(state / "outbox")
        self._owed: list[Passage] = []  # lines that the disk refused
        self._told: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._complete()

    def earlier(self, request: Request) -> bytes | None:
        """Return the reply that was released for this very request, None if nothing was.

        Its line is added to the log if that could not be written at the time.

        Returns:
            The log's head as it is now, and the reply as it was.

        Raises:
            RequestRefused: the step was answered to another request, or its bytes are gone.
            CorruptFile: what was released is damaged.
        """
        with _disk():
            released = self.outbox.find(request.step)
            if released is None:
                return None
            if released.line.request != request.digest:
                raise RequestRefused(
                    "this step was answered already, to another request",
                    fix="start a new run; a site answers each step once",
                )
            if released.reply is None:
                raise RequestRefused(
                    "this step was answered, and a later round confirmed that the answer arrived, "
                    "or the hospital had its bytes forgotten",
                    fix="resume the run from its last checkpoint, or start a new run",
                )
            if released.line not in self.log:
                self._log(released.line)
            return with_head(released.reply, self.log.head)

    def admit(self, request: Request, study: Study) -> None:
        """Let a request in; the bytes released in earlier rounds are forgotten.

        Args:
            request: what is asked; `earlier` returned None for it.
            study: the approved study that it belongs to.

        Raises:
            RequestRefused: it is meant for another site, the hospital's rules forbid it, or its
                round is over.
        """
        if request.step.site != self.site:
            raise RequestRefused(
                f"the request is for site {request.step.site}, this is {self.site}",
                fix="compare the site names at both ends",
            )
        with _disk():
            answered = self.outbox.answered(request.step)
            check_request(request, study, self.limits, answered)
            self._check_day(0)  # before the work, too: it would be in vain
            if not answered and self.outbox.other_runs(request.step) >= self.limits.most_runs:
                raise RequestRefused(
                    f"this site has answered in {self.limits.most_runs} other runs of the study, "
                    "and allows no more",
                    fix="resume one of them, or agree with the hospital on `limits.most_runs`",
                )
            if self.outbox.is_past(request.step):
                raise RequestRefused(
                    f"round {request.step.round} of phase {request.step.phase} is over: this site "
                    "has answered a later round of the run",
                    fix="resume the run from its last checkpoint, or start a new run",
                )
            self.outbox.confirm(request.step)

    def owed(self, step: Step) -> Arrays:
        """Return what the last reply before a step, in its phase, has left out (`Outbox.owed`).

        Raises:
            RequestRefused: it cannot be read.
            CorruptFile: it is damaged.
        """
        with _disk():
            return self.outbox.owed(step)

    def owe(self, step: Step, left: Arrays) -> None:
        """Keep what a step's reply, yet to be released, leaves out. It stays at this site.

        Raises:
            RequestRefused: it cannot be written.
        """
        with _disk():
            self.outbox.owe(step, left)

    def release(self, request: Request, reply: bytes) -> bytes:
        """Let the answer to an admitted request out; the caller sends what is returned.

        Args:
            request: what was asked.
            reply: an encoded `common.wire.Reply`.

        Returns:
            The log's head, and the reply.

        Raises:
            RequestRefused: the answer is larger than the site sends, at once or in a day, or cannot
                be kept.
            CorruptFile: the log is damaged at its end.
        """
        check_size(len(reply), self.limits)
        line = passage(request, reply)
        with _disk():
            self._check_day(len(reply))
            self.outbox.store(request.step, line, reply)
            try:
                head = self._log(line)
            except (OSError, CorruptFile):
                self._owed.append(line)
                raise
        return with_head(reply, head)

    def turn_away(self, request: Request, reply: bytes, local_detail: str = "") -> bytes:
        """Let out a reply without results: a refusal, or a call for parts. It answers no step.

        One that was let out before, word for word, is not logged again: else whoever can repeat a
        request could fill the disk.

        Args:
            request: what was asked.
            reply: an encoded `common.wire.Reply`.
            local_detail: what the hospital should know besides; it goes to the log only.

        Returns:
            The log's head, and the reply.

        Raises:
            RequestRefused: the log cannot be written.
            CorruptFile: the log is damaged at its end.
        """
        line = passage(request, reply, local_detail)
        told = (line.request, line.status, line.problem)
        with _disk():
            if told in self._told:
                return with_head(reply, self.log.head)
            head = self._log(line)
        self._told[told] = None
        if len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)
        return with_head(reply, head)

    def _check_day(self, size: int) -> None:
        if self.limits.most_mb_a_day is not None:
            day_ago = datetime.now(UTC) - timedelta(days=1)
            sent = self.log.bytes_since(day_ago.isoformat(timespec="milliseconds"))
            check_volume(size, sent, self.limits)

    def _log(self, line: Passage) -> LogHead:
        """Append a line; before it, those of stored replies that the disk refused."""
        while self._owed:
            if self._owed[0] not in self.log:
                self.log.append(self._owed[0])
            self._owed.pop(0)
        return self.log.append(line)

    def _complete(self) -> None:
        """Add the line that a process, killed between outbox and log, left out.

        Only the newest release can lack it. Its reply may never be asked for again, so the log
        would lack the line for ever, as if someone had removed it.
        """
        # What stands in the way is told with the first request, which needs the same files.
        with suppress(CorruptFile, OSError):
            newest = self.outbox.newest()
            if newest is not None and newest not in self.log:
                self.log.append(newest)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RequestRefused(
            f"the site's own records cannot be kept: {error.strerror}",
            fix="make room in the site's state folder, or correct its permissions",
            local_detail=str(error.filename),
        ) from error
