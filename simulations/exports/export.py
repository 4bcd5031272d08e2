"""Exports of a run's folder: what is wanted, whether it can be written, and writing it."""

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from common.errors import ConfigError, RunStopped
from common.metrics import load_metrics
from common.record import read_record
from simulations.exports.plain_files import write_csv, write_parquet
from simulations.exports.tables import tables
from simulations.exports.trackers import write_mlflow, write_tensorboard
from simulations.scenario import ExportFormat

_NEEDS = {"tensorboard": "tensorboard", "mlflow": "mlflow", "parquet": "pyarrow"}


def check_formats(formats: Collection[ExportFormat]) -> None:
    """See to it that what these formats need is installed, before hours are spent on a run.

    Raises:
        ConfigError: it is not.
    """
    lacking = sorted(
        needed
        for form, needed in _NEEDS.items()
        if form in formats and find_spec(needed) is None
    )  # fmt: skip
    if lacking:
        raise ConfigError(
            f"this export needs {' and '.join(lacking)}, which is not installed",
            fix="install leukofed with its exports: pip install 'leukofed[sim,exports]'",
        )


def export_run(run: Path, formats: Collection[ExportFormat], out: Path) -> list[Path]:
    """Write a run's records, replacing an earlier export of the same run.

    Args:
        run: folder of a run that has finished, on the bench or in a federation.
        formats: which; each has a folder of its own.
        out: CSV and Parquet go to `out/FORMAT/RUN`; TensorBoard and MLflow, which compare runs,
            share `out/tensorboard` and `out/mlflow`.

    Returns:
        The folder of each format.

    Raises:
        ConfigError: what a format needs is not installed.
        CorruptFile: the run has no metrics, or no record, that can be read.
        RunStopped: a file cannot be written.
    """
    check_formats(formats)
    name = run.resolve().name
    metrics = load_metrics(run / "metrics.json")
    found = tables(name, metrics, read_record(run / "record.jsonl"))
    written = []
    try:
        for form in formats:
            folder = out / form
            own = folder / name if form in ("csv", "parquet") else folder
            own.mkdir(parents=True, exist_ok=True)
            if form == "csv":
                write_csv(found, own)
            elif form == "parquet":
                write_parquet(found, own)
            elif form == "tensorboard":
                write_tensorboard(name, metrics, found, folder)
            else:
                write_mlflow(name, metrics, found, folder)
            written.append(own)
    except OSError as error:
        raise RunStopped(
            f"the export cannot be written: {error.strerror}",
            fix="make room on the disk or correct its permissions, then write it again",
            local_detail=str(error.filename or out),
        ) from error
    return written
