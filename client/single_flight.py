"""One piece of work at a time: who may start it, who waits for it, and what stops it."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from common.errors import LeukofedError
from common.signing import Signed
from common.study.phases import PHASE_ORDER
from common.troubles import Trouble, Unanswered
from common.wire import Step, WireError

_LOG = logging.getLogger("leukofed.worker")
Work: TypeAlias = Callable[[bytes], bytes]


class Interrupted(Exception):  # noqa: N818 - reads as an outcome
    """The work was stopped between two batches; nothing of it was released."""


@dataclass(eq=False)
class Flight:
    """A piece of work, from its acceptance to its reply."""

    signed: Signed
    since: float = field(default_factory=time.monotonic)
    beat: float = field(default_factory=time.monotonic)
    """When it last made progress."""
    beats: int = 0
    progress: tuple[int, int] = (0, 0)  # views that have passed the frozen fronts, and of how many
    stop: Trouble | None = None
    reply: bytes | None = None
    trouble: Trouble | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def step(self) -> Step:
        """Where in the run it belongs."""
        return self.signed.request.step

    def result(self) -> bytes:
        """Return the reply; `ended` is set.

        Raises:
            Unanswered: there is none.
        """
        if self.reply is None:
            raise Unanswered(self.trouble or Trouble.FAILED)
        return self.reply


class SingleFlight:
    """Takes in signed requests, and lets one of them at a time be worked on.

    The same request attaches to the work in progress. A newer one, of a later launch, or of the
    same launch and run and a later step, takes its place: the work ends at its next batch.

    Args:
        work: turns an encoded request into a headed reply; it runs in one thread of its own, and
            calls `pulse` between batches.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lock = threading.Condition()
        self._current: Flight | None = None
        self._next: Flight | None = None
        self._is_closed = False
        self.replies = 0
        self._thread = threading.Thread(target=self._run, name="work", daemon=True)
        self._thread.start()

    @property
    def current(self) -> Flight | None:
        """What is worked on."""
        return self._current

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken in."""
        return self._is_closed

    def submit(self, signed: Signed) -> Flight:
        """Attach to the work on this request, or start it.

        Raises:
            Unanswered: the site is at work on another request that is not older, or stops.
        """
        with self._lock:
            if self._is_closed:
                raise Unanswered(Trouble.STOPPING)
            for known in (self._next, self._current):
                if known is None:
                    continue
                if known.signed.request.digest == signed.request.digest and known.stop is None:
                    launch = max(signed.launch, known.signed.launch)
                    known.signed = replace(known.signed, launch=launch)
                    return known
                if not _is_newer(signed, known.signed):
                    raise Unanswered(Trouble.BUSY)
            if self._next is not None:
                _end(self._next, Trouble.SUPERSEDED)
            if self._current is not None:
                self._current.stop = Trouble.SUPERSEDED
            self._next = flight = Flight(signed)
            self._lock.notify_all()
            return flight

    def pulse(self) -> None:
        """Note that the work makes progress; called by the work.

        Raises:
            Interrupted: it is to stop.
        """
        flight = self._current
        if flight is not None:
            flight.beats += 1
            flight.beat = time.monotonic()
            if flight.stop is not None:
                raise Interrupted

    def progress(self, done: int, of: int) -> None:
        """Note how far the pass through the frozen fronts is; called by the work."""
        if self._current is not None:
            self._current.progress = (done, of)

    def close(self, wait_s: float) -> bool:
        """Take nothing more in, stop the work at its next batch; tell whether it has stopped."""
        with self._lock:
            self._is_closed = True
            if self._next is not None:
                _end(self._next, Trouble.STOPPING)
                self._next = None
            if self._current is not None and self._current.stop is None:
                self._current.stop = Trouble.STOPPING
            self._lock.notify_all()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._is_waited_for():
            self._fly()

    def _is_waited_for(self) -> bool:
        with self._lock:
            while self._next is None and not self._is_closed:
                self._lock.wait()
            return self._next is not None

    def _fly(self) -> None:
        """Do the work that waits; when this returns, nothing here keeps its bytes."""
        with self._lock:
            flight = self._current = self._next
            self._next = None
        if flight is None:  # it was closed in between
            return
        flight.since = flight.beat = time.monotonic()
        reply, trouble = self._answer(flight)
        with self._lock:
            self._current = None
            self.replies += reply is not None
            flight.reply = reply
            _end(flight, trouble)

    def _answer(self, flight: Flight) -> tuple[bytes | None, Trouble | None]:
        try:
            return self._work(flight.signed.data), None
        except Interrupted:
            _LOG.info("%s: stopped: %s", flight.step.name, flight.stop)
            return None, flight.stop
        except WireError as error:  # signed, but its arrays were changed on the way
            _LOG.warning("%s: refused: %s", flight.step.name, error.problem)
            return None, Trouble.NOT_A_REQUEST
        except LeukofedError as error:  # not even a refusal could be written down
            _LOG.error("%s: %s (%s)", flight.step.name, error.problem, error.local_detail)
            return None, Trouble.NO_RECORDS
        except BaseException:  # this thread's outermost frame: a panic in Rust is no Exception
            _LOG.exception("%s failed", flight.step.name)
            return None, Trouble.FAILED


def _end(flight: Flight, trouble: Trouble | None) -> None:
    flight.trouble = trouble
    flight.ended.set()


def _is_newer(signed: Signed, than: Signed) -> bool:
    """Say whether a request is meant to take another's place."""
    if signed.launch != than.launch:
        return signed.launch > than.launch
    one, other = signed.request.step, than.request.step
    return _run(one) == _run(other) and _place(one) > _place(other)


def _run(step: Step) -> tuple[str, str, bool]:
    return step.study, step.run, step.rehearsal


def _place(step: Step) -> tuple[int, int, int]:
    phases = [str(name) for name in PHASE_ORDER]
    index = phases.index(step.phase) if step.phase in phases else -1
    return index, step.round, step.exchange
