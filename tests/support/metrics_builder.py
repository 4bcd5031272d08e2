"""A run's metrics, made from generated predictions by the code that counts real ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.asks import ClassifierName, Part
from common.figures import CurvePoint, SiteData, SiteScores, gain, summary
from common.metrics import Arms, RunMetrics, model_arm, scores_from_counts
from common.seeds import stream
from common.statistics.counts import EvaluationCounts, no_counts, tally
from common.study.schema import LabelSet, Study

CLASSIFIERS: tuple[ClassifierName, ...] = ("booster", "softmax")
PHASES = {"census": (0.002, 9), "backbones": (22.0, 410), "fusion": (4.2, 60), "booster": (1.9, 80)}


@dataclass(frozen=True)
class Scenario:
    """How well each arm does, as the mean logit of the right class, and what was measured."""

    classes: tuple[str, ...] = ("Benign", "Early", "Pre", "Pro")
    sites: tuple[str, ...] = ("north", "south", "west")
    strengths: Mapping[str, float] = field(
        default_factory=lambda: {
            "federated": 4.6,
            "pooled": 4.9,
            "linear_probe": 4.0,
            "colour_only": 2.4,
            "alone": 3.6,
        }
    )
    absent: tuple[str, ...] = ()  # classes that no test image has
    test_groups: int = 44  # per site, about five images each
    is_synthetic: bool = True
    replicates: int = 200
    seed: int = 1


@dataclass(frozen=True)
class Held:
    """One site's held-back images: truth int64 (n,), a group per image."""

    truth: NDArray[np.int64]
    groups: tuple[str, ...]


def run_metrics(scenario: Scenario | None = None) -> RunMetrics:
    """Build the metrics of a whole run; arms that have no strength are left out."""
    case = scenario or Scenario()
    study = _study(case)
    held = {site: _held_back(case, site) for site in case.sites}
    counts = {arm: _counted(case, arm, held) for arm in case.strengths if arm != "alone"}
    alone = {site: _counted(case, f"alone {site}", held) for site in case.sites}
    has_alone = "alone" in case.strengths
    total = {
        arm: {c: _sum(case, [by_site[s][c] for s in case.sites]) for c in CLASSIFIERS}
        for arm, by_site in (counts | alone).items()
    }
    federated = total["federated"]
    pooled = total.get("pooled")
    plain = {
        arm: scores_from_counts(total[arm]["booster"], case.classes)
        for arm in ("linear_probe", "colour_only")
        if arm in total
    }
    return RunMetrics(
        name=study.name,
        study_digest=study.digest,
        synthetic=case.is_synthetic,
        classes=case.classes,
        arms=Arms(
            federated=model_arm(
                federated["booster"],
                federated["softmax"],
                case.classes,
                temperatures={"booster": 1.31, "softmax": 0.94},
                validation=federated,
            ),
            pooled=pooled and model_arm(pooled["booster"], pooled["softmax"], case.classes),
            local_only={
                site: model_arm(total[site]["booster"], total[site]["softmax"], case.classes)
                for site in case.sites
                if has_alone
            },
            **plain,
        ),
        gains={
            arm: gain(federated["booster"], total[arm]["booster"])
            for arm in ("pooled", "linear_probe", "colour_only")
            if arm in total
        },
        per_site={
            site: SiteScores(
                federated=summary(counts["federated"][site]["booster"]),
                alone=summary(alone[site][site]["booster"]) if has_alone else None,
                examples=len(held[site].truth),
            )
            for site in case.sites
        },
        data={site: _data(case, held[site], i) for i, site in enumerate(case.sites)},
        bytes_up=_bytes(case, 0.6),
        bytes_down=_bytes(case, 1.0),
        seconds={
            phase: {s: seconds * (1 + 0.3 * i) for i, s in enumerate(case.sites)}
            for phase, (_, seconds) in PHASES.items()
        },
        seconds_total=1312.4,
        arm_seconds={arm: 300.0 + 40 * i for i, arm in enumerate(case.strengths)},
        curves={
            "backbones": (*_curve("heads", 1, 3, 1.3), *_curve("tails", 4, 4, 0.6)),
            "fusion": tuple(_curve("fusion", 1, 6, 0.5)),
        },
        digests={name: 64 * digit for name, digit in (("backbones", "a"), ("fusion", "b"))},
        initial_model=64 * "c",
        environment={"leukofed": "0.1.0", "numpy": np.__version__, "threads": 2,
                     "numerics": {"north": {"precision": "bfloat16", "channels_last": True}}},
        settings=study.model_dump(mode="json"),
    )  # fmt: skip


