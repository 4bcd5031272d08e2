"""Seconds for local training of both backbones: ours from the cache, against plain loops.

All train on the same images for as many epochs as the study's backbones phase has, and are asked
after each for the classes of other groups' images. Ours pays for all that a site pays in the phase:
decoding, contrast, the frozen fronts once per view, writing the cache, features, the epochs of the
heads, then those of the tails. The plain loops decode and prepare once and fine-tune the full
models in every epoch: float32 in torch's default layout, and bfloat16 channels_last. They take
turns, epoch by epoch, in one process, the loops with the C library's memory as it comes; models are
built beforehand, and predictions are not counted. Only ratios mean anything. What a site measures
once in its life, how it computes fastest, is told apart.

    python -m benchmarks.site_epoch --data DIR --weights DIR --images 240

Without --data images are generated; without --weights both start from random weights, which cost
the same and learn nothing. `--no-float32` leaves out the slow one.
"""

import argparse
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

from benchmarks.clock import Lap, Spent, median
from benchmarks.ledger import Figure, enter, parser, with_images
from benchmarks.site_ways import Task, Way, from_cache, plain_loop
from client.activations import Extractor
from client.data.cache import ActivationCache
from client.site_config import Numerics
from client.training.numerics import measured, threads
from common.model.initial import build_branches
from common.study.phases import BackbonesPhase
from simulations.scenario import load_scenario
from simulations.screening import Ground, read_ground
from simulations.synthetic import SyntheticSettings, write_dataset

_OURS = "ours"
_END = object()


def main() -> None:
    """Let the ways take turns; print seconds, ratios and macro F1."""
    made = with_images(parser(__doc__))
    made.add_argument("--scenario", default="taleqani-3-sites", help="whose study is taken")
    made.add_argument("--images", type=int, default=240, help="of which a third is predicted")
    made.add_argument("--views", type=int, help="of each image; by default the study's")
    made.add_argument("--no-float32", action="store_true", help="leave the float32 loop out")
    asked = made.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        task = _task(asked, Path(scratch))
        start = time.perf_counter()
        branches = build_branches(task.study, task.weights)
        numerics = measured(branches, task.study.imaging.size, ["cpu"])
        print(f"models built and numerics measured in {time.perf_counter() - start:.1f} s: "
              f"{numerics.model_dump_json()}")  # fmt: skip
        cache = ActivationCache(Path(scratch) / "cache", 10**11)
        mixed = numerics.model_copy(update={"precision": "bfloat16", "channels_last": True})
        plain = Numerics(threads=numerics.threads)
        stages: dict[str, Lap] = {}
        ways = {
            "float32 loop": plain_loop(task, plain),
            "bfloat16 channels_last loop": plain_loop(task, mixed),
            _OURS: from_cache(task, Extractor(task.study, branches, cache, numerics), stages),
        }
        if asked.no_float32:
            del ways["float32 loop"]
        laps, scores = _turns(ways, task, numerics)
        cache.close()
    _tell(asked, laps, scores, stages, task)


def _task(asked: argparse.Namespace, scratch: Path) -> Task:
    scenario, study = load_scenario(asked.scenario)
    folder = asked.data
    if folder is None:
        folder = write_dataset(scratch / "smears", SyntheticSettings(size=224)).parent
    ground: Ground = read_ground(
        folder / "manifest.csv", study.labels.classes,
        scenario.partition.together if asked.data else ("patient",),
        folds=3, divisions=1, images=asked.images,
    )  # fmt: skip
    fold = ground.divisions[0][0]
    kind = "imagenet" if asked.weights else "random"
    network = study.network.model_copy(update={"weights": kind})
    views = asked.views or study.phase(BackbonesPhase).views
    phases = tuple(
        phase.model_copy(update={"views": views}) if isinstance(phase, BackbonesPhase) else phase
        for phase in study.phases
    )
    study = study.model_copy(update={"network": network, "phases": phases})
    train, test = (
        [ground.examples[i] for i in chosen]
        for chosen in (np.sort(np.concatenate([fold.train, fold.validation])), fold.test)
    )
    return Task(study, asked.weights, train, test)


def _turns(
    ways: dict[str, Way], task: Task, numerics: Numerics
) -> tuple[dict[str, list[Spent]], dict[str, list[float]]]:
    """Let every way do an epoch, then the next; return its laps and macro F1 after each."""
    truth = [example.label for example in task.test]
    laps: dict[str, list[Spent]] = {name: [] for name in ways}
    scores: dict[str, list[float]] = {name: [] for name in ways}
    going = dict(ways)
    while going:
        for name, way in list(going.items()):
            with Lap() as lap, threads(numerics) if name == _OURS else nullcontext():
                ended = next(way.epochs, _END) is _END
            if ended:
                del going[name]
                continue
            laps[name].append(lap.spent)
            scores[name].append(float(f1_score(truth, way.predict().argmax(1), average="macro")))
            print(f"epoch {len(laps[name])}, {name}: {lap.spent.wall_s:.1f} s "
                  f"({lap.spent.cpu_s:.1f} s of processor), macro F1 {scores[name][-1]:.3f}",
                  flush=True)  # fmt: skip
    return laps, scores


def _tell(
    asked: argparse.Namespace,
    laps: dict[str, list[Spent]],
    scores: dict[str, list[float]],
    stages: dict[str, Lap],
    task: Task,
) -> None:
    """Print the figures: seconds of ours with the cache spread over all epochs."""
    tails, epochs = len(laps[_OURS]), len(task.loop_schedules)
    ours = sum(lap.wall_s for lap in laps[_OURS])
    ours_cpu = sum(lap.cpu_s for lap in laps[_OURS])
    figures = [
        Figure(name=f"ours, {len(task.train)} images, an epoch of {epochs}, all counted",
               value=ours / epochs, unit="s"),
        *(
            Figure(name=f"of that: {name}", value=lap.spent.wall_s / epochs, unit="s")
            for name, lap in stages.items()
        ),
        Figure(name="macro F1, ours", value=scores[_OURS][-1], unit=""),
    ]  # fmt: skip
    for name, spent in laps.items():
        if name == _OURS:
            continue
        aim = ">= 20" if name.startswith("float32") else ""
        one = median(spent)
        reached = [n for n, f in enumerate(scores[name], 1) if f >= scores[_OURS][-1] - 0.01]
        until = sum(lap.wall_s for lap in spent[: reached[0] if reached else epochs])
        against = f"{name} over ours"
        figures += [
            Figure(name=f"{name}, an epoch", value=one.wall_s, unit="s"),
            Figure(name=f"{against}, an epoch", value=one.wall_s * epochs / ours,
                   unit="x", aim=aim),
            Figure(name=f"{against}, an epoch, processor", value=one.cpu_s * epochs / ours_cpu,
                   unit="x", aim=aim),
            Figure(name=f"{against}, as many epochs as there are of tails",
                   value=one.wall_s * tails / ours, unit="x"),
            Figure(name=f"{name}, macro F1", value=scores[name][-1], unit=""),
            Figure(name=f"macro F1, ours minus {name}", value=scores[_OURS][-1] - scores[name][-1],
                   unit="", aim=">= -0.01"),
            Figure(name=f"{against}, until ours' macro F1 less 0.01"
                   + ("" if reached else " (not reached)"), value=until / ours, unit="x"),
        ]  # fmt: skip
    enter(asked, figures, "real" if asked.data else "generated")


if __name__ == "__main__":
    main()
