"""The sites in processes of Ray: a Flower Grid that hands requests out as processes are free.

A process serves any site, one at a time, and is lost alone: whatever a site does to its process
costs that site's reply only.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# First of all, for it silences Ray and closes its ports while it imports it.
from simulations.engines.ray_cluster import cluster

# isort: split
import ray
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from ray.exceptions import RayError, RayTaskError

from common.errors import ConfigError, RunStopped
from common.flower import from_records, to_records
from simulations.engines.nodes import NodeGrid
from simulations.engines.process import OpenSeat, Process
from simulations.engines.settings import OnRay

_LOG = logging.getLogger("leukofed")
_START_S = 300.0  # what a first process may take until it is up, on a busy machine
_LATE = "DeadlinePassed"
Whole = Callable[[bytes], bytes]


@dataclass(eq=False)
class _Seat:
    """A process, from the coordinator's end; `work` is what it is at."""

    process: Any
    work: Any
    message: Message | None = None  # that it works on; None while it starts, or is idle
    key: str = ""  # of that message
    due: float = 0.0  # of the monotonic clock, in seconds
    is_up: bool = False
    is_late: bool = False  # and therefore being stopped


class RayGrid(NodeGrid):
    """Lets as many sites compute at once as there are seats.

    Args:
        sites: their names.
        open_seat: called in every process once, it returns what answers there; pickled.
        seats: how many processes there are at most.
        settings: what Ray keeps for each, and how long a site may take.
        whole: completes a request before it is handed out.
    """

    def __init__(
        self,
        sites: Iterable[str],
        open_seat: OpenSeat,
        seats: int,
        settings: OnRay,
        whole: Whole = bytes,
    ) -> None:
        super().__init__(sites)
        self._start = ray.remote(
            num_cpus=settings.cpus_per_site, num_gpus=settings.gpus_per_site, max_restarts=0
        )(Process)
        self._open_seat = ray.put(open_seat)
        self._deadline_s = settings.deadline_s
        self._whole = whole
        self._replies: dict[str, Message] = {}
        self._seats = [self._seat() for _ in range(min(seats, len(self._sites)))]
        self._wait_for_one()

    def close(self) -> None:
        """End every process, whatever it is at."""
        for seat in self._seats:
            ray.kill(seat.process)
        self._seats.clear()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages, hand out those for which a process is free, and return their ids."""
        ids = list(super().push_messages(messages))
        self._hand_out()
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that have arrived, and keep the processes busy."""
        self._take_in()
        self._stop_the_late()
        self._hand_out()
        return [self._replies.pop(key) for key in message_ids if key in self._replies]

    def _seat(self) -> _Seat:
        process = self._start.remote(self._open_seat)
        return _Seat(process, process.is_up.remote())

    def _wait_for_one(self) -> None:
        end = time.monotonic() + _START_S
        while not any(seat.is_up for seat in self._seats):
            ray.wait([seat.work for seat in self._seats], timeout=1.0)
            self._take_in()
            if time.monotonic() > end:
                raise ConfigError(
                    f"Ray has started no process for a site within {_START_S:.0f} s",
                    fix="see what else runs on the cluster: its cores or GPUs may all be taken",
                )

    def _take_in(self) -> None:
        busy = {seat.work: seat for seat in self._seats if seat.work is not None}
        done, _ = ray.wait(list(busy), num_returns=len(busy), timeout=0) if busy else ([], [])
        for work in done:
            self._settle(busy[work])

    def _settle(self, seat: _Seat) -> None:
        """Take what a process has brought, or note that it is lost."""
        work, seat.work = seat.work, None
        message, seat.message = seat.message, None
        error: Error | None = None
        data = b""
        try:
            data = ray.get(work)
        except RayTaskError as raised:
            error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(raised.cause).__name__)
            _LOG.error("a site failed; its reply is lost: %s", raised)
        except RayError as lost:
            self._replace(seat, lost)
            error = Error(ErrorCode.CLIENT_APP_CRASHED, type(lost).__name__)
            if seat.is_late:  # nothing is gained if it is asked again at once
                error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, _LATE)
        else:
            seat.is_up = True
        if message is not None:
            self._replies[seat.key] = (
                Message(error, reply_to=message)
                if error is not None
                else Message(to_records(data), reply_to=message)
            )

    def _replace(self, seat: _Seat, lost: RayError) -> None:
        """Start another process in the place of one that is lost, if that one ever was up."""
        self._seats.remove(seat)
        if seat.is_up:
            self._seats.append(self._seat())
        elif not self._seats:
            raise RunStopped(
                "no process of Ray could load what the sites need",
                fix="install the same leukofed on every machine of the cluster",
                local_detail=str(lost),
            ) from lost

    def _stop_the_late(self) -> None:
        """End the processes of sites that are past their deadline."""
        now = time.monotonic()
        for seat in self._seats:
            if seat.message is not None and now > seat.due and not seat.is_late:
                seat.is_late = True
                ray.kill(seat.process)  # its work then ends with an error, and is settled

    def _hand_out(self) -> None:
        for seat in self._seats:
            if self._queue and seat.is_up and seat.work is None:
                seat.key = next(iter(self._queue))  # the oldest
                message = seat.message = self._queue.pop(seat.key)
                seat.due = time.monotonic() + self._deadline_s
                site = self._sites[message.metadata.dst_node_id]
                seat.work = seat.process.answer.remote(site, self._whole(from_records(message)))


@contextmanager
def ray_grid(
    settings: OnRay, sites: Sequence[str], open_seat: OpenSeat, whole: Whole = bytes
) -> Iterator[tuple[RayGrid, int]]:
    """Let Ray run within this context, and sites answer there.

    Args:
        settings: the scenario's engine.
        sites: their names.
        open_seat: makes what answers in a process.
        whole: completes a request before it is handed out.

    Yields:
        The grid, and how many sites have room to compute at once.

    Raises:
        ConfigError: Ray cannot be reached, or has no room for a site.
    """
    with cluster(settings) as room:
        grid = RayGrid(sites, open_seat, room, settings, whole)
        try:
            yield grid, room
        finally:
            grid.close()