def _study(case: Scenario) -> Study:
    return Study(
        name="xincept-all",
        sites=case.sites,
        quorum=1,
        labels=LabelSet(name="subtypes", classes=case.classes),
    )


def _held_back(case: Scenario, site: str) -> Held:
    generator = stream(case.seed, "truth", site)
    present = [label for label, name in enumerate(case.classes) if name not in case.absent]
    sizes = generator.integers(3, 8, case.test_groups)
    truth = np.repeat(generator.choice(present, case.test_groups), sizes).astype(np.int64)
    groups = np.repeat([f"{site}-{i}" for i in range(case.test_groups)], sizes)
    return Held(truth, tuple(groups.tolist()))


def _counted(
    case: Scenario, arm: str, held: Mapping[str, Held]
) -> dict[str, dict[ClassifierName, EvaluationCounts]]:
    """Count every site's images; a model trained at one site does worse at the others."""
    name, _, home = arm.partition(" ")
    strength = case.strengths.get(name, 3.0)
    return {
        site: {
            c: tally(
                probabilities(
                    images,
                    len(case.classes),
                    strength - (home not in ("", site)) - 0.3 * (c == "softmax"),
                    stream(case.seed, arm, c, site),
                ),
                images.truth,
                images.groups,
                case.replicates,
                stream(case.seed, "bootstrap", site),
            )
            for c in CLASSIFIERS
        }
        for site, images in held.items()
    }


def probabilities(
    held: Held, classes: int, strength: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw float64 (n, classes), rows summing to 1; images of a group err together."""
    group = np.unique(held.groups, return_inverse=True)[1]
    logits = generator.normal(size=(len(group), classes))
    logits += generator.normal(size=(group.max(initial=-1) + 1, classes))[group]
    logits[np.arange(len(group)), held.truth] += strength
    raised = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    drawn: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return drawn


def _sum(case: Scenario, counts: list[EvaluationCounts]) -> EvaluationCounts:
    return sum(counts, no_counts(len(case.classes), case.replicates))


def _data(case: Scenario, held: Held, place: int) -> SiteData:
    test = np.bincount(held.truth, minlength=len(case.classes)).tolist()
    shares: dict[Part, int] = {"train": 4, "validation": 1, "test": 1}
    examples = {
        part: {name: share * n for name, n in zip(case.classes, test, strict=True)}
        for part, share in shares.items()
    }
    if place == 1:
        examples["validation"].pop(case.classes[-1])
    return SiteData(
        examples=examples,
        withheld={"validation": (case.classes[-1],)} if place == 1 else {},
        groups={part: share * case.test_groups for part, share in shares.items()},
        grouped_by="patient" if place == 0 else "field",
        excluded={"unreadable": 2, "duplicate": 5} if place == 0 else {},
    )


def _bytes(case: Scenario, factor: float) -> dict[str, dict[str, int]]:
    return {
        phase: {site: int(size * factor * 1e6) for site in case.sites}
        for phase, (size, _) in PHASES.items()
    }


def _curve(stage: str, first: int, rounds: int, loss: float) -> list[CurvePoint]:
    return [
        CurvePoint(
            round=first + i,
            stage=stage,
            loss=loss * 0.75**i,
            validation_loss=1.1 * loss * 0.8**i,
            validation_accuracy=1 - 0.3 * loss * 0.8**i,
        )
        for i in range(rounds)
    ]
