"""The runs of a federation in a line each."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.round_times import worked_s
from server.standing import RunState, Standing


@dataclass(frozen=True)
class RunRow:
    """A line of `leukofed-server runs`."""

    run: str
    study: str
    digest: str
    rehearsal: bool
    state: RunState
    why: str
    """Of a run that is stopped."""
    began: datetime | None
    worked_s: float
    macro_f1: float | None
    """Of the booster on the test images, of a run that has finished."""
    took_part: tuple[str, ...]
    """Sites of which at least one reply counted."""
    invited: int
    """Sites of the study."""
    report: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; times in ISO 8601, UTC."""
        return {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in vars(self).items()
        }


def run_rows(standings: Iterable[Standing]) -> list[RunRow]:
    """Return a line for each run."""
    return [_row(one) for one in standings]


def _row(one: Standing) -> RunRow:
    now = datetime.now(UTC) if one.state == "running" else None
    report = one.path / "report.html"
    finished = one.state == "finished"
    return RunRow(
        run=one.run,
        study=one.study.name,
        digest=one.study.digest,
        rehearsal=one.rehearsal,
        state=one.state,
        why=one.why,
        began=one.launched,
        worked_s=round(worked_s(one.events, now), 1),
        macro_f1=_macro_f1(one.path / "metrics.json") if finished else None,
        took_part=tuple(name for name, site in one.sites.items() if site.taken),
        invited=len(one.study.sites),
        report=str(report) if finished and report.is_file() else "",
    )


def _macro_f1(metrics: Path) -> float | None:
    try:
        found = json.loads(metrics.read_bytes())["arms"]["federated"]["macro_f1"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return None if found is None else float(found)
