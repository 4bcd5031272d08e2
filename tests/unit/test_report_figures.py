"""Figures read back from their SVG: where the points lie, and that the page may colour them."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import numpy as np
import pytest
from markupsafe import Markup
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from common.figures import CalibrationBin, CurvePoint, SiteData
from common.metrics import RunMetrics, Scores
from server.report import figures
from server.report.data_figure import data_figure
from server.report.rows import arm_rows
from server.report.svg import shortened
from tests.support.metrics_builder import CLASSES, build_metrics

Points = NDArray[np.float64]


@pytest.fixture(scope="module")
def metrics() -> RunMetrics:
    return build_metrics()


@pytest.fixture(scope="module")
def booster(metrics: RunMetrics) -> Scores:
    return metrics.arms.federated


def parsed(svg: Markup | None) -> Element:
    assert svg is not None
    return fromstring(f'<page xmlns:xlink="xlink">{svg}</page>')[0]


def texts(svg: Element) -> list[str]:
    return ["".join(one.itertext()) for one in svg.iter("text")]


def boxes(svg: Element) -> list[tuple[float, float, float, float]]:
    """Return left, top, right and bottom of the axes, from the top."""
    found = []
    for rectangle in svg.iterfind(".//clipPath/rect"):
        x, y, width, height = (float(rectangle.attrib[k]) for k in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return sorted(found, key=lambda box: box[1])


def lines(svg: Element, series: int) -> list[Points]:
    """Return the vertices of the lines that a series drew within axes."""
    found = []
    for path in svg.iter("path"):
        if "clip-path" in path.attrib and f"stroke: var(--s{series})" in path.attrib["style"]:
            numbers = re.findall(r"-?[\d.]+", path.attrib["d"])
            found.append(np.array(numbers, dtype=np.float64).reshape(-1, 2))
    return found


def markers(svg: Element, series: int) -> Points:
    """Return the centres of a series' markers within axes."""
    found = [
        (float(use.attrib["x"]), float(use.attrib["y"]))
        for use in svg.iterfind(".//g[@clip-path]/use")
        if f"stroke: var(--s{series})" in use.attrib["style"]
    ]
    return np.array(found)


def bars(svg: Element, series: int) -> Points:
    """Return width and height of a series' bars."""
    found = []
    for path in svg.iterfind(".//path[@clip-path]"):
        if path.attrib["style"].startswith(f"fill: var(--s{series})"):
            corners = np.array(re.findall(r"-?[\d.]+", path.attrib["d"]), np.float64).reshape(-1, 2)
            found.append(np.ptp(corners, axis=0))
    return np.array(found)


def assert_affine(pixels: Points, values: list[float]) -> None:
    slope, start = np.polyfit(values, pixels, 1)
    assert_allclose(pixels, slope * np.array(values) + start, atol=0.01)


def every_figure(metrics: RunMetrics) -> Iterator[Markup]:
    ours = metrics.arms.federated
    yield figures.arms_figure(arm_rows(metrics), "macro_f1", "Macro F1")
    roc = figures.roc_figure(ours)
    assert roc is not None
    yield roc
    yield figures.reliability_figure(ours, ours.softmax)
    yield figures.sites_figure(metrics.per_site)
    for phase, points in metrics.curves.items():
        yield figures.curves_figure(phase, points)
    yield figures.cost_figure("bytes", "MB", {"down": {"census": 1, "fusion": 2}, "up": {"a": 1}})


def test_colours_and_letters_are_the_page_s(metrics: RunMetrics) -> None:
    sheet = Path("server/report/page.css").read_text()
    defined = set(re.findall(r"--([a-z0-9]+):", sheet))
    for svg in every_figure(metrics):
        assert not re.search(r"#[0-9a-f]{6}\b", svg)  # a fixed colour fails in dark mode
        assert set(re.findall(r"var\(--(\w+)\)", svg)) <= defined
        assert "font-family" not in svg
        assert not re.search(r"font: ", svg)
        figure = parsed(svg)
        assert figure.attrib["role"] == "img"
        for one in figure.iter("text"):
            assert re.search(r"fill: var\(--(ink|muted)\)", one.attrib["style"])


def test_arms_lie_where_their_figures_say(metrics: RunMetrics) -> None:
    rows = arm_rows(metrics)
    svg = parsed(figures.arms_figure(rows, "accuracy", "Accuracy"))
    assert [name for name in texts(svg) if name in {row.name for row in rows}] == [
        row.name for row in rows
    ]
    values = [row.scores.accuracy for row in rows]
    intervals = [row.scores.interval.accuracy for row in rows]
    softmax = [row.softmax.accuracy for row in rows if row.softmax]
    told = [value for value in values if value is not None]
    ends = [end for interval in intervals for end in interval if end is not None]
    drawn = np.concatenate(lines(svg, 1))[:, 0]
    assert_affine(np.concatenate([markers(svg, 1)[:, 0], drawn]), told + ends)
    assert len(markers(svg, 2)) == len(softmax)
    assert (np.diff(markers(svg, 1)[:, 1]) > 0).all()  # downwards, in the table's order
    for row in rows:
        assert f"{row.name} {row.scores.accuracy:.3f} [" in svg.attrib["aria-label"]


