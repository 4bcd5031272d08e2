"""What the federation costs above the work itself: `leukofed-sim run` against a plain loop.

The same study, its federated arm alone, from the same cached activations, in three ways, in turn,
each in a process of its own: `leukofed-sim run`; a loop over the sites with FedAvg by hand
(`benchmarks.plain_study`); and of the backbones phase, which is most of it, Flower's own
`run_simulation` (`benchmarks.flower_study`) against that loop. Starting Python and its libraries
counts everywhere. Seconds of processor, and most memory, of all processes that a way starts.

    python -m benchmarks.overhead
    python -m benchmarks.overhead --scenario taleqani-3-sites --data DIR --weights DIR

`--work FOLDER` keeps what is laid out once, about twice the cache, for the next time.
"""

import argparse
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.clock import Spent, alone, median
from benchmarks.ledger import Figure, enter, parser, with_images
from common.yaml_file import dump_yaml
from simulations.scenario import load_scenario, shipped_scenarios

OURS, LOOP = "leukofed-sim run", "plain loop"
FLOWER, LOOP_BACKBONES = "run_simulation, backbones", "plain loop, backbones"


def main() -> None:
    """Lay out the work, let the ways take turns, and print ratios."""
    made = with_images(parser(__doc__))
    made.add_argument("--scenario", default="synthetic", help="a file, or one that ships")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--numerics", type=Path, help="another run's numerics.json")
    made.add_argument("--work", type=Path, help="keep what is laid out here")
    asked = made.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (asked.work or Path(scratch) / "work").resolve()
        if not (folder / "numerics.json").exists():
            _lay_out(asked, folder)
        spent = _turns(asked, folder, Path(scratch))
    enter(asked, _figures(spent), "real" if asked.data else "generated")


def _lay_out(asked: argparse.Namespace, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scenario = load_scenario(asked.scenario)[0]
    path = shipped_scenarios().get(asked.scenario, Path(asked.scenario))
    study = (path.parent / scenario.study).resolve()
    alone_arm = scenario.model_copy(update={"arms": ("federated",), "study": str(study)})
    (folder / "scenario.yaml").write_text(dump_yaml(alone_arm), encoding="utf-8")
    numerics = ["--numerics", asked.numerics] if asked.numerics else []
    made = _module("plain_inputs", folder / "scenario.yaml", folder, *_images(asked), *numerics)
    alone(made)


def _turns(asked: argparse.Namespace, folder: Path, scratch: Path) -> dict[str, list[Spent]]:
    plain, ours = folder / "plain", scratch / "runs"
    run = [Path(sys.executable).with_name("leukofed-sim"), "run", folder / "scenario.yaml",
           *_images(asked), "--numerics", folder / "numerics.json", "--out", ours]  # fmt: skip
    ways: dict[str, list[object]] = {
        OURS: run,
        LOOP: _module("plain_study", plain),
        LOOP_BACKBONES: _module("plain_study", plain, "--backbones"),
        FLOWER: _module("flower_study", plain),
    }
    if importlib.util.find_spec("ray") is None:
        print("Ray is not installed: Flower's own simulation is left out")
        del ways[FLOWER]
    spent: dict[str, list[Spent]] = {name: [] for name in ways}
    for number in range(asked.repeats):
        for name, command in ways.items():
            shutil.rmtree(ours, ignore_errors=True)
            shutil.copytree(folder / "cache", ours / "cache")  # without a run's own features
            lap = alone(command, {"RAY_USAGE_STATS_ENABLED": "0", "FLWR_TELEMETRY_ENABLED": "0"})
            spent[name].append(lap)
            print(f"{number + 1}, {name}: {lap.cpu_s:.1f} s of processor, {lap.wall_s:.1f} s, "
                  f"{lap.peak_bytes / 1e6:.0f} MB", flush=True)  # fmt: skip
    return spent


def _figures(spent: dict[str, list[Spent]]) -> list[Figure]:
    found = {name: median(laps) for name, laps in spent.items()}
    figures = []
    for name, one in found.items():
        figures += [
            Figure(name=f"{name}, processor", value=one.cpu_s, unit="s"),
            Figure(name=f"{name}, wall", value=one.wall_s, unit="s"),
            Figure(name=f"{name}, most memory", value=one.peak_bytes / 1e6, unit="MB"),
        ]
    pairs = [(OURS, LOOP, "<= 1.3", "<= 1.2")]
    if FLOWER in found:
        pairs.append((FLOWER, LOOP_BACKBONES, "", ""))
    for one_name, other, ratio, above in pairs:
        one, plain = found[one_name], found[other]
        gigabytes = (one.peak_bytes - plain.peak_bytes) / 1e9
        figures += [
            Figure(name=f"{one_name} over {other}, processor", value=one.cpu_s / plain.cpu_s,
                   unit="x", aim=ratio),
            Figure(name=f"{one_name} above {other}, memory", value=gigabytes, unit="GB", aim=above),
        ]  # fmt: skip
    return figures


def _module(name: str, *arguments: object) -> list[object]:
    return [sys.executable, "-m", f"benchmarks.{name}", *arguments]


def _images(asked: argparse.Namespace) -> list[object]:
    found: list[object] = []
    for option, folder in (("--data", asked.data), ("--weights", asked.weights)):
        found += [option, folder.resolve()] if folder else []
    return found


if __name__ == "__main__":
    main()
