"""Builders of a run's metrics: generated probabilities, really tallied, really measured."""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from common.figures import Attendance, CurvePoint, Mark, SiteData, SiteScores, gain, summary
from common.metrics import Arms, ModelArm, RunMetrics, Scores, model_arm, scores_from_counts
from common.seeds import stream
from common.statistics.counts import EvaluationCounts, tally
from common.study.schema import LabelSet, Study
from server.attendance import rounds_lost

CLASSES = ("Benign", "Early", "Pre", "Pro")
SITES = ("north", "south", "west")
BySite = Mapping[str, EvaluationCounts]


def counts_by_site(
    skill: float,
    arm: str,
    sites: tuple[str, ...] = SITES,
    classes: tuple[str, ...] = CLASSES,
    missing: tuple[str, ...] = (),
    replicates: int = 100,
) -> dict[str, EvaluationCounts]:
    """Tally predictions of a classifier of some skill; every arm sees the same images.

    Args:
        skill: by how much the true class's logit stands out.
        arm: seeds the predictions.
        sites: each holds 90 to 150 images in groups of three.
        classes: names.
        missing: classes that no image has.
        replicates: of the bootstrap.
    """
    found = {}
    for place, site in enumerate(sites):
        images = stream(7, "images", site)
        shown = [label for label, name in enumerate(classes) if name not in missing]
        truth = np.sort(images.choice(shown, size=90 + 20 * (place % 4))).astype(np.int64)
        hardness = images.normal(size=(len(truth), len(classes)))
        logits = hardness + 0.6 * stream(7, arm, site).normal(size=hardness.shape)
        logits[np.arange(len(truth)), truth] += skill - 0.3 * place
        shares = np.exp(1.3 * logits)
        found[site] = tally(
            shares / shares.sum(axis=1, keepdims=True),
            truth,
            [int(i) // 3 for i in range(len(truth))],
            replicates,
            stream(7, "bootstrap", site),
        )
    return found


def total(by_site: BySite) -> EvaluationCounts:
    """Add all sites' counts."""
    return reduce(add, by_site.values())


def build_metrics(
    *,
    sites: tuple[str, ...] = SITES,
    classes: tuple[str, ...] = CLASSES,
    missing: tuple[str, ...] = (),
    skill: float = 3.0,
    probe: float = 2.5,
    **changes: Any,
) -> RunMetrics:
    """Build the metrics of a run with every arm; `changes` replace fields of the result."""

    def counted(skill: float, arm: str) -> dict[str, EvaluationCounts]:
        return counts_by_site(skill, arm, sites, classes, missing)

    def model(skill: float, arm: str) -> ModelArm:
        return model_arm(
            total(counted(skill, arm)),
            total(counted(skill - 0.15, f"{arm} softmax")),
            classes,
            temperatures={"booster": 1.31, "softmax": 0.94},
            validation={
                "booster": total(counted(skill, f"{arm} validation")),
                "softmax": total(counted(skill, f"{arm} softmax validation")),
            },
        )

    def baseline(skill: float, arm: str) -> Scores:
        return scores_from_counts(total(counted(skill, arm)), classes)

    federated = counted(skill, "federated")
    others = {"pooled": skill + 0.1, "linear_probe": probe, "colour_only": 1.2}
    alone = {site: counted(skill - 0.8 + 0.2 * i, f"{site} alone") for i, site in enumerate(sites)}
    study = Study(
        name="trial", sites=sites, quorum=1, labels=LabelSet(name="trial", classes=classes)
    )
    metrics = RunMetrics(
        name="trial",
        study_digest=study.digest,
        synthetic=True,
        classes=classes,
        arms=Arms(
            federated=model(skill, "federated"),
            pooled=model(skill + 0.1, "pooled"),
            linear_probe=baseline(probe, "linear_probe"),
            colour_only=baseline(1.2, "colour_only"),
            local_only={
                site: model(skill - 0.8 + 0.2 * i, f"{site} alone") for i, site in enumerate(sites)
            },
        ),
        gains={arm: gain(total(federated), total(counted(s, arm))) for arm, s in others.items()},
        per_site={
            site: SiteScores(
                federated=summary(counts),
                alone=summary(alone[site][site]),
                examples=counts.examples,
            )
            for site, counts in federated.items()
        },
        data={site: _data(federated[site], classes) for site in sites},
        bytes_up=_costs(sites, 1),
        bytes_down=_costs(sites, 2),
        seconds={
            phase: {site: n / 1e6 for site, n in by_site.items()}
            for phase, by_site in _costs(sites, 3).items()
        },
        seconds_total=754.0,
        arm_seconds={"federated": 320.5, "pooled": 250.0, "linear_probe": 4.2, "colour_only": 0.6},
        participation=_participation(sites),
        curves=_curves(),
        digests=dict.fromkeys(("tails", "heads", "fusion", "booster"), study.digest[::-1]),
        initial_model=study.digest,
        environment={"python": "3.11", "numerics": {"precision": "bfloat16", "threads": 2}},
        settings=study.model_dump(mode="json"),
    )  # fmt: skip
    return metrics.model_copy(update=changes)


def with_losses(metrics: RunMetrics) -> RunMetrics:
    """Let the last site miss rounds of training, each for another reason, and the evaluation."""
    site = list(metrics.data)[-1]
    held = {phase: list(rounds) for phase, rounds in metrics.participation.items()}
    for phase, number, mark in (
        ("backbones", 2, "late"), ("backbones", 3, "missing"), ("fusion", 1, "refused"),
        ("booster", 2, "rejected"), ("evaluation", 0, "left out"),
    ):  # fmt: skip
        before = held[phase][number]
        held[phase][number] = Attendance(round=before.round, sites={**before.sites, site: mark})
    participation = {phase: tuple(rounds) for phase, rounds in held.items()}
    lost = rounds_lost(participation)
    return metrics.model_copy(
        update={"participation": participation, "lost": lost, "complete": False}
    )


def _participation(sites: tuple[str, ...]) -> dict[str, tuple[Attendance, ...]]:
    rounds = {
        "census": range(1, 2), "backbones": range(8), "fusion": range(7), "booster": range(1, 7),
        "calibration": range(1, 2), "evaluation": range(1, 2),
    }  # fmt: skip
    all_there: dict[str, Mark] = dict.fromkeys(sites, "answered")
    return {
        phase: tuple(Attendance(round=number, sites=all_there) for number in numbers)
        for phase, numbers in rounds.items()
    }


def federated_alone(metrics: RunMetrics) -> RunMetrics:
    """Leave of a run's metrics what a coordinator has, which runs no other arm."""
    return metrics.model_copy(
        update={
            "arms": Arms(federated=metrics.arms.federated),
            "gains": {},
            "arm_seconds": {},
            "per_site": {
                site: scores.model_copy(update={"alone": None})
                for site, scores in metrics.per_site.items()
            },
            "environment": {
                "python": "3.11",
                "sites": {
                    "north": {"software": {"torch": "2.9", "numpy": "2.4"},
                              "numerics": {"threads": 8, "channels_last": True}},
                    "south": {"software": {"torch": "2.9", "onnx": "1.19"},
                              "numerics": {"threads": 2, "channels_last": False}},
                },
            },
        }
    )  # fmt: skip


def _data(counts: EvaluationCounts, classes: tuple[str, ...]) -> SiteData:
    test = dict(zip(classes, counts.confusion.sum(axis=1).tolist(), strict=True))
    return SiteData(
        examples={
            "train": {name: 4 * n for name, n in test.items()},
            "validation": {name: n - 1 for name, n in test.items() if n},
            "test": test,
        },
        withheld={"validation": tuple(name for name, n in test.items() if not n)},
        groups={"train": 130, "validation": 32, "test": 33},
        grouped_by="patient",
        excluded={"unreadable": 2, "too_small": 1},
    )


def _costs(sites: tuple[str, ...], factor: int) -> dict[str, dict[str, int]]:
    sizes = {
        "census": 2_100, "backbones": 21_800_000, "fusion": 4_300_000, "booster": 9_700_000,
        "calibration": 3_000, "evaluation": 1_200_000,
    }  # fmt: skip
    return {
        phase: {site: factor * size + 1000 * i for i, site in enumerate(sites)}
        for phase, size in sizes.items()
    }


def _curves() -> dict[str, tuple[CurvePoint, ...]]:
    stages = {"backbones": ["heads"] * 3 + ["tails"] * 4, "fusion": ["fusion"] * 6}
    return {
        phase: tuple(
            CurvePoint(
                round=i + 1,
                stage=stage,
                loss=1.2 * 0.75**i,
                validation_loss=1.3 * 0.8**i,
                validation_accuracy=1 - 0.5 * 0.8**i,
            )
            for i, stage in enumerate(names)
        )
        for phase, names in stages.items()
    }