def test_an_arm_without_a_figure_keeps_its_row(metrics: RunMetrics) -> None:
    blank = metrics.arms.linear_probe
    assert blank is not None
    arms = metrics.arms.model_copy(
        update={"linear_probe": blank.model_copy(update={"macro_f1": None})}
    )
    rows = arm_rows(metrics.model_copy(update={"arms": arms}))
    svg = parsed(figures.arms_figure(rows, "macro_f1", "Macro F1"))
    assert "Linear probe" in texts(svg)
    assert "Linear probe \u2013 [" in svg.attrib["aria-label"]
    assert len(markers(svg, 1)) == len(rows) - 1


def test_roc_curves_pass_through_their_points(booster: Scores) -> None:
    svg = parsed(figures.roc_figure(booster))
    ((left, top, right, bottom),) = boxes(svg)
    for series, one in enumerate(booster.per_class.values(), start=1):
        assert one.roc is not None
        (curve,) = lines(svg, series)
        x = left + (np.array(one.roc.false_positive_rate) + 0.01) / 1.01 * (right - left)
        y = bottom - np.array(one.roc.true_positive_rate) / 1.01 * (bottom - top)
        assert_allclose(curve, np.stack([x, y], axis=1), atol=0.01)


def test_roc_shows_the_seven_classes_of_lowest_auc_in_their_order(booster: Scores) -> None:
    one = booster.per_class["Benign"]
    aucs = [0.99, 0.5, 0.98, 0.6, 0.7, 0.55, 0.97, 0.8, 0.9, 0.85]
    many = {f"_{auc}": one.model_copy(update={"auc": auc}) for auc in aucs}
    many["absent"] = one.model_copy(update={"auc": None, "roc": None})
    svg = parsed(figures.roc_figure(booster.model_copy(update={"per_class": many})))
    shown = [text for text in texts(svg) if text.startswith("_")]
    kept = [0.5, 0.6, 0.7, 0.55, 0.8, 0.9, 0.85]
    assert shown == [f"_{auc}  {auc:.3f}" for auc in kept]
    assert [len(lines(svg, series)) for series in range(1, 8)] == [1] * 7


def test_without_a_curve_there_is_no_roc(booster: Scores) -> None:
    none = {name: one.model_copy(update={"roc": None}) for name, one in booster.per_class.items()}
    assert figures.roc_figure(booster.model_copy(update={"per_class": none})) is None


def calibrated(scores: Scores, *told: tuple[float, int, float]) -> Scores:
    """Give the scores bins of confidence, count and accuracy, a tenth wide."""
    bins = [
        CalibrationBin(
            low=int(10 * confidence) / 10,
            high=(int(10 * confidence) + 1) / 10,
            count=count,
            confidence=confidence if count else None,
            accuracy=accuracy if count else None,
        )
        for confidence, count, accuracy in told
    ]
    return scores.model_copy(update={"calibration": tuple(bins)})


def test_reliability_shows_the_bins_that_hold_images(booster: Scores) -> None:
    few = calibrated(booster, (0.05, 2, 1.0), (0.45, 0, 0.0), (0.55, 4, 0.5), (0.95, 8, 0.75))
    other = calibrated(booster, (0.25, 3, 1.0))
    svg = parsed(figures.reliability_figure(few, other))
    above, _ = boxes(svg)
    points = markers(svg, 1)
    assert_affine(points[:, 0], [0.05, 0.55, 0.95])
    assert_affine(points[:, 1], [1.0, 0.5, 0.75])
    assert len(markers(svg, 2)) == 1
    heights = bars(svg, 1)[:, 1]
    assert_allclose(heights / heights[-1], [2 / 8, 0, 4 / 8, 1], atol=1e-3)
    assert above[1] < points[:, 1].min()


def test_legends_never_cover_data(booster: Scores) -> None:
    corner = calibrated(booster, (0.05, 2, 1.0), (0.95, 8, 0.1))
    drawn = {
        "ECE": figures.reliability_figure(corner, corner),
        "  0.": figures.roc_figure(booster),
    }
    for part, figure in drawn.items():
        svg = parsed(figure)
        top = boxes(svg)[0][1]
        legend = [
            float(one.attrib["y"]) for one in svg.iter("text") if part in "".join(one.itertext())
        ]
        assert len(legend) >= 2
        assert max(legend) < top


