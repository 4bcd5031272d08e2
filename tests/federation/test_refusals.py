"""What a worker refuses: told by one plain line in its log, and by one in the record.

Each request goes the whole way: real rounds, the carrier's own code, a real worker process.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.site_config import Limits
from common.signing import MAGIC, new_key
from common.study.schema import PROTOCOL
from common.wire import Request
from tests.support.carrier_grid import CarrierGrid
from tests.support.coordinator import (
    LAUNCH,
    NEIGHBOUR,
    STUDY,
    Coordinator,
    census,
    fit,
    signed,
    worker_study,
)
from tests.support.worker_process import NAME, WorkerSite

pytestmark = pytest.mark.slow
_OTHER = worker_study("other")


class Course:
    """A run of which the worker has answered the census and the rounds 1 and 3 of the backbones.

    Round 2 was signed, and never arrived.
    """

    def __init__(self, site: WorkerSite, folder: Path) -> None:
        self.site, self.folder, self.run = site, folder, folder.name
        self.grid = CarrierGrid({NAME: site.socket, NEIGHBOUR: site.socket})
        for request in (census(STUDY, self.run), self.round(1), self.round(3)):
            assert self.launched().ask(request) is not None, site.log()

    def round(self, number: int) -> Request:
        return fit(STUDY, number, self.run)

    def launched(self, **changes: Any) -> Coordinator:
        """Open one launch of this run, by default the one that began it."""
        settings = {"study": STUDY, "key": self.site.key, "run": self.run, "launch": LAUNCH}
        return Coordinator(self.folder, self.grid, **{**settings, **changes})

    def ask(self, request: Request, **changes: Any) -> None:
        """Ask, and expect nothing."""
        assert self.launched(**changes).ask(request) is None

    def hand_over(self, message: bytes) -> None:
        """Ask for round 4, in whose place a carrier hands over another message."""
        self.grid.way = lambda _: message
        self.ask(self.round(4))
        self.grid.way = None


def with_arrays(request: Request, change: Callable[[Any], Any]) -> Request:
    arrays = {
        part: {name: change(array) for name, array in held.items()}
        for part, held in request.arrays.items()
    }
    return replace(request, arrays=arrays)


def unapproved(course: Course) -> None:
    course.ask(census(_OTHER, course.run), study=_OTHER)


def unsigned(course: Course) -> None:
    course.ask(course.round(4), key=None)


def other_key(course: Course) -> None:
    course.ask(course.round(4), key=new_key())


def answered_long_ago(course: Course) -> None:
    course.ask(census(STUDY, course.run))


def never_answered(course: Course) -> None:
    course.ask(course.round(2))


def bytes_once_sent(course: Course) -> None:
    course.hand_over(course.grid.sent[0])


def second_request(course: Course) -> None:
    course.ask(with_arrays(course.round(3), lambda array: array + 1))


def oversize(course: Course) -> None:
    course.ask(with_arrays(course.round(4), lambda array: np.zeros((2**20,), np.float32)))


def other_protocol(course: Course) -> None:
    def renumbered(data: bytes) -> bytes:
        assert data.startswith(MAGIC)
        return data[:4] + (PROTOCOL + 1).to_bytes(4, "big") + data[8:]

    course.grid.way = renumbered
    course.ask(course.round(4))
    course.grid.way = None


def other_site(course: Course) -> None:
    request = course.round(4)
    course.ask(replace(request, step=request.step.model_copy(update={"site": NEIGHBOUR})))


# How it is sent; what the worker's log says; the event of the record, and what it says.
REFUSED: dict[str, tuple[Callable[[Course], None], str, str, str]] = {
    "unapproved": (
        unapproved, f"the study is not approved at this site (study {_OTHER.digest[:12]})",
        "missing", "the study is not approved at this site",
    ),
    "unsigned": (unsigned, "the request is not signed", "missing", "the request is not signed"),
    "other-key": (other_key, "signed by another key than", "missing", "signed by another key"),
    "answered-long-ago": (
        answered_long_ago, "this step was answered, and a later round confirmed",
        "refused", "this step was answered, and a later round confirmed",
    ),
    "never-answered": (
        never_answered, "round 2 of phase backbones is over", "refused", "is over",
    ),
    "bytes-once-sent": (
        bytes_once_sent, "this step was answered, and a later round confirmed",
        "rejected", "it answers another step: phase census for backbones",
    ),
    "second-request": (
        second_request, "this step was answered already, to another request",
        "refused", "this step was answered already, to another request",
    ),
    "oversize": (
        oversize, "the request is larger than the site takes (more than 2 MB came in)",
        "missing", "the request is larger than the site takes",
    ),
    "other-protocol": (
        other_protocol,
        f"another version of the protocol (it has number {PROTOCOL + 1}, here it is {PROTOCOL})",
        "missing", "the site speaks another version of the protocol",
    ),
    "other-site": (
        other_site, "the request is meant for another site", "missing", "is meant for another site",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerSite]:
    limits = Limits(fewest_examples=0, largest_request_mb=2)
    with WorkerSite(tmp_path_factory.mktemp("refusals") / "site", limits=limits) as site:
        site.approve(STUDY)
        yield site


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_plain_words_and_costs_nothing_else(
    site: WorkerSite, tmp_path: Path, name: str
) -> None:
    send, logged, event, told = REFUSED[name]
    course = Course(site, tmp_path / name)
    log, released, done = site.log(), site.released(), site.passages("done")

    send(course)

    lines = site.log()[len(log) :].splitlines()
    assert len(lines) == 1, lines
    assert logged in lines[0]
    (loss,) = course.launched().losses()
    assert loss["event"] == event
    assert told in loss["problem"]
    assert loss["fix"]
    assert site.released() == released
    assert site.passages("done") == done

    assert course.launched().ask(course.round(6)) is not None, site.log()
    assert site.verify() == len(site.passages())
    assert site.released() == released | {(course.run, "backbones", 6, 0)}


def test_what_an_earlier_launch_of_a_run_sent_is_refused_for_good(
    site: WorkerSite, tmp_path: Path
) -> None:
    course = Course(site, tmp_path / "relaunched")
    late = signed(course.round(5), site.key, LAUNCH)  # of the first launch; it never arrived
    resumed = {"launch": LAUNCH + 1}
    assert course.launched(**resumed).ask(course.round(3)) is not None  # the same bytes again
    released = site.released()
    for _ in range(2):
        log = site.log()
        course.hand_over(late)
        (line,) = site.log()[len(log) :].splitlines()
        assert "of an earlier launch of its run" in line
        assert "of an earlier launch of its run" in course.launched().losses()[-1]["problem"]
        assert site.released() == released
        site.worker.stop()
        site.start()
    assert course.launched(**resumed).ask(course.round(5)) is not None, site.log()
