"""Seconds for local training of both backbones: ours from the cache, against plain loops.

All train on the same images for as many epochs as the study's backbones phase has, and are asked
after each for the classes of other groups' images. Ours pays for all that a site pays in the phase:
decoding, contrast, the frozen fronts once per view, writing the cache, features, the epochs of the
heads, then those of the tails. It is measured twice: as the study has it, and with as many epochs
of tails as the loops have of whole models. The plain loops decode and prepare once and fine-tune
the full models in every epoch: float32 in torch's default layout, and bfloat16 channels_last. They
take turns, epoch by epoch, in one process, the loops with the C library's memory as it comes;
models are built beforehand, and predictions are not counted. Only ratios mean anything. What a site
measures once in its life, how it computes fastest, is told apart.

    python -m benchmarks.site_epoch --data DIR --weights DIR

Without --data images are generated; without --weights both start from random weights, which cost
the same and learn nothing. `--loops bfloat16` leaves out the slow one; `--loops` alone, both.
"""

import argparse
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

from benchmarks.clock import Lap, Spent, median
from benchmarks.ledger import Figure, enter, parser, with_images
from benchmarks.site_ways import Task, Way, from_cache, plain_loop
from client.activations import Extractor
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.site_config import Numerics
from client.training.numerics import measured, threads
from common.model.initial import build_branches
from common.study.phases import BackbonesPhase
from common.study.schema import Study
from simulations.folds import Indices, spread
from simulations.scenario import load_scenario
from simulations.screening import Ground, read_ground
from simulations.synthetic import SyntheticSettings, write_dataset

_LOOPS = ("float32", "bfloat16")
_OURS, _LONGER = "ours", "ours, more tails"
_END = object()


def main() -> None:
    """Let the ways take turns; print seconds, ratios and macro F1."""
    made = with_images(parser(__doc__))
    made.add_argument("--scenario", default="taleqani-3-sites", help="whose study is taken")
    made.add_argument("--images", type=int, default=160, help="at most so many are trained on")
    made.add_argument("--predicted", type=int, default=400, help="at most so many are predicted")
    made.add_argument("--views", type=int, help="of each image; by default the study's")
    made.add_argument("--loops", nargs="*", choices=_LOOPS, default=_LOOPS, help="which to run")
    asked = made.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        task = _task(asked, Path(scratch))
        start = time.perf_counter()
        branches = {name: build_branches(task.study, task.weights) for name in (_OURS, _LONGER)}
        numerics = measured(branches[_OURS], task.study.imaging.size, ["cpu"])
        print(f"models built and numerics measured in {time.perf_counter() - start:.1f} s: "
              f"{numerics.model_dump_json()}")  # fmt: skip
        caches = {name: ActivationCache(Path(scratch) / name, 10**11) for name in branches}
        mixed = numerics.model_copy(update={"precision": "bfloat16", "channels_last": True})
        plain = Numerics(threads=numerics.threads)
        stages: dict[str, dict[str, Lap]] = {name: {} for name in branches}
        tasks = {_OURS: task, _LONGER: _with_tails(task, len(task.loop_schedules))}
        ways = {
            "float32 loop": plain_loop(task, plain),
            "bfloat16 channels_last loop": plain_loop(task, mixed),
            **{
                name: from_cache(
                    own, Extractor(own.study, branches[name], caches[name], numerics), stages[name]
                )
                for name, own in tasks.items()
            },
        }
        ways = {
            name: way
            for name, way in ways.items()
            if name in tasks or name.startswith(tuple(asked.loops))
        }
        laps, scores = _turns(ways, task, numerics)
        for cache in caches.values():
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
        folds=3, divisions=1,
    )  # fmt: skip
    fold = ground.divisions[0][0]
    kind = "imagenet" if asked.weights else "random"
    study = study.model_copy(update={"network": study.network.model_copy(update={"weights": kind})})
    if asked.views:
        study = _with_phase(study, views=asked.views)
    learnt = np.sort(np.concatenate([fold.train, fold.validation]))
    return Task(
        study,
        asked.weights,
        train=_some(ground, learnt, asked.images),
        test=_some(ground, fold.test, asked.predicted),
    )


def _some(ground: Ground, chosen: Indices, most: int) -> list[Example]:
    """Return at most so many of the chosen images, from every group alike."""
    examples = [ground.examples[i] for i in chosen]
    return [examples[i] for i in spread([e.group for e in examples], most, seed=0)]


def _with_phase(study: Study, **settings: int) -> Study:
    """Return the study with other settings of its backbones phase."""
    phases = tuple(
        phase.model_copy(update=settings) if isinstance(phase, BackbonesPhase) else phase
        for phase in study.phases
    )
    return study.model_copy(update={"phases": phases})


def _with_tails(task: Task, epochs: int) -> Task:
    """Return the task with so many epochs of tails, one a round."""
    return replace(task, study=_with_phase(task.study, tail_rounds=epochs, tail_epochs=1))


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
            with Lap() as lap, threads(numerics) if name in (_OURS, _LONGER) else nullcontext():
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
    stages: dict[str, dict[str, Lap]],
    task: Task,
) -> None:
    """Print the figures: whole phases, caches counted, against the loops' epochs."""
    figures: list[Figure] = []
    for name, parts in stages.items():
        figures += [
            Figure(name=f"{name}: {len(task.train)} images, whole phase",
                   value=sum(lap.wall_s for lap in laps[name]), unit="s"),
            *(Figure(name=f"of that: {part}", value=lap.spent.wall_s, unit="s")
              for part, lap in parts.items()),
            Figure(name=f"{name}: macro F1 on {len(task.test)} images",
                   value=scores[name][-1], unit=""),
        ]  # fmt: skip
    for loop in [name for name in laps if name not in stages]:
        figures += [
            Figure(name=f"{loop}: an epoch", value=median(laps[loop]).wall_s, unit="s"),
            Figure(name=f"{loop}: macro F1 after {len(laps[loop])}",
                   value=scores[loop][-1], unit=""),
            *(figure for ours in stages for figure in _against(loop, ours, laps, scores)),
        ]  # fmt: skip
    enter(asked, figures, "real" if asked.data else "generated")


def _against(
    loop: str, ours: str, laps: dict[str, list[Spent]], scores: dict[str, list[float]]
) -> list[Figure]:
    """Compare a loop with one of ours: both phases whole, and until it is as good as ours."""
    aim = ">= 20" if loop.startswith("float32") else ""
    one, epochs = median(laps[loop]), len(laps[loop])
    spent = sum(lap.wall_s for lap in laps[ours])
    spent_cpu = sum(lap.cpu_s for lap in laps[ours])
    good = scores[ours][-1] - 0.01
    reached = next((n for n, found in enumerate(scores[loop], 1) if found >= good), None)
    until = sum(lap.wall_s for lap in laps[loop][:reached])
    pair = f"{loop} over {ours}"
    return [
        Figure(name=f"{pair}: whole phase", value=one.wall_s * epochs / spent, unit="x", aim=aim),
        Figure(name=f"{pair}: processor", value=one.cpu_s * epochs / spent_cpu, unit="x", aim=aim),
        Figure(name=f"{pair}: until its macro F1 less 0.01{' (not reached)' * (reached is None)}",
               value=until / spent, unit="x"),
        Figure(name=f"macro F1, {ours} minus {loop}",
               value=scores[ours][-1] - scores[loop][-1], unit="", aim=">= -0.01"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
