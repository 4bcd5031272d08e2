"""What a run's figures come to, in plain sentences."""

from dataclasses import dataclass
from typing import Literal

from common.figures import Interval, Number
from common.metrics import RunMetrics, Scores
from server.report.rows import arm_rows
from server.report.words import number, signed, span

Tone = Literal["better", "level", "worse", "open"]
_FEW_GROUPS = 30
_CLOSE = 0.03  # of macro F1: what a baseline may lack and still cast doubt


@dataclass(frozen=True)
class Verdict:
    """The headline of a report, and what to bear in mind with it."""

    tone: Tone
    headline: str
    remarks: tuple[str, ...]


def verdict(metrics: RunMetrics) -> Verdict:
    """Judge the federated booster by macro F1 against the linear probe, then the other arms."""
    tone, judgement = _against_probe(metrics)
    ours = metrics.arms.federated
    kind = "Rehearsal, generated images. " if metrics.rehearsal else ""
    kind += "" if metrics.complete else "Incomplete run. "
    reached = f"{kind}Federated macro F1 {number(ours.macro_f1)}{span(ours.interval.macro_f1)}"
    remarks = (
        _pooled(metrics),
        _alone(metrics),
        _colour(metrics),
        _softmax(ours, ours.softmax),
        _groups(metrics),
        _few_groups(metrics),
        _withheld(metrics),
        _absent(metrics),
    )
    return Verdict(tone, f"{reached}{judgement}", tuple(r for r in remarks if r))


def _against_probe(metrics: RunMetrics) -> tuple[Tone, str]:
    probe, ours = metrics.arms.linear_probe, metrics.arms.federated
    if len(arm_rows(metrics)) == 1:
        return "open", (
            ". No baselines were run beside it, so this figure alone does not show that"
            " training together was worth it."
        )
    if probe is None or probe.macro_f1 is None:
        return "open", (
            ". No linear probe was measured beside it, so this figure alone does not show that"
            " training was worth it."
        )
    reached = f"; the linear probe reaches {number(probe.macro_f1)}"
    gain = metrics.gains.get("linear_probe")
    difference: Number = None
    if gain is not None:
        difference, interval = gain.macro_f1.value, gain.macro_f1.interval
        decided = _outside(interval, 0.0)
        extent = f"its interval{span(interval, signed)}"
    elif ours.macro_f1 is not None:
        difference, interval = ours.macro_f1 - probe.macro_f1, ours.interval.macro_f1
        decided = _outside(interval, probe.macro_f1)
        extent = "the federated interval"
    if difference is None:
        return "open", f"{reached}. The two cannot be compared."
    if None in interval:
        return "open", (
            f"{reached}: a difference of {signed(difference)}, whose interval is not known."
        )
    if not decided:
        place = f"which is inside {extent}" if gain is None else f"and {extent} includes zero"
        if difference <= 0:
            return "level", (
                f"{reached}: federated training did not beat it"
                f" (difference {signed(difference)}, {place})."
            )
        return "level", (
            f"{reached}: a difference of {signed(difference)}, {place},"
            " so a gain from federated training is not shown."
        )
    paired = interval if gain is not None else (None, None)
    if difference > 0:
        return "better", (
            f"{reached}: federated training gained {number(difference)}{span(paired)}."
        )
    low, high = (None if end is None else -end for end in reversed(paired))
    return "worse", (
        f"{reached}: federated training did not beat it,"
        f" and lost {number(-difference)}{span((low, high))}."
    )


def _outside(interval: Interval, value: float) -> bool:
    low, high = interval
    return low is not None and high is not None and not low <= value <= high


def _colour(metrics: RunMetrics) -> str:
    colour, ours = metrics.arms.colour_only, metrics.arms.federated.macro_f1
    if colour is None or colour.macro_f1 is None or ours is None:
        return ""
    text = f"Twenty-four colour statistics alone reach {number(colour.macro_f1)}"
    if colour.macro_f1 >= ours:
        return f"{text}, no less than the model: what it learned may be stain, not cells."
    if ours - colour.macro_f1 < _CLOSE:
        return f"{text}, close to the model: much of its figure may be stain, not cells."
    return f"{text}: colour alone does not explain the model's figure."


def _pooled(metrics: RunMetrics) -> str:
    pooled = metrics.arms.pooled
    if pooled is None:
        return ""
    text = f"Pooling all images in one place reaches {number(pooled.macro_f1)}"
    gain = metrics.gains.get("pooled")
    if gain is None or gain.macro_f1.value is None:
        return f"{text}."
    difference = f"{signed(gain.macro_f1.value)}{span(gain.macro_f1.interval, signed)}"
    return f"{text}; federated minus pooled: {difference}."


def _alone(metrics: RunMetrics) -> str:
    pairs = {
        site: (scores.federated.macro_f1, scores.alone.macro_f1)
        for site, scores in metrics.per_site.items()
        if scores.alone is not None
    }
    known = {
        site: (together, alone)
        for site, (together, alone) in pairs.items()
        if together is not None and alone is not None
    }
    if not known:
        return ""
    better = sum(together > alone for together, alone in known.values())
    worst = min(known, key=lambda site: known[site][0])
    together, alone = known[worst]
    return (
        f"On their own test images, {better} of {len(known)} sites do better with the federated"
        f" model than with one trained on their images alone; the lowest is {worst}:"
        f" {number(together)} against {number(alone)}."
    )


def _softmax(booster: Scores, softmax: Scores) -> str:
    if booster.macro_f1 is None or softmax.macro_f1 is None:
        return ""
    if softmax.macro_f1 > booster.macro_f1:
        return (
            f"The softmax head that the booster replaced reaches {number(softmax.macro_f1)}:"
            " here the booster did not help."
        )
    return ""


def _groups(metrics: RunMetrics) -> str:
    found = sorted({held.grouped_by for held in metrics.data.values()} - {"patient"})
    if not found:
        return ""
    columns = " or ".join(name.replace("_", " ") for name in found)
    return (
        f"Some images were kept apart by {columns}, because their patients are unknown: images of"
        " one patient may stand on both sides of the split, which flatters every figure, and"
        " makes the intervals too narrow."
    )


def _few_groups(metrics: RunMetrics) -> str:
    groups = sum(held.groups.get("test", 0) for held in metrics.data.values())
    if not 0 < groups < _FEW_GROUPS:
        return ""
    return f"The test images come from {groups} groups in all: intervals from so few are rough."


def _withheld(metrics: RunMetrics) -> str:
    sites = {
        site: sorted(set(held.withheld.get("test", ()))) for site, held in metrics.data.items()
    }
    told = [f"{site} ({', '.join(names)})" for site, names in sites.items() if names]
    if not told:
        return ""
    return f"Test images too few to be told of are missing from all figures: {'; '.join(told)}."


def _absent(metrics: RunMetrics) -> str:
    scores = metrics.arms.federated.per_class
    absent = [name for name, one in scores.items() if one.examples == 0]
    if not absent:
        return ""
    return (
        f"No test image shows {', '.join(absent)}: macro figures are means over the"
        f" other {len(scores) - len(absent)} classes."
    )


def worst_class(scores: Scores) -> tuple[str, Number]:
    """Return the class of lowest sensitivity and that sensitivity; ("", None) if none is known."""
    known = {
        name: one.sensitivity
        for name, one in scores.per_class.items()
        if one.sensitivity is not None
    }
    if not known:
        return "", None
    name = min(known, key=lambda each: known[each])
    return name, known[name]
