"""The other arms' figures beside those of the federated run."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from client.site_config import Numerics
from common.figures import Gain, Summary, gain, summary
from common.metrics import Arms, RunMetrics, Scores, scores_from_counts
from server.conduct import Conduct
from server.outcome import machine, model_scores, summed, total_counts
from server.phases.evaluation import counts_by_site
from simulations.baseline_arms import SiteCounts

_SOFTWARE = ("leukofed", "torch", "torchvision", "timm", "xgboost", "numpy", "flwr", "scikit-learn")


@dataclass(frozen=True)
class Outcome:
    """What a run's arms came to."""

    evaluated: Mapping[str, Conduct]  # model arms, by name, federated among them
    baselines: Mapping[str, SiteCounts]  # linear_probe, colour_only
    arm_seconds: Mapping[str, float]


def with_other_arms(federated: RunMetrics, outcome: Outcome) -> RunMetrics:
    """Add what the other arms reached to the federated run's metrics."""
    models = {
        arm: model_scores(conduct)
        for arm, conduct in outcome.evaluated.items()
        if arm != "federated"
    }
    baselines = {
        arm: _baseline(counts, federated.classes) for arm, counts in outcome.baselines.items()
    }
    others = {
        "pooled": models.get("pooled"),
        "linear_probe": baselines.get("linear_probe"),
        "colour_only": baselines.get("colour_only"),
        "local_only": {
            arm.removeprefix("local_only."): scores
            for arm, scores in models.items()
            if arm.startswith("local_only.")
        },
    }
    added = {
        "arms": Arms(**(dict(federated.arms) | others)),
        "gains": _gains(outcome),
        "per_site": {
            site: scores.model_copy(update={"alone": _alone(outcome, site)})
            for site, scores in federated.per_site.items()
        },
        "arm_seconds": dict(outcome.arm_seconds),
    }
    return RunMetrics(**(dict(federated) | added))


def environment(numerics: Numerics, engine: str) -> dict[str, JsonValue]:
    """Describe the machine that both sides ran on, and how it computed."""
    return {**machine(_SOFTWARE), **numerics.model_dump(), "engine": engine}


def _baseline(counts: SiteCounts, classes: tuple[str, ...]) -> Scores:
    return scores_from_counts(
        summed(counts["test"]), classes, validation=summed(counts["validation"])
    )


def _gains(outcome: Outcome) -> dict[str, Gain]:
    ours = total_counts(outcome.evaluated["federated"], "test")["booster"]
    others = {name: summed(counts["test"]) for name, counts in outcome.baselines.items()}
    if "pooled" in outcome.evaluated:
        others["pooled"] = total_counts(outcome.evaluated["pooled"], "test")["booster"]
    # An arm that lost a site was measured on other images: no pair, no difference.
    return {
        name: gain(ours, counts)
        for name, counts in others.items()
        if counts.examples == ours.examples
    }


def _alone(outcome: Outcome, site: str) -> Summary | None:
    alone = outcome.evaluated.get(f"local_only.{site}")
    own = counts_by_site(alone, "test").get(site) if alone else None
    return summary(own["booster"]) if own else None
