"""The Flower ServerApp: it runs a study, or goes on with it, and writes the run's folder."""

import resource
import time
from functools import partial
from pathlib import Path
from typing import TextIO, cast

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from rich.console import Console

from common.errors import ConfigError
from common.initial_model import read_initial
from common.record import Record, read_record
from common.signing import read_key, sign_request
from common.study.schema import Study, load_study
from server.course import run_study
from server.launch import Launch, load_launch
from server.now import NowFile
from server.progress import PlainProgress, Watch, Watches
from server.rounds import Rounds
from server.run_folder import RunFolder
from server.run_log import RunLog

LAUNCH = "launch"
"""The run-config key that names the launch file."""

_SURVIVOR_S = 60.0  # a ServerApp outlives its SuperLink, or a stop, by some seconds

app = ServerApp()


def _launch_number(record: Path) -> int:
    """Return now, in milliseconds since 1970, or more if the clock was set back meanwhile."""
    events = read_record(record) if record.exists() else []
    earlier = (int(event["launch"]) for event in events if event.get("event") == "launched")
    return max(int(time.time() * 1000), 1 + max(earlier, default=0))


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study of a launch file with the sites that are connected.

    A run that was stopped, or whose process died, goes on from its newest checkpoint when the
    same launch file is submitted again.

    Raises:
        LeukofedError: the run cannot begin, or cannot go on now; Flower shows the text.
    """
    launch = load_launch(Path(str(context.run_config[LAUNCH])))
    with NowFile(launch.run, str(context.run_id)) as now:
        _run(launch, grid, context, now)


def _run(launch: Launch, grid: Grid, context: Context, now: NowFile) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(launch.most_memory_gb * 1e9), hard))
    study = load_study(launch.run / "study.yaml")
    if unlisted := set(study.sites) - set(launch.sites):
        raise ConfigError(
            f"the launch file lacks the keys of {', '.join(sorted(unlisted))}",
            fix="add each site's public node key, under `sites`",
        )
    initial = read_initial(launch.run / "initial.safetensors", study.initial_model)
    number = _launch_number(launch.run / "record.jsonl")
    seal = partial(sign_request, key=read_key(launch.key), launch=number)

    def make_rounds(study: Study, run: str, record: Record, watch: Watch) -> Rounds:
        record.write(
            "launched", launch=number, flower_run=str(context.run_id), rehearsal=launch.rehearse
        )
        return Rounds(
            grid,
            study,
            run,
            record,
            watch,
            launch.patience.most_s,
            grace_s=launch.grace_s,
            seal=seal,
            keys=launch.node_keys,
            patience=launch.patience,
        )

    with (
        RunLog(launch.run / "progress.log") as log,
        PlainProgress(Console(file=cast(TextIO, log), width=200)) as lines,
    ):
        run_study(
            study,
            initial,
            launch.run / "fronts.safetensors",
            RunFolder(launch.run, launch.run.name),
            make_rounds,
            Watches(lines, now),
            synthetic=launch.synthetic,
            rehearsal=launch.rehearse,
            wait_s=_SURVIVOR_S,
        )
