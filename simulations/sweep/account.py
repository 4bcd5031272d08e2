"""What a sweep found: a table for people, and the same for programs as CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import JsonValue

from common.columns import aligned
from common.durations import duration
from common.errors import RunStopped
from common.metrics import RunMetrics
from common.whole_file import write_whole
from server.report.rows import arm_rows
from server.report.words import UNKNOWN
from simulations.sweep.picture import draw
from simulations.sweep.sweep import Trial

_SCORES = (
    "macro_f1", "log_loss", "accuracy", "softmax_macro_f1", "softmax_log_loss", "examples",
    "seconds",
)  # fmt: skip


def table(trials: Sequence[Trial]) -> list[str]:
    """Write trials as lines of text, in their order: values, and figures on validation images."""
    fields = list(trials[0].candidate.values)
    is_halved = any(trial.divisor > 1 for trial in trials)
    head = ["#", *map(_short, fields), *(["rounds"] if is_halved else [])]
    rows = [[*head, "macro F1", "log-loss", "time"]]
    for trial in trials:
        values = [written(value) for value in trial.candidate.values.values()]
        share = [f"1/{trial.divisor}" if trial.divisor > 1 else "all"] if is_halved else []
        score = trial.score
        told = (
            ["failed", "", ""]
            if score is None
            else [_figure(score.macro_f1), _figure(score.log_loss), duration(score.seconds)]
        )
        rows.append([str(trial.candidate.number), *values, *share, *told])
    return aligned(rows, right=range(len(rows[0])))


def chosen(trials: Sequence[Trial]) -> str:
    """Say which study is the best, and what that figure is worth."""
    best = trials[0].candidate
    values = ", ".join(f"{field}={written(value)}" for field, value in best.values.items())
    tried = len({trial.candidate.number for trial in trials})
    flattered = (
        f" As the best of {tried} it is flattered by its validation images." if tried > 1 else ""
    )
    return f"best on validation: {values} (study {best.number}).{flattered}"


def revealed(metrics: RunMetrics, others: int) -> str:
    """Say what the chosen study came to on the test images, beside the other arms.

    Args:
        metrics: of its run.
        others: how many other choices of this sweep were tested before.
    """
    rows = [["test images", "macro F1", "95 % interval", "accuracy", "log-loss"]]
    for row in arm_rows(metrics):
        scores = row.scores
        low, high = scores.interval.macro_f1
        interval = f"{_figure(low)} to {_figure(high)}"
        rows.append([
            row.name, _figure(scores.macro_f1), interval, _figure(scores.accuracy),
            _figure(scores.log_loss),
        ])  # fmt: skip
    lines = aligned(rows, right=(1, 2, 3, 4))
    if others:
        lines.append(
            f"The test part was looked at for {others} other choices of this sweep before: what "
            "it says of this one is not blind any more."
        )
    return "\n".join(lines)


def write_account(trials: Sequence[Trial], scenario: str, folder: Path) -> None:
    """Write sweep.json, sweep.csv and sweep.png: figures on validation images, and no others.

    Args:
        trials: the best first.
        scenario: its name.
        folder: they are replaced there.

    Raises:
        RunStopped: they cannot be written.
    """
    rows = list(_rows(trials))
    document = {"scenario": scenario, "part": "validation", "trials": rows}
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(
        {key: written(value) if key in _fields(trials) else value for key, value in row.items()}
        for row in rows
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "sweep.json", f"{json.dumps(document, indent=1)}\n".encode())
        write_whole(folder / "sweep.csv", text.getvalue().encode())
        write_whole(folder / "sweep.png", draw(trials))
    except OSError as error:
        raise RunStopped(
            f"the sweep's table cannot be written: {error.strerror}",
            fix="make room on the disk, then give the same command again",
            local_detail=str(folder),
        ) from error


def written(value: JsonValue) -> str:
    """Write a setting's value shortly."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(trials: Sequence[Trial]) -> Iterator[dict[str, JsonValue]]:
    for place, trial in enumerate(trials):
        scores = {} if trial.score is None else trial.score.model_dump(mode="json")
        yield {
            "number": trial.candidate.number,
            "best": place == 0,
            **trial.candidate.values,
            "rounds_divided_by": trial.divisor,
            **{name: scores.get(name) for name in _SCORES},
            "problem": trial.problem,
            "study": trial.candidate.study.digest,
            "folder": trial.folder.name,
        }


def _fields(trials: Sequence[Trial]) -> set[str]:
    return set(trials[0].candidate.values)


def _short(field: str) -> str:
    return field.removeprefix("phases.")


def _figure(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}"
