"""What each step of preparation and augmentation is worth: an ablation on a dataset's own images.

Every arm changes one thing of the plain pipeline (no crop, no mask, no contrast, no augmentation).
Frozen ImageNet backbones, a linear probe on folds that no group straddles, every image tested
once in each of several divisions into the same folds for all arms; 95 % intervals by bootstrap
over groups, paired for the difference from `plain`.

    python -m benchmarks.preparation --data DIR --weights DIR --out preparation.json

Arms that --out holds already are not measured again, and features are remembered in --cache, so
an interrupted run goes on where it was, and a further arm costs only itself. `--confirm ARM`
trains the tails on the same folds. `--sheet FILE.png` only draws some images of every arm, to be
looked at: it holds real images, so keep it where they are kept.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from pydantic import JsonValue
from rich.console import Console
from rich.progress import Progress

from client.activations import Extractor
from common.study.schema import Study
from simulations.frozen import FrozenFeatures, opened
from simulations.pictures import Arm, arms
from simulations.probes import probed
from simulations.scenario import load_scenario, merged
from simulations.screening import Account, Ground, read_ground, row, screening_parser, table
from simulations.tails import fine_tuned

REFERENCE = "plain"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the arms asked for, and print them as they are done."""
    parser = _parser()
    wanted = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    scenario, study = load_scenario(wanted.scenario)
    found = arms(study)
    unknown = sorted({*(wanted.arms or ()), *(wanted.confirm or ())} - set(found))
    if unknown:
        parser.error(f"no such arm: {', '.join(unknown)}; there are: {', '.join(found)}")
    chosen = {name: found[name] for name in wanted.arms or found}
    ground = read_ground(
        wanted.data / "manifest.csv",
        study.labels.classes,
        scenario.partition.together,
        folds=wanted.folds,
        divisions=wanted.divisions,
        images=wanted.images,
    )
    console.print(str(ground))
    if wanted.sheet:
        write_sheet(wanted.sheet, chosen, ground, study.seed)
    elif wanted.confirm:
        _confirm(wanted, {name: found[name] for name in wanted.confirm}, ground, study, console)
    else:
        _ablate(wanted, {REFERENCE: found[REFERENCE]} | chosen, ground, study, console)


def _ablate(
    wanted: argparse.Namespace,
    chosen: Mapping[str, Arm],
    ground: Ground,
    study: Study,
    console: Console,
) -> None:
    account = Account(wanted.out, ground)
    with (
        opened(study, wanted.weights, wanted.cache, wanted.cache_gb) as backbones,
        Progress(console=console, transient=True) as bar,
    ):
        task = bar.add_task("pictures", total=None)
        features = FrozenFeatures(
            backbones, lambda done, of: bar.update(task, completed=done, total=of)
        )
        for name, arm in chosen.items():
            if not account.holds(name, arm.settings()):
                bar.update(task, description=name)
                start = time.perf_counter()
                views = [
                    features.of(ground.examples, arm.name_of(n, study.seed),
                                arm.picture(n, study.seed))
                    for n in range(arm.views)
                ]  # fmt: skip
                predicted = probed(ground, views, balance=arm.balance)
                account.add(name, arm.settings(), predicted, time.perf_counter() - start)
            console.print(row(name, account.score(name, REFERENCE)), account.seconds(name), "s")
    console.print(
        f"\n{table({name: account.score(name, REFERENCE) for name in chosen}, REFERENCE)}"
    )


def _confirm(
    wanted: argparse.Namespace,
    chosen: Mapping[str, Arm],
    ground: Ground,
    study: Study,
    console: Console,
) -> None:
    """Train tails under some arms, and compare them with the first of these."""
    file = wanted.out and wanted.out.with_name(f"{wanted.out.stem}-tails.json")
    account = Account(file, ground)
    first = next(iter(chosen))
    with opened(study, wanted.weights, wanted.cache, wanted.cache_gb) as backbones:
        for name, arm in chosen.items():
            own = _study_of(study, arm, wanted.tail_rounds)
            settings = {"rounds": wanted.tail_rounds, **arm.settings()}
            if not account.holds(name, settings):
                start = time.perf_counter()
                with console.status(f"training tails: {name}"):
                    extractor = Extractor(
                        own, backbones.branches, backbones.cache, backbones.numerics
                    )
                    predicted = fine_tuned(ground, own, extractor)
                account.add(name, settings, predicted, time.perf_counter() - start)
            console.print(row(name, account.score(name, first)), account.seconds(name), "s")


def _study_of(study: Study, arm: Arm, tail_rounds: int) -> Study:
    """Return the study that prepares and varies images as an arm does."""
    settings = arm.settings()
    changes: dict[str, JsonValue] = {
        "imaging": settings["imaging"],
        "augmentation": settings["augmentation"],
        "phases": {
            "backbones": {
                "views": arm.views, "balance": arm.balance, "tail_rounds": tail_rounds,
            },
        },
    }  # fmt: skip
    return Study.model_validate(merged(study.model_dump(mode="json"), changes))


def write_sheet(file: Path, chosen: Mapping[str, Arm], ground: Ground, seed: int) -> None:
    """Draw an arm to a row: six images of all classes, in the arm's last view."""
    images = [ground.examples[i] for i in np.linspace(0, len(ground.examples) - 1, 6).astype(int)]
    rows = []
    for name, arm in chosen.items():
        draw = arm.picture(arm.views - 1, seed)
        strip = np.hstack([cv2.resize(draw(example), (180, 180)) for example in images])
        cv2.putText(strip, name, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (200, 0, 0), 1)
        rows.append(strip)
    cv2.imwrite(str(file), np.vstack(rows)[..., ::-1])


def _parser() -> argparse.ArgumentParser:
    parser = screening_parser(__doc__.splitlines()[0])
    add = parser.add_argument
    add("--arms", nargs="+", metavar="ARM", help="only these; plain is always among them")
    add("--confirm", nargs="+", metavar="ARM", help="train tails; compare with the first named")
    add("--tail-rounds", type=int, default=2, help="epochs of the tails, for --confirm")
    add("--sheet", type=Path, metavar="FILE.png", help="only draw images of every arm")
    return parser


if __name__ == "__main__":
    main()
