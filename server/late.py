"""Replies that are still owed when their exchange has ended: whose they are, and what they tell."""

from collections.abc import Iterator
from dataclasses import dataclass

from common.log_head import split_head
from common.wire import Step, WireError, decode_reply
from server.carrier import Carrier, Undelivered
from server.deadlines import Pace, examples_told


@dataclass(frozen=True)
class Owed:
    """A request whose reply the exchange did not wait for."""

    step: Step
    work: str
    waited_s: float
    """How long it was waited for, in seconds."""


@dataclass(frozen=True)
class Arrived:
    """What became of it."""

    owed: Owed
    problem: str
    """Why it does not count."""
    size: int = 0
    """Bytes that came."""
    pace: Pace | None = None
    """The site's, if the reply is the one that was owed; all else in it is dropped."""


class LateReplies:
    """The replies that are owed. Whose reply is owed is still at work, and is asked nothing."""

    def __init__(self) -> None:
        self._owed: dict[str, Owed] = {}  # by message id

    @property
    def busy(self) -> dict[str, Step]:
        """The sites that are still at work, and on what."""
        return {owed.step.site: owed.step for owed in self._owed.values()}

    def add(self, key: str, owed: Owed) -> None:
        """Note that the reply to a message is owed."""
        self._owed[key] = owed

    def collect(self, carrier: Carrier) -> Iterator[Arrived]:
        """Yield what has come since, one reply in memory at a time; its sites are free again."""
        for key, owed in list(self._owed.items()):
            try:
                if (data := carrier.pull(key)) is None:
                    continue
                arrived = _read(owed, data)
            except (Undelivered, WireError) as error:
                arrived = Arrived(owed, error.problem)
            del self._owed[key]
            yield arrived


def _read(owed: Owed, data: bytes) -> Arrived:
    problem = "its reply came after the deadline and does not count"
    try:
        reply = decode_reply(split_head(data)[1])
    except WireError:
        return Arrived(owed, problem, len(data))
    if reply.step != owed.step or reply.status != "done":
        return Arrived(owed, problem, len(data))
    pace = Pace(max(owed.waited_s, reply.seconds), examples_told(reply.told))
    return Arrived(owed, problem, len(data), pace)
