"""Where a run in progress stands, in one small file of its folder that is always whole."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from common.errors import LeukofedError
from common.study.strict import Strict
from common.whole_file import write_whole

FILE = "now.json"
ASKED = "asked"
"""The status of a site whose reply is waited for."""


class SiteNow(Strict):
    """A site in the exchange that is under way."""

    status: str
    """`asked`, `done`, or why nothing of it counts."""
    since: datetime
    """From when."""


class End(Strict):
    """How the process that worked on the run ended."""

    time: datetime
    problem: str = ""
    """Empty: the run has finished."""
    fix: str = ""


class Now(Strict):
    """`now.json`, as the newest ServerApp of a run left it."""

    flower_run: str
    """Flower's number for the run."""
    phase: str = ""
    round: int = 0
    of: int = 0
    """The last round of the phase."""
    exchange: int = 0
    """Of the round, from 0, as far as this process has seen."""
    since: datetime
    """When the round began."""
    sites: dict[str, SiteNow] = {}
    """The sites of this exchange that were asked so far, or were lost."""
    ended: End | None = None


class NowFile:
    """A `server.progress.Watch` that keeps `now.json`; in a `with` statement, it tells the end.

    A disk that refuses it costs the operator's view, and nothing of the run.

    Args:
        run: the run's folder.
        flower_run: Flower's number for this process's run.
    """

    def __init__(self, run: Path, flower_run: str) -> None:
        self._file = run / FILE
        self._now = Now(flower_run=flower_run, since=_time())
        self._began = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        newer = read_now(self._file.parent)
        if self._began and newer is not None and newer.flower_run != self._now.flower_run:
            return  # another process has taken the run over: how this one ended is of no interest
        self._set(ended=_end(error))

    def phase(self, name: str, rounds_total: int) -> None:
        """Note the phase; its rounds come next."""
        self._set(phase=name, round=0, of=rounds_total, exchange=0, since=_time(), sites={})

    def round(self, phase: str, round: int, of: int) -> None:
        """Note the round."""
        self._set(phase=phase, round=round, of=of, exchange=0, since=_time(), sites={})

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        """Note a site's status; a site that is asked again after its reply begins an exchange."""
        sites, exchange = dict(self._now.sites), self._now.exchange
        before = sites.get(site)
        if status == ASKED and before is not None and before.status != ASKED:
            sites, exchange = {}, exchange + 1
        self._set(exchange=exchange, sites={**sites, site: SiteNow(status=status, since=_time())})

    def work(self, worker: str, done: int, of: int) -> None:
        """Leave it to the log."""

    def note(self, text: str) -> None:
        """Leave it to the log."""

    def _set(self, **facts: object) -> None:
        self._now = self._now.model_copy(update=facts)
        self._began = True
        with suppress(OSError):
            write_whole(self._file, f"{self._now.model_dump_json(indent=1)}\n".encode())


def read_now(run: Path) -> Now | None:
    """Read where a run stood last; None if no process of it has told."""
    try:
        return Now.model_validate_json((run / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def _end(error: BaseException | None) -> End:
    if error is None:
        return End(time=_time())
    if isinstance(error, LeukofedError):
        return End(time=_time(), problem=error.problem, fix=error.fix)
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return End(time=_time(), problem="Flower stopped it", fix="resume the run")
    return End(
        time=_time(),
        problem=f"its process ended by {type(error).__name__}, a fault in the software",
        fix="see `leukofed-server logs --flower`, report the fault, then resume the run",
    )


def _time() -> datetime:
    return datetime.now(UTC)
