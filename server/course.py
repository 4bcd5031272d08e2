"""A study's course: from its start or its newest checkpoint to the released model."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from common.errors import ConfigError, RunStopped
from common.initial_model import InitialModel, read_fronts
from common.metrics import RunMetrics
from common.parts import Arrays
from common.record import Record, read_record
from common.study.schema import Study
from common.whole_file import write_whole
from common.yaml_file import dump_yaml
from server.checkpoints import Checkpoints, Part, State
from server.conduct import Conduct
from server.outcome import federated_metrics, machine
from server.phases import backbones, booster, calibration, census, evaluation, fusion, release
from server.progress import Watch
from server.report.page import write_report
from server.rounds import Rounds
from server.run_folder import RunFolder
from server.stopwatch import Stopwatch

FEDERATED = "federated"
"""Ends the name of the federated run, and names the folder of its checkpoints."""
REHEARSAL = "rehearsal"
"""Stands in its place where sites answer from generated images."""
MakeRounds = Callable[[Study, str, Record, Watch], Rounds]
"""Opens the way to the sites, for a study, the name of a run, its record and its watch."""


def run_study(
    study: Study,
    initial: InitialModel,
    fronts_file: Path,
    folder: RunFolder,
    make_rounds: MakeRounds,
    watch: Watch,
    *,
    synthetic: bool = False,
    rehearsal: bool = False,
    wait_s: float = 0.0,
) -> None:
    """Run a study with its sites, or go on with it, until its model is released.

    The folder then holds `study.yaml`, `record.jsonl`, `checkpoints/federated` (of a rehearsal
    `checkpoints/rehearsal`), `metrics.json`, `report.html`, `release/` and `release.zip`. A run
    that has finished is left as it is.

    Args:
        study: what was agreed.
        initial: its initial model.
        fronts_file: the frozen fronts that were written with the initial model.
        folder: the run's; locked while this works on it.
        make_rounds: opens the way to the sites.
        watch: shows progress.
        synthetic: the sites' images were generated.
        rehearsal: the sites are asked to answer from generated images.
        wait_s: how long to wait for a process that works on the run and is about to end.

    Raises:
        ConfigError: another process works on the run, or it belongs to another study, or is a
            rehearsal and was to be none, or the other way round.
        CorruptFile: the fronts are not those of the initial model, or no checkpoint is intact.
        RunStopped: a quorum is missed, Flower cannot be reached, or the disk refuses.
    """
    fronts = read_fronts(fronts_file, initial.fronts)
    with folder.locked(wait_s):
        _check_kind(folder, rehearsal)
        if folder.finished:
            watch.note("This run has finished: its report and its release are left as they are.")
            return
        _write(folder.path / "study.yaml", dump_yaml(study))
        stopwatch = Stopwatch(folder.path / "seconds.json")
        with stopwatch.lap("total"):
            start = partial(first_state, initial)
            name = REHEARSAL if rehearsal else FEDERATED
            conduct = open_conduct(folder, study, name, make_rounds, watch, start)
            conduct.rounds.rehearsal = rehearsal
            train(conduct, initial.fronts)
            evaluation.run(conduct)
        metrics = federated_metrics(
            conduct, initial, machine(),
            name=study.name, synthetic=synthetic or rehearsal,
            seconds_total=stopwatch.seconds["total"],
        )  # fmt: skip
        finish(folder, conduct, metrics, fronts, watch)


def open_conduct(
    folder: RunFolder,
    study: Study,
    name: str,
    make_rounds: MakeRounds,
    watch: Watch,
    start: Callable[[], State],
) -> Conduct:
    """Open a run at its newest intact checkpoint.

    Sites answer each step of a run once, so a run that falls back behind a damaged checkpoint
    goes on under another name.

    Args:
        folder: holds the record and, under `checkpoints/NAME`, what the run has reached.
        study: what is run.
        name: ends the run's name, which begins with the folder's.
        make_rounds: opens the way to the sites.
        watch: shows progress.
        start: makes the state of a run that has no checkpoint yet.

    Raises:
        CorruptFile: there are checkpoints, and none is intact.
        ConfigError: they belong to another study.
    """
    skipped: list[str] = []
    checkpoints = Checkpoints(folder.path / "checkpoints" / name)
    state = checkpoints.latest(study.digest, note=skipped.append)
    for text in skipped:
        watch.note(text)
    state = state or start()
    state.facts["fallbacks"] = state.facts.get("fallbacks", 0) + len(skipped)
    run = f"{folder.run}.{name}"
    if state.facts["fallbacks"]:
        run += f".{state.facts['fallbacks']}"
    record = Record(folder.path / "record.jsonl", study=study.digest, run=run)
    rounds = make_rounds(study, run, record, watch)
    return Conduct(study, rounds, checkpoints, record, watch, state)


def first_state(initial: InitialModel) -> State:
    """Return what a run knows before its first round."""
    return State((0, 0), {name: Part.of(arrays) for name, arrays in initial.parts.items()}, {})


def train(conduct: Conduct, fronts: Mapping[str, str]) -> None:
    """Work through what is left of the phases up to the temperatures.

    Args:
        conduct: the run.
        fronts: per backbone, the digest of the frozen front that the initial model was made for.

    Raises:
        RunStopped: a quorum is missed, Flower cannot be reached, or the disk refuses.
    """
    census.run(conduct, fronts)
    backbones.run(conduct)
    fusion.run(conduct)
    booster.run(conduct)
    calibration.run(conduct)


def finish(
    folder: RunFolder, conduct: Conduct, metrics: RunMetrics, fronts: Arrays, watch: Watch
) -> None:
    """Write metrics, report and release, and note that nothing is left to do.

    Of the checkpoints of the run only the newest is kept.

    Args:
        folder: the run's.
        conduct: its federated run, evaluated.
        metrics: of the whole run.
        fronts: the frozen fronts' tensors, `ARCHITECTURE/NAME`.
        watch: shows progress.

    Raises:
        RunStopped: something cannot be written.
    """
    path = folder.path
    _write(path / "metrics.json", metrics.model_dump_json(indent=1) + "\n")
    write_report(metrics, folder.report)
    watch.phase("release", 1)
    for unfinished in (path / "release", path / "release.zip"):
        _remove(unfinished)  # of this very run, cut off before it was noted as finished
    record = (path / "record.jsonl").read_bytes()
    release.run(conduct, fronts, metrics, record, folder.run, path / "release")
    folder.finish()
    conduct.checkpoints.prune()


def _check_kind(folder: RunFolder, rehearsal: bool) -> None:
    """See to it that what began as a run, or as a rehearsal, goes on as what it is."""
    other = FEDERATED if rehearsal else REHEARSAL
    record = folder.path / "record.jsonl"
    events = read_record(record) if record.exists() else []
    began = any(str(event.get("run")).startswith(f"{folder.run}.{other}") for event in events)
    if began or (folder.path / "checkpoints" / other).exists():
        raise ConfigError(
            "this run is a real one, and cannot become a rehearsal"
            if rehearsal
            else "this run is a rehearsal, and cannot become a real one",
            fix="start a new run, in a folder of its own",
            local_detail=str(folder.path),
        )


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RunStopped(
            f"{path.name} cannot be written: {error.strerror}",
            fix="make room on the disk or correct its permissions, then resume the run",
            local_detail=str(path),
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