def test_sites_are_joined_where_both_figures_are_known(metrics: RunMetrics) -> None:
    sites = dict(metrics.per_site)
    sites["south"] = sites["south"].model_copy(update={"alone": None})
    svg = parsed(figures.sites_figure(sites))
    together = [one.federated.macro_f1 or 0.0 for one in sites.values()]
    alone = [one.alone.macro_f1 or 0.0 for one in sites.values() if one.alone]
    pixels = np.concatenate([markers(svg, 1)[:, 0], markers(svg, 2)[:, 0]])
    assert_affine(pixels, together + alone)
    assert len(alone) == 2
    assert "alone \u2013; west" in svg.attrib["aria-label"]


def point(place: int, stage: str, loss: float | None, validation: float | None) -> CurvePoint:
    return CurvePoint(
        round=place,
        stage=stage,
        loss=loss,
        validation_loss=validation,
        validation_accuracy=validation,
    )


def test_validation_is_drawn_at_the_model_it_was_of(metrics: RunMetrics) -> None:
    points = metrics.curves["backbones"]
    svg = parsed(figures.curves_figure("backbones", points))
    assert len(boxes(svg)) == 2
    training, validation = markers(svg, 1), markers(svg, 2)
    # Round 1 trains the model that round 2 validates: one step to the left, the same loss axis.
    assert_allclose(training[:-1, 0], validation[1:, 0], atol=0.01)
    losses = [one.loss or 0.0 for one in points] + [one.validation_loss or 0.0 for one in points]
    assert_affine(np.concatenate([training[:, 1], validation[:, 1]]), losses)
    accuracies = [one.validation_accuracy or 0.0 for one in points]
    assert_affine(markers(svg, 3)[:, 1], accuracies)
    assert [text for text in texts(svg) if text in {"heads", "tails"}] == ["heads", "tails"]


def test_a_curve_without_validation_has_one_pair_of_axes() -> None:
    points = [point(1, "fusion", 1.0, None), point(2, "fusion", None, None)]
    svg = parsed(figures.curves_figure("fusion", points))
    assert len(boxes(svg)) == 1
    assert len(markers(svg, 1)) == 1
    assert "validation" not in texts(svg)
    assert "fusion" not in texts(svg)  # a single stage needs no name
    told = "fusion: training loss from 1.000 to \u2013 over 2 rounds"
    assert svg.attrib["aria-label"].startswith(told)


def test_costs_are_bars_as_long_as_their_amounts() -> None:
    columns = {"down": {"census": 1.0, "fusion": 4.0}, "up": {"fusion": 2.0, "booster": 3.0}}
    svg = parsed(figures.cost_figure("bytes", "MB", columns))
    lengths = bars(svg, 1)[:, 0]
    assert_allclose(lengths / lengths[1], [1 / 4, 1, 0], atol=1e-3)
    phases = ["census", "fusion", "booster"]
    assert [text for text in texts(svg) if text in phases] == phases
    told = "census down 1; census up 0; fusion down 4; fusion up 2; booster down 0; booster up 3"
    assert svg.attrib["aria-label"].endswith(told)
    assert {"down", "up"} < set(texts(svg))
    alone = parsed(figures.cost_figure("seconds", "Seconds", {"seconds": {"census": 0.0}}))
    assert "seconds" not in texts(alone)  # one column needs no legend


@pytest.mark.parametrize(
    "name", ['id="x', "url(#x", 'href="#x', "#010200", "font: 3px x", "<g>&", "$x_1$", "細胞"]
)
def test_names_in_a_figure_are_left_as_they_are(booster: Scores, name: str) -> None:
    one = {name: booster.per_class["Benign"].model_copy(update={"auc": 0.5})}
    svg = parsed(figures.roc_figure(booster.model_copy(update={"per_class": one})))
    assert f"{name}  0.500" in texts(svg)
    assert svg.attrib["aria-label"].endswith(f": {name} AUC 0.500")


def test_long_names_are_cut_to_fit() -> None:
    assert shortened("a" * 22) == "a" * 22
    assert shortened("a" * 23) == "a" * 21 + "…"


def test_the_data_figure_draws_what_is_told_and_writes_what_is_not(metrics: RunMetrics) -> None:
    north = metrics.data["north"].model_copy(
        update={"examples": {"train": {"Pre": 7}}, "withheld": {"test": ("Early",)},
                "fewest_examples": 5}
    )  # fmt: skip
    svg = parsed(data_figure({"north": north, "south": metrics.data["south"]}, CLASSES))
    assert "north: Benign 0, Early < 5, Pre 7, Pro 0" in svg.attrib["aria-label"]
    written = set(texts(svg))
    assert {"7 + < 5", "north", "south", *CLASSES} <= written


def test_more_classes_than_colours_are_drawn_as_one() -> None:
    classes = tuple(f"subtype {number}" for number in range(12))
    held = SiteData(examples={"train": dict.fromkeys(classes, 3)}, grouped_by="patient")
    svg = parsed(data_figure({"north": held}, classes))
    written = set(texts(svg))
    assert {"subtype 5", "6 further classes", "36"} <= written
    assert "subtype 6" not in written
