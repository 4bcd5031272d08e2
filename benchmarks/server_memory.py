"""The coordinator's memory with 3 and with 30 sites, whose updates are as large as real ones.

    python -m benchmarks.server_memory [--sites 3 30] [--rounds 2] [STUDY]

The SuperLink, the ServerApp and its rounds are the real ones; the sites are stand-ins in one
process (tests/support/stand_ins.py), which send differing arrays of the size of STUDY's tails and
heads, by default those of configs/studies/xincept-all.yaml with random weights. Seconds are
of the exchange as a whole, most of which the stand-ins need on a machine of few cores.
"""

import json
import shutil
import tempfile
import time
from pathlib import Path

import yaml
from safetensors.numpy import save_file

from benchmarks.ledger import Figure, enter, parser
from common.initial_model import write_initial
from common.model.initial import build_branches, initial_model
from common.model.network import front_arrays
from common.record import read_record
from common.signing import public_half, read_key
from common.study.phases import BackbonesPhase, Phase
from common.study.schema import Study, load_study
from common.yaml_file import dump_yaml
from tests.support.bare_link import BareLink
from tests.support.processes import (
    BIN,
    ROOT,
    Process,
    children,
    peak_bytes,
    resident_bytes,
    wait_until,
)
from tests.support.run_federation import end_by_signal

_STARTED_S, _ROUND_S = 120.0, 3600.0


def main() -> None:
    """Print a row per round and number of sites, and the ratio of the memories."""
    end_by_signal()
    made = parser(__doc__)
    default = ROOT / "configs" / "studies" / "xincept-all.yaml"
    made.add_argument("study", nargs="?", type=Path, default=default)
    made.add_argument("--sites", type=int, nargs="+", default=[3, 30])
    made.add_argument("--rounds", type=int, default=2, help="of the tails")
    asked = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="lkf-memory-") as scratch:
        model = Path(scratch) / "model"
        study = _with_model(load_study(asked.study), asked.rounds, model)
        peaks = [_measure(study, number, model, Path(scratch)) for number in asked.sites]
    figures = [
        Figure(name=f"ServerApp with {number} sites, most memory", value=peak / 1e6, unit="MB")
        for number, peak in zip(asked.sites, peaks, strict=True)
    ]
    figures.append(Figure(name=f"{asked.sites[-1]} sites over {asked.sites[0]}",
                          value=peaks[-1] / peaks[0], unit="x", aim="<= 1.2"))  # fmt: skip
    enter(asked, figures)


def _with_model(study: Study, rounds: int, folder: Path) -> Study:
    """Make an initial model of the study's sizes, with random weights; return its study."""
    phases: tuple[Phase, ...] = tuple(
        phase.model_copy(update={"head_rounds": 1, "tail_rounds": rounds})
        if isinstance(phase, BackbonesPhase)
        else phase
        for phase in study.phases
    )
    network = study.network.model_copy(update={"weights": "random"})
    study = study.model_copy(update={"network": network, "phases": phases})
    branches = build_branches(study, None)
    made = initial_model(study, branches)
    write_initial(folder / "initial.safetensors", made)
    save_file(front_arrays(branches), folder / "fronts.safetensors")
    travelling = sum(a.size for part in ("heads", "tails") for a in made.parts[part].values())
    print(f"an update holds {travelling / 1e6:.1f} million values, {travelling * 2 / 1e6:.1f} MB")
    return study.model_copy(update={"initial_model": made.digest})


def _measure(study: Study, number: int, model: Path, scratch: Path) -> int:
    """Run the backbones with so many sites; return the ServerApp's peak in bytes."""
    names = tuple(f"site-{i + 1:02}" for i in range(number))
    study = study.model_copy(update={"sites": names, "quorum": number})
    link = BareLink(scratch / f"{number}", names)
    run = link.home / "run"
    run.mkdir(parents=True)
    for folder in (run, link.nodes):
        shutil.copyfile(model / "initial.safetensors", folder / "initial.safetensors")
    shutil.copyfile(model / "fronts.safetensors", run / "fronts.safetensors")
    (run / "study.yaml").write_text(dump_yaml(study), encoding="utf-8")
    command = [BIN / "python", "-m", "tests.support.stand_ins", link.nodes]
    sites = Process(command, link.nodes / "log")
    with link:
        try:
            _lay_out(link, study)
            sites.start()
            wait_until(lambda: "online" in sites.text(), _STARTED_S, "the sites")
            launch = f'launch="{link.home / "launch.yaml"}"'
            app = ROOT / "deploy" / "flower-app"
            started = link.superlink.flwr("run", app, "own", "--run-config", launch)
            peak = _followed(link.superlink.process, run, study)
            link.superlink.flwr("stop", started["run-id"], "own")
            return peak
        finally:
            sites.close()


def _lay_out(link: BareLink, study: Study) -> None:
    launch = {
        "run": str(link.home / "run"),
        "key": str(link.signing_key),
        "sites": link.keys,
        "synthetic": True,
    }
    (link.home / "launch.yaml").write_text(yaml.safe_dump(launch), encoding="utf-8")
    facts = {
        "address": link.superlink.address,
        "coordinator": public_half(read_key(link.signing_key)),
        "classes": study.labels.classes,
        "sites": study.sites,
    }
    (link.nodes / "stand-ins.json").write_text(json.dumps(facts), encoding="utf-8")


def _followed(link: Process, run: Path, study: Study) -> int:
    """Print a row per round of the backbones; return the ServerApp's peak in bytes."""
    phase = study.phase(BackbonesPhase)
    last, seen, peak = phase.head_rounds + phase.tail_rounds, 0, 0
    end = time.monotonic() + _ROUND_S
    print(
        f"{'sites':>5} {'exchange':<20}{'seconds':>9}{'ServerApp':>12}{'SuperLink':>12}{'disk':>9}"
    )
    while True:
        events = _exchanges(run)
        app = children(link.pid, "flwr-serverapp")
        peak = max([peak, *map(peak_bytes, app)])
        for event in events[seen:]:
            database = sum(p.stat().st_size for p in run.parents[1].glob("flower/state.db*"))
            where = f"{event['phase']}, round {event['round']}"
            print(
                f"{len(study.sites):>5} {where:<20}{event['seconds']:>7.1f} s"
                f"{peak / 1e6:>9.0f} MB{resident_bytes(link.pid) / 1e6:>9.0f} MB"
                f"{database / 1e6:>6.0f} MB",
                flush=True,
            )
            if (event["phase"], event["round"]) == ("backbones", last):
                return peak
        seen = len(events)
        if not link.is_alive or time.monotonic() > end:
            raise TimeoutError(f"the run did not come to its last round: {link.text()[-2000:]}")
        time.sleep(0.1)


def _exchanges(run: Path) -> list[dict[str, object]]:
    path = run / "record.jsonl"
    events = read_record(path) if path.exists() else []
    if stopped := [event for event in events if event["event"] in ("stopped", "rejected")]:
        raise RuntimeError(stopped)
    return [event for event in events if event["event"] == "exchange"]


if __name__ == "__main__":
    main()
