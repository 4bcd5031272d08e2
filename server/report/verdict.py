"""What a run's figures say, in plain sentences, and no more than they say."""

from dataclasses import dataclass
from typing import Literal

from common.figures import Difference
from common.metrics import RunMetrics
from server.report.text import figure, interval, listing, signed_interval

Tone = Literal["ahead", "level", "behind", "open"]
LABELS: dict[Tone, str] = {
    "ahead": "Beats the linear probe",
    "level": "Not shown to beat the linear probe",
    "behind": "Does not beat the linear probe",
    "open": "No verdict",
}
_VISIBLE = 0.0005  # what three decimals can show


@dataclass(frozen=True)
class Verdict:
    """The headline, how it turned out, and what else to know before quoting it."""

    tone: Tone
    headline: str
    remarks: tuple[str, ...]

    @property
    def label(self) -> str:
        """The tone in words: colour alone must not carry it."""
        return LABELS[self.tone]


def verdict(metrics: RunMetrics) -> Verdict:
    """Judge the federated booster's macro F1 against the linear probe, which is hard to beat.

    With paired differences (`gains`) their interval decides; without, whether the probe's figure
    lies inside the federated interval.
    """
    arms = metrics.arms
    if arms.federated.macro_f1 is None:
        return Verdict("open", "No figure can be given: no held-back image was counted.", ())
    ours = (
        f"Federated macro-F1 {figure(arms.federated.macro_f1)} "
        f"{interval(arms.federated.interval.macro_f1)}"
    )
    remarks = tuple(_remarks(metrics))
    if arms.linear_probe is None or arms.linear_probe.macro_f1 is None:
        return Verdict(
            "open", f"{ours}; no linear probe was measured, so there is nothing to hold it against.", remarks
        )
    difference = _difference(metrics, arms.linear_probe.macro_f1)
    tone, judgement = _judge(difference)
    probe = f"the linear probe reaches {figure(arms.linear_probe.macro_f1)}"
    return Verdict(tone, f"{ours}; {probe}: {judgement}", remarks)


def _difference(metrics: RunMetrics, probe: float) -> Difference:
    """Return federated minus probe; unpaired, the interval is the federated one, moved."""
    if "linear_probe" in metrics.gains:
        return metrics.gains["linear_probe"].macro_f1
    federated = metrics.arms.federated
    low, high = (None if end is None else end - probe for end in federated.interval.macro_f1)
    value = None if federated.macro_f1 is None else federated.macro_f1 - probe
    return Difference(value=value, interval=(low, high))


def _judge(difference: Difference) -> tuple[Tone, str]:
    value, (low, high) = difference.value, difference.interval
    ends = signed_interval(difference.interval)
    if value is None:
        return "open", "the two cannot be compared."
    if abs(value) < _VISIBLE:
        return "behind", "federated training does not beat it; the two are equal."
    if value < 0:
        is_clear = high is not None and high < 0
        where = f"95 % interval {ends}" if is_clear else f"within the interval {ends}"
        return "behind", (
            f"federated training does not beat it, and loses {figure(-value)}, {where}."
        )
    if low is not None and low > 0:
        return "ahead", f"federated training gains {figure(value)}, 95 % interval {ends}."
    return "level", (
        f"federated training gains {figure(value)}, within the interval {ends}: "
        "these images do not show that it is better."
    )


def _remarks(metrics: RunMetrics) -> list[str]:
    return [
        remark
        for remark in (
            _on_pooling(metrics),
            _on_sites_alone(metrics),
            _on_colour(metrics),
            _on_softmax(metrics),
            _on_worst_site(metrics),
            _on_absent_classes(metrics),
        )
        if remark
    ]


def _on_pooling(metrics: RunMetrics) -> str:
    pooled, ours = metrics.arms.pooled, metrics.arms.federated.macro_f1
    if pooled is None or pooled.macro_f1 is None or ours is None:
        return ""
    lost = pooled.macro_f1 - ours
    price = (
        f"{figure(lost)} is what keeping the images apart costs here"
        if lost >= _VISIBLE
        else "keeping the images apart costs nothing here"
    )
    return f"The same model on pooled images reaches {figure(pooled.macro_f1)}: {price}."


def _on_sites_alone(metrics: RunMetrics) -> str:
    alone = {
        site: arm.macro_f1
        for site, arm in metrics.arms.local_only.items()
        if arm.macro_f1 is not None
    }
    if not alone:
        return ""
    low, high = min(alone.values()), max(alone.values())
    reach = figure(low) if low == high else f"{figure(low)} to {figure(high)}"
    return f"Trained at one site alone, the model reaches {reach} on all sites' images."


def _on_colour(metrics: RunMetrics) -> str:
    colour = metrics.arms.colour_only
    if colour is None or colour.macro_f1 is None:
        return ""
    return (
        f"Colour statistics alone, without looking at a cell, reach {figure(colour.macro_f1)}: "
        "so much may be staining and not disease."
    )


def _on_softmax(metrics: RunMetrics) -> str:
    booster, softmax = metrics.arms.federated.macro_f1, metrics.arms.federated.softmax.macro_f1
    if booster is None or softmax is None or softmax - booster < _VISIBLE:
        return ""
    return f"The softmax head, at {figure(softmax)}, does better than the booster that replaces it."


def _on_worst_site(metrics: RunMetrics) -> str:
    sites = {
        site: scores.federated.macro_f1
        for site, scores in metrics.per_site.items()
        if scores.federated.macro_f1 is not None
    }
    if len(sites) < 2:
        return ""
    worst = min(sites, key=lambda site: sites[site])
    return f"Worst site: {worst}, {figure(sites[worst])} on its own images."


def _on_absent_classes(metrics: RunMetrics) -> str:
    scores = metrics.arms.federated.per_class
    absent = [name for name in metrics.classes if name in scores and scores[name].examples == 0]
    if not absent:
        return ""
    return f"No held-back image shows {listing(absent)}; the macro figures leave that out."
