"""From an evaluated run to the figures of metrics.json."""

import platform
from collections.abc import Mapping, Sequence
from functools import reduce
from importlib.metadata import PackageNotFoundError, version
from operator import add
from typing import Any

from pydantic import JsonValue

from common.asks import CensusTold, Part
from common.figures import CurvePoint, SiteScores, site_data, summary
from common.initial_model import InitialModel
from common.metrics import Arms, ModelArm, RunMetrics, model_arm
from common.statistics.counts import EvaluationCounts
from server.attendance import rounds_lost
from server.conduct import Conduct
from server.phases.evaluation import Counts, counts_by_site
from server.phases.release import digests

_PACKAGES = ("leukofed", "numpy", "flwr", "xgboost")


def federated_metrics(
    conduct: Conduct,
    initial: InitialModel,
    environment: Mapping[str, JsonValue],
    *,
    name: str,
    synthetic: bool,
    seconds_total: float,
) -> RunMetrics:
    """Derive every figure of a federated run from its counts.

    Args:
        conduct: the run, evaluated.
        initial: what it began with.
        environment: of this machine; what each site told of its own is added under `sites`.
        name: of the study or scenario.
        synthetic: the images were generated.
        seconds_total: wall-clock seconds of the run.
    """
    study = conduct.study
    costs = conduct.rounds.accounts.to_json()
    census = {
        site: CensusTold.model_validate(told) for site, told in conduct.facts["census"].items()
    }
    participation = conduct.rounds.register.participation(study.sites)
    lost = rounds_lost(participation)
    return RunMetrics(
        name=name,
        study_digest=study.digest,
        synthetic=synthetic,
        rehearsal=conduct.rounds.rehearsal,
        complete=not lost,
        lost=lost,
        classes=study.labels.classes,
        arms=Arms(federated=model_scores(conduct)),
        per_site=_per_site(conduct),
        data={site: site_data(told) for site, told in census.items()},
        overlap=conduct.facts.get("overlap"),
        bytes_up=_each(costs, "up"),
        bytes_down=_each(costs, "down"),
        seconds=_each(costs, "seconds"),
        seconds_total=seconds_total,
        participation=participation,
        curves={
            phase: tuple(CurvePoint(**point) for point in points)
            for phase, points in conduct.facts["curves"].items()
        },
        digests=digests(conduct),
        initial_model=initial.digest,
        environment={
            **environment,
            "sites": {
                site: told.model_dump(mode="json", include={"software", "numerics"})
                for site, told in census.items()
            },
        },
        settings=study.model_dump(mode="json"),
    )


def model_scores(evaluated: Conduct) -> ModelArm:
    """Derive the figures of an evaluated model's two classifiers."""
    test, validation = total_counts(evaluated, "test"), total_counts(evaluated, "validation")
    return model_arm(
        test["booster"],
        test["softmax"],
        evaluated.study.labels.classes,
        temperatures=evaluated.facts["temperatures"],
        validation={"booster": validation["booster"], "softmax": validation["softmax"]},
    )


def total_counts(evaluated: Conduct, part: Part) -> Counts:
    """Return the counts of each classifier on a part, all sites together."""
    by_site = counts_by_site(evaluated, part)
    return {
        name: summed({site: counts[name] for site, counts in by_site.items()})
        for name in ("booster", "softmax")
    }


def summed(by_site: Mapping[str, EvaluationCounts]) -> EvaluationCounts:
    """Add all sites' counts."""
    return reduce(add, by_site.values())


def machine(packages: Sequence[str] = _PACKAGES) -> dict[str, JsonValue]:
    """Describe this machine: system, processor, and the versions of the packages it has."""
    found: dict[str, JsonValue] = {
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "system": platform.system(),
    }
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _per_site(conduct: Conduct) -> dict[str, SiteScores]:
    by_site = counts_by_site(conduct, "test")
    return {
        site: SiteScores(
            federated=summary(by_site[site]["booster"]), examples=by_site[site]["booster"].examples
        )
        for site in conduct.study.sites
        if site in by_site
    }


def _each(
    costs: Mapping[str, Mapping[str, Mapping[str, float]]], field: str
) -> dict[str, dict[str, Any]]:
    return {
        phase: {site: cost[field] for site, cost in sites.items()} for phase, sites in costs.items()
    }
