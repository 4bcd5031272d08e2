"""A run for TensorBoard and for MLflow: losses and costs by round, figures, settings."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.metrics import RunMetrics
from simulations.exports.rows import ExchangeRow, LossRow, ScoreRow, SecondsRow
from simulations.exports.tables import Table, settings

_BATCH = 100  # what MLflow takes of parameters at a time; of metrics more
_LONGEST = 6000  # characters of an MLflow parameter


@dataclass(frozen=True)
class Point:
    """A figure at a round."""

    name: str  # with slashes, by which both programs group
    step: int
    value: float
    seconds: float  # since 1970


def points(tables: Sequence[Table]) -> Iterator[Point]:
    """Yield what can be drawn: losses and costs by round, final figures at round 0."""
    rows = {table.name: table.rows for table in tables}
    exchanges = [row for row in rows["exchanges"] if isinstance(row, ExchangeRow)]
    ours = [row for row in exchanges if row.arm.startswith("federated")]
    times = {(row.phase, row.round): _unix(row.time) for row in ours}
    last = max(map(_unix, (row.time for row in exchanges)), default=0.0)
    for row in rows["losses"]:
        if isinstance(row, LossRow):
            for name in ("loss", "validation_loss", "validation_accuracy"):
                if (value := getattr(row, name)) is not None:
                    when = times.get((row.phase, row.round), last)
                    yield Point(f"{name}/{row.phase}", row.round, value, when)
    sums: dict[tuple[str, int], float] = {}
    for row in ours:
        for name in ("bytes_down", "bytes_up", "work_seconds"):
            if (value := getattr(row, name)) is not None:
                key = (f"{name}/{row.phase}/{row.site}", row.round)
                sums[key] = sums.get(key, 0.0) + value
    for (name, round_), value in sums.items():
        yield Point(name, round_, value, times[name.split("/")[1], round_])
    for row in rows["scores"]:
        if isinstance(row, ScoreRow) and row.value is not None:
            name = f"{row.part}_{row.measure}/{row.arm}/{row.classifier}/{row.site}"
            yield Point(name, 0, row.value, last)
    for row in rows["seconds"]:
        if isinstance(row, SecondsRow):
            yield Point(f"seconds/{row.arm}", 0, row.seconds, last)


def write_tensorboard(run: str, metrics: RunMetrics, tables: Sequence[Table], folder: Path) -> None:
    """Write an events file into the folder `run`, instead of those of an earlier export.

    `tensorboard --logdir FOLDER` then shows the runs that were exported there side by side.
    """
    from torch.utils.tensorboard import SummaryWriter

    own = folder / run
    for earlier in own.glob("events.out.tfevents.*"):
        earlier.unlink()
    with SummaryWriter(str(own)) as writer:
        for point in points(tables):
            writer.add_scalar(point.name, point.value, point.step, point.seconds)
        text = "".join(f"    {row.field}: {row.value}\n" for row in settings(metrics.settings))
        writer.add_text("study", text)


def write_mlflow(run: str, metrics: RunMetrics, tables: Sequence[Table], folder: Path) -> None:
    """Add the run to the experiment of its name, in MLflow's file store below the folder.

    An earlier export of the same run is replaced.
    """
    # The store is complete, but no longer worked on, and MLflow asks whether that is known. Its
    # database warns under the SQLAlchemy that comes with Flower.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=folder.resolve().as_uri())
    experiment = client.get_experiment_by_name(metrics.name)
    number = experiment.experiment_id if experiment else client.create_experiment(metrics.name)
    for earlier in client.search_runs([number]):
        if earlier.info.run_name == run:
            client.delete_run(earlier.info.run_id)
    drawn = [
        Metric(point.name, point.value, int(1000 * point.seconds), point.step)
        for point in points(tables)
    ]
    params = [
        Param(_key(row.field), row.value[:_LONGEST]) for row in settings(metrics.settings)
    ]  # fmt: skip
    begun = min((metric.timestamp for metric in drawn if metric.timestamp), default=None)
    made = client.create_run(number, start_time=begun, tags=_tags(metrics), run_name=run)
    for start in range(0, max(len(drawn), len(params)), _BATCH):
        some = slice(start, start + _BATCH)
        client.log_batch(made.info.run_id, drawn[some], params[some])
    ended = max((metric.timestamp for metric in drawn), default=None)
    client.set_terminated(made.info.run_id, end_time=ended)


def _tags(metrics: RunMetrics) -> dict[str, Any]:
    return {
        "study": metrics.study_digest,
        "synthetic": str(metrics.synthetic).lower(),
        "complete": str(metrics.complete).lower(),
    }


def _key(field: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. /") else "_" for c in field)


def _unix(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
