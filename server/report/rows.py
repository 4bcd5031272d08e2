"""The rows of a report's tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from common.figures import Difference, Mark, Number, SiteData
from common.held import PARTS, Held, share, summed
from common.metrics import RunMetrics, Scores


@dataclass(frozen=True)
class ArmRow:
    """One way to come to a classifier."""

    name: str
    meaning: str
    scores: Scores
    softmax: Scores | None  # none for baselines, which are a single classifier
    gain: Difference | None  # federated minus this arm, macro F1
    seconds: Number


@dataclass(frozen=True)
class CostRow:
    """One phase."""

    phase: str
    by_site: Mapping[str, float]
    total: float


@dataclass(frozen=True)
class AttendanceRow:
    """One site."""

    site: str
    answered: int  # rounds
    marks: Sequence[Mark]  # in the order of the rounds


@dataclass(frozen=True)
class DataRow:
    """One class, or all."""

    name: str
    parts: Sequence[Held]
    whole: Held
    share: float | None  # of all images; None where some are not told


def arm_rows(metrics: RunMetrics) -> list[ArmRow]:
    """List the arms that were measured, the federated one first."""
    arms = metrics.arms

    def row(key: str, name: str, meaning: str, scores: Scores, softmax: Scores | None) -> ArmRow:
        gain = metrics.gains.get(key)
        return ArmRow(
            name,
            meaning,
            scores,
            softmax,
            None if gain is None else gain.macro_f1,
            metrics.arm_seconds.get(key),
        )

    federated, pooled = arms.federated, arms.pooled
    rows = [row("federated", "Federated", "this run", federated, federated.softmax)]
    if pooled is not None:
        rows.append(row("pooled", "Pooled", "all images in one place", pooled, pooled.softmax))
    if arms.linear_probe is not None:
        meaning = "logistic regression on the frozen features"
        rows.append(row("linear_probe", "Linear probe", meaning, arms.linear_probe, None))
    if arms.colour_only is not None:
        meaning = "logistic regression on 24 colour statistics"
        rows.append(row("colour_only", "Colour only", meaning, arms.colour_only, None))
    for site, alone in arms.local_only.items():
        meaning = "trained on this site's images alone"
        rows.append(row(f"local_only.{site}", f"{site} alone", meaning, alone, alone.softmax))
    return rows


def cost_rows(costs: Mapping[str, Mapping[str, float]]) -> list[CostRow]:
    """List the phases in order, then their sum, if anything was carried or worked."""
    rows = [CostRow(phase, by_site, sum(by_site.values())) for phase, by_site in costs.items()]
    if len(rows) > 1:
        every: dict[str, float] = {}
        for row in rows:
            for site, amount in row.by_site.items():
                every[site] = every.get(site, 0) + amount
        rows.append(CostRow("all phases", every, sum(every.values())))
    return rows


def attendance_rows(metrics: RunMetrics) -> list[AttendanceRow]:
    """List the sites of the study, each with its mark in every round."""
    rounds = [held for phase in metrics.participation.values() for held in phase]
    sites = list(dict.fromkeys(site for held in rounds for site in held.sites))
    rows = []
    for site in sites:
        marks = [held.sites[site] for held in rounds if site in held.sites]
        rows.append(AttendanceRow(site, marks.count("answered"), marks))
    return rows


def sites_of(costs: Mapping[str, Mapping[str, float]]) -> list[str]:
    """List the sites that any phase names, in order of their names."""
    return sorted({site for by_site in costs.values() for site in by_site})


def data_table(sites: Sequence[SiteData], classes: Sequence[str]) -> list[DataRow]:
    """List the classes, then all together: images per part, in all, and the share of all."""
    whole = summed(sites, classes)
    rows = []
    for name, kept in [*((name, (name,)) for name in classes), ("total", tuple(classes))]:
        row = summed(sites, kept)
        rows.append(
            DataRow(name, [summed(sites, kept, [part]) for part in PARTS], row, share(row, whole))
        )
    return rows


def told_environments(
    environment: Mapping[str, JsonValue],
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the names of each kind of fact that sites told, and each site's facts in that order.

    Where a site does not tell what another one does, the fact is empty.
    """
    sites = environment.get("sites")
    told = sites if isinstance(sites, dict) else {}
    names: dict[str, list[str]] = {}
    facts: dict[str, dict[tuple[str, str], str]] = {}
    for site, kinds in told.items():
        facts[site] = {}
        for kind, own in (kinds if isinstance(kinds, dict) else {}).items():
            for name, fact in flattened(own if isinstance(own, dict) else {}).items():
                facts[site][kind, name] = fact
                known = names.setdefault(kind, [])
                known += [name] if name not in known else []
    order = [(kind, name) for kind, known in names.items() for name in known]
    return names, {site: [own.get(fact, "") for fact in order] for site, own in facts.items()}


def shares(confusion: Sequence[Sequence[int]]) -> list[list[float]]:
    """Divide every row of a confusion matrix by its sum; a row of zeros stays zero."""
    return [[cell / max(1, sum(row)) for cell in row] for row in confusion]


def flattened(value: Mapping[str, JsonValue], above: str = "") -> dict[str, str]:
    """Write nested facts as one level, `outer inner`."""
    found: dict[str, str] = {}
    for key, inner in value.items():
        name = f"{above} {key}".strip()
        if isinstance(inner, dict):
            found |= flattened(inner, name)
        elif isinstance(inner, list):
            found[name] = ", ".join(map(str, inner))
        else:
            found[name] = str(inner)
    return found
