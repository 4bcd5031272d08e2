"""From finished arms to metrics.json."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import version
from operator import add
from typing import Any

from client.site_config import Numerics
from common.asks import CensusTold, Part
from common.figures import CurvePoint, SiteScores, gain, site_data, summary
from common.initial_model import InitialModel
from common.metrics import Arms, ModelArm, RunMetrics, Scores, model_arm, scores_from_counts
from common.statistics.counts import EvaluationCounts
from common.study.schema import Study
from server.conduct import Conduct
from server.phases.evaluation import Counts, counts_by_site
from server.phases.release import digests
from simulations.baseline_arms import SiteCounts

_SOFTWARE = ("leukofed", "torch", "torchvision", "timm", "xgboost", "numpy", "flwr", "scikit-learn")


@dataclass(frozen=True)
class Outcome:
    """What a run's arms came to."""

    trained: Mapping[str, Conduct]  # model arms, by name, federated among them
    evaluated: Mapping[str, Conduct]
    baselines: Mapping[str, SiteCounts]  # linear_probe, colour_only
    arm_seconds: Mapping[str, float]


def run_metrics(
    study: Study,
    outcome: Outcome,
    initial: InitialModel,
    numerics: Numerics,
    *,
    name: str,
    synthetic: bool,
    seconds_total: float,
) -> RunMetrics:
    """Derive every figure of a run from its counts."""
    classes = study.labels.classes
    models = {arm: _model_arm(outcome, arm, classes) for arm in outcome.trained}
    baselines = {arm: _baseline(counts, classes) for arm, counts in outcome.baselines.items()}
    federated = outcome.trained["federated"]
    costs = federated.rounds.accounts.to_json()
    census = {
        site: CensusTold.model_validate(told) for site, told in federated.facts["census"].items()
    }
    return RunMetrics(
        name=name,
        study_digest=study.digest,
        synthetic=synthetic,
        classes=classes,
        arms=Arms(
            federated=models["federated"],
            pooled=models.get("pooled"),
            linear_probe=baselines.get("linear_probe"),
            colour_only=baselines.get("colour_only"),
            local_only={
                arm.removeprefix("local_only."): scores
                for arm, scores in models.items()
                if arm.startswith("local_only.")
            },
        ),
        gains=_gains(outcome),
        per_site=_per_site(outcome, study),
        data={site: site_data(told) for site, told in census.items()},
        bytes_up=_each(costs, "up"),
        bytes_down=_each(costs, "down"),
        seconds=_each(costs, "seconds"),
        seconds_total=seconds_total,
        arm_seconds=dict(outcome.arm_seconds),
        curves={
            phase: tuple(CurvePoint(**point) for point in points)
            for phase, points in federated.facts["curves"].items()
        },
        digests=digests(federated),
        initial_model=initial.digest,
        environment=_environment(numerics),
        settings=study.model_dump(mode="json"),
    )


def _summed(by_site: Mapping[str, EvaluationCounts]) -> EvaluationCounts:
    return reduce(add, by_site.values())


def _both(by_site: Mapping[str, Counts]) -> Counts:
    return {
        name: _summed({site: counts[name] for site, counts in by_site.items()})
        for name in ("booster", "softmax")
    }


def _model_arm(outcome: Outcome, arm: str, classes: tuple[str, ...]) -> ModelArm:
    conduct = outcome.evaluated[arm]
    test = _both(counts_by_site(conduct, "test"))
    validation = _both(counts_by_site(conduct, "validation"))
    return model_arm(
        test["booster"],
        test["softmax"],
        classes,
        temperatures=outcome.trained[arm].facts["temperatures"],
        validation={"booster": validation["booster"], "softmax": validation["softmax"]},
    )


def _baseline(counts: SiteCounts, classes: tuple[str, ...]) -> Scores:
    return scores_from_counts(
        _summed(counts["test"]), classes, validation=_summed(counts["validation"])
    )


def _gains(outcome: Outcome) -> dict[str, Any]:
    ours = _test_counts(outcome, "federated")
    others = {name: _summed(counts["test"]) for name, counts in outcome.baselines.items()}
    if "pooled" in outcome.trained:
        others["pooled"] = _test_counts(outcome, "pooled")
    # An arm that lost a site was measured on other images: no pair, no difference.
    return {
        name: gain(ours, counts)
        for name, counts in others.items()
        if counts.examples == ours.examples
    }


def _test_counts(outcome: Outcome, arm: str) -> EvaluationCounts:
    return _both(counts_by_site(outcome.evaluated[arm], "test"))["booster"]


def _per_site(outcome: Outcome, study: Study) -> dict[str, SiteScores]:
    part: Part = "test"
    federated = counts_by_site(outcome.evaluated["federated"], part)
    found = {}
    for site in study.sites:
        if site not in federated:
            continue
        alone = outcome.evaluated.get(f"local_only.{site}")
        own = counts_by_site(alone, part).get(site) if alone else None
        found[site] = SiteScores(
            federated=summary(federated[site]["booster"]),
            alone=summary(own["booster"]) if own else None,
            examples=federated[site]["booster"].examples,
        )
    return found


def _each(
    costs: Mapping[str, Mapping[str, Mapping[str, float]]], field: str
) -> dict[str, dict[str, Any]]:
    return {
        phase: {site: cost[field] for site, cost in sites.items()} for phase, sites in costs.items()
    }


def _environment(numerics: Numerics) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "system": platform.system(),
        **{name: version(name) for name in _SOFTWARE},
        **numerics.model_dump(),
    }
