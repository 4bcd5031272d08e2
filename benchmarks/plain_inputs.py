"""Lays out what a plain loop needs of a scenario: activations as arrays, modules, settings.

    python -m benchmarks.plain_inputs SCENARIO FOLDER [--data DIR] [--weights DIR] [--numerics FILE]

FOLDER then holds the cache of activations, nothing behind the frozen fronts in it, for
`leukofed-sim run`, and under `plain/` the same activations for `benchmarks.plain_study`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks.ledger import parser, with_images
from client.data.cache import ActivationCache
from client.site import Bench
from common.asks import Part, Stage
from common.model.network import build_fusion
from common.seeds import seed_for
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase
from common.study.schedule import Schedule, schedule_of
from common.study.schema import Study
from server.progress import PlainProgress
from simulations.prepare import Places, dataset, pinned, prepare
from simulations.scenario import load_scenario

PARTS: tuple[Part, ...] = ("train", "validation", "test")
_AT_ONCE = 256  # views


def main() -> None:
    """Prepare the scenario, fill the cache, and write the arrays."""
    made = with_images(parser(__doc__))
    made.add_argument("scenario")
    made.add_argument("folder", type=Path)
    made.add_argument("--numerics", type=Path)
    asked = made.parse_args()
    scenario, study = load_scenario(asked.scenario)
    places = Places(asked.data, asked.weights, asked.folder / "runs", asked.folder / "cache",
                    numerics=asked.numerics)  # fmt: skip
    cache = ActivationCache(places.cache, 10**12)
    run, plain = asked.folder / "prepared", asked.folder / "plain"
    run.mkdir(parents=True)
    plain.mkdir()
    watch = PlainProgress(Console())
    study = pinned(study, places)
    manifest = dataset(scenario, places, watch)
    prepared = prepare(scenario, study, places, run, manifest, cache, watch)
    study = prepared.study
    benches = {name: prepared.virtual.site(name, [study]).bench(study) for name in study.sites}
    for name, bench in benches.items():
        _write_site(plain / name, bench, study)
    _write_study(plain, next(iter(benches.values())), study)
    cache.close()
    (asked.folder / "numerics.json").write_text(prepared.virtual.numerics.model_dump_json())


def _write_site(folder: Path, bench: Bench, study: Study) -> None:
    folder.mkdir()
    for part in PARTS:
        views = study.phase(BackbonesPhase).views if part == "train" else 1
        examples = bench.examples(part)
        bench.extractor.fill(examples, views)
        np.save(folder / f"{part}-labels.npy", bench.labels(part))
        for number, branch in enumerate(bench.branches):
            images = np.repeat(np.arange(len(examples)), views)
            drawn = np.tile(np.arange(views), len(examples))
            first = bench.extractor.draw(number, examples, images[:1], drawn[:1])
            out = np.lib.format.open_memmap(
                folder / f"{part}-{branch.architecture}.npy", "w+", np.float16,
                (len(images), *first.shape[1:]),
            )  # fmt: skip
            for at in range(0, len(images), _AT_ONCE):
                some = slice(at, at + _AT_ONCE)
                out[some] = bench.extractor.draw(number, examples, images[some], drawn[some])
            out.flush()


def _write_study(folder: Path, bench: Bench, study: Study) -> None:
    backbones, fusion = study.phase(BackbonesPhase), study.phase(FusionPhase)
    rounds: dict[Stage, int] = {"heads": backbones.head_rounds, "tails": backbones.tail_rounds,
              "fusion": fusion.rounds}  # fmt: skip
    first: dict[Stage, int] = {"heads": 1, "tails": 1 + backbones.head_rounds, "fusion": 1}
    booster = study.phase(BoosterPhase)
    facts: dict[str, Any] = {
        "sites": study.sites, "views": backbones.views, "classes": len(study.labels.classes),
        "seed": seed_for(study.seed, "plain"), "numerics": bench.extractor.numerics.model_dump(),
        "schedules": {
            stage: [_plain(schedule_of(study, stage, first[stage] + n)) for n in range(many)]
            for stage, many in rounds.items()
        },
        "booster_rounds": booster.rounds,
        "booster": {
            "objective": "multi:softprob", "num_class": len(study.labels.classes),
            "tree_method": "hist", "max_bin": booster.grid.levels, "max_depth": booster.depth,
            "eta": booster.eta, "lambda": booster.l2, "min_child_weight": booster.min_child_weight,
            "num_parallel_tree": booster.parallel_trees, "colsample_bytree": booster.columns,
            "nthread": bench.extractor.numerics.threads,
        },
    }  # fmt: skip
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    torch.manual_seed(facts["seed"])
    modules = {
        "names": [branch.architecture for branch in bench.branches],
        "tails": [branch.tail for branch in bench.branches],
        "heads": [branch.head for branch in bench.branches],
        "fusion": build_fusion(study, sum(branch.width for branch in bench.branches)),
    }
    torch.save(modules, folder / "modules.pt")


def _plain(schedule: Schedule) -> dict[str, float]:
    """Return what a plain loop goes by."""
    return {
        "epochs": schedule.epochs, "batch_size": schedule.batch_size,
        "learning_rate": schedule.learning_rate, "weight_decay": schedule.weight_decay,
    }  # fmt: skip


if __name__ == "__main__":
    main()
