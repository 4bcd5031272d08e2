"""Release: the bundle that `leukofed-site predict` needs, and nothing else does."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from common.asks import CensusTold
from common.boosting.grid import log_grid
from common.boosting.trees import forest_from_arrays
from common.boosting.xgb_model import write_model
from common.data_sheet import data_sheet
from common.metrics import RunMetrics
from common.model_card import Account, Measure, model_card
from common.parts import Arrays, flattened
from common.release import Release, write_release
from common.study.phases import BoosterPhase
from server.conduct import Conduct
from server.phases.booster import rules_for

BACKBONES = ("constants", "tails", "heads", "moments")
FUSION = ("fusion", "fusion-moments")


def digests(conduct: Conduct) -> dict[str, str]:
    """Return the digest of every trained part: equal for runs that computed the same model."""
    return {name: conduct.parts[name].digest for name in (*BACKBONES, *FUSION, "booster")}


def run(
    conduct: Conduct,
    fronts: Arrays,
    metrics: RunMetrics,
    record: bytes,
    run_name: str,
    folder: Path,
) -> None:
    """Write the bundle, and its zip beside it.

    Args:
        conduct: the trained run.
        fronts: the frozen fronts' tensors, `ARCHITECTURE/NAME`.
        metrics: of the whole run.
        record: the run's record so far, JSON lines.
        run_name: told in the model card.
        folder: the bundle; must not exist.

    Raises:
        RunStopped: it cannot be written.
    """
    study = conduct.study
    booster = study.phase(BoosterPhase)
    rules = rules_for(conduct)
    grid = log_grid(booster.grid.lowest, booster.grid.highest, booster.grid.levels)
    forest = forest_from_arrays(conduct.parts["booster"].arrays, rules)
    trained = {name: conduct.parts[name].arrays for name in (*BACKBONES, *FUSION)}
    release = Release(
        backbones=flattened({"fronts": fronts} | {name: trained[name] for name in BACKBONES}),
        fusion=flattened({name: trained[name] for name in FUSION}),
        booster=write_model(forest, grid, rules=rules, classes=study.labels.classes),
        study=study,
        metrics=metrics.model_dump(mode="json"),
        record=record,
        card=model_card(study, _account(conduct, metrics, run_name)),
        sheet=data_sheet(
            study, metrics.data, synthetic=metrics.synthetic, rehearsal=metrics.rehearsal
        ),
    )
    write_release(folder, release)


def _account(conduct: Conduct, metrics: RunMetrics, run_name: str) -> Account:
    census: Mapping[str, CensusTold] = {
        site: CensusTold.model_validate(told) for site, told in conduct.facts["census"].items()
    }
    has_trees = conduct.study.phase(BoosterPhase).mode != "none"
    return Account(
        run=run_name,
        version=version("leukofed"),
        census=census,
        measures=tuple(_measures(metrics, has_trees)),
        initial_model=str(metrics.initial_model),
        is_synthetic=metrics.synthetic,
        is_rehearsal=metrics.rehearsal,
        losses=metrics.losses,
    )


def _measures(metrics: RunMetrics, has_trees: bool) -> list[Measure]:
    found = []
    arm = metrics.arms.federated
    trees = (("booster", arm),) if has_trees else ()
    for classifier, scores in (*trees, ("softmax", arm.softmax)):
        for name, label in (
            ("accuracy", "accuracy"), ("macro_f1", "macro F1"), ("macro_auc", "macro AUC"),
        ):  # fmt: skip
            value, interval = getattr(scores, name), getattr(scores.interval, name)
            if value is not None:
                low, high = interval or (None, None)
                found.append(Measure(classifier, label, value, low, high))
    return found
