"""Every figure of a run stands in its table of the report."""

from xml.etree.ElementTree import Element

import pytest

from common.held import PARTS
from common.metrics import Arms, RunMetrics
from tests.support.metrics_builder import (
    CLASSES,
    SITES,
)
from tests.support.report_reader import (
    DASH,
    MEASURES,
    cells,
    number,
    read,
    table,
    text,
    with_interval,
)


def test_every_arm_stands_in_the_table(metrics: RunMetrics, page: Element) -> None:
    arms = metrics.arms
    models = {"Federated": arms.federated, "Pooled": arms.pooled} | {
        f"{site} alone": arm for site, arm in arms.local_only.items()
    }
    baselines = {"Linear probe": arms.linear_probe, "Colour only": arms.colour_only}
    rows = table(page, "Table of arms")[2:]
    assert len(rows) == len(models) + len(baselines)
    for name, model in models.items():
        (row,) = (row for row in rows if row[0].startswith(name))
        assert model is not None
        expected = [cells(one, key) for key in MEASURES for one in (model, model.softmax)]
        assert row[1:7] == expected
    for name, baseline in baselines.items():
        (row,) = (row for row in rows if row[0].startswith(name))
        assert baseline is not None
        assert row[1:4] == [cells(baseline, key) for key in MEASURES]
    gains = {
        "Pooled": metrics.gains["pooled"],
        "Linear probe": metrics.gains["linear_probe"],
        "Colour only": metrics.gains["colour_only"],
    }
    for name, gain in gains.items():
        (row,) = (row for row in rows if row[0].startswith(name))
        difference = gain.macro_f1
        assert row[-2] == with_interval(difference.value, difference.interval, "+.3f")
    assert [row[-1] for row in rows] == ["5 min 20 s", "4 min 10 s", "4.2 s", "0.6 s", *DASH * 3]
    assert [row[-2] for row in (rows[0], *rows[-3:])] == [*DASH * 4]


def test_every_class_stands_in_the_table(metrics: RunMetrics, page: Element) -> None:
    keys = ("sensitivity", "specificity", "precision", "f1", "auc")
    expected = [
        [name, str(one.examples), *(number(getattr(one, key)) for key in keys)]
        for name, one in metrics.arms.federated.per_class.items()
    ]
    assert table(page, "Table of classes")[1:] == expected


def test_rows_of_a_confusion_matrix_are_the_truth(bare: RunMetrics) -> None:
    confusion = ((8, 2, 0, 0), (0, 5, 0, 15), (0, 0, 0, 0), (1, 0, 0, 3))
    arm = bare.arms.federated.model_copy(update={"confusion": confusion})
    page = read(bare.model_copy(update={"arms": Arms(federated=arm)}))
    assert table(page, "Confusion matrix, federated") == [
        ["", *CLASSES],
        ["Benign", "8 80 %", "2 20 %", "0 0 %", "0 0 %"],
        ["Early", "0 0 %", "5 25 %", "0 0 %", "15 75 %"],
        ["Pre", "0 0 %", "0 0 %", "0 0 %", "0 0 %"],
        ["Pro", "1 25 %", "0 0 %", "0 0 %", "3 75 %"],
    ]
    rows = page.findall('.//div[@aria-label="Confusion matrix, federated"]//tbody/tr')
    for truth, row in enumerate(rows):
        counts = row.findall("td")
        hits = [place for place, cell in enumerate(counts) if cell.get("class") == "hit"]
        assert hits == [truth]
        shade = [float(cell.attrib["style"].removeprefix("--share:")) for cell in counts]
        total = max(1, sum(confusion[truth]))
        assert shade == pytest.approx([count / total for count in confusion[truth]], abs=6e-4)


def test_both_heads_stand_in_the_table_of_calibration(metrics: RunMetrics, page: Element) -> None:
    ours = metrics.arms.federated
    _, booster, softmax = zip(*table(page, "Table of calibration"), strict=True)
    for column, scores in ((booster, ours), (softmax, ours.softmax)):
        assert scores.validation is not None
        found = [scores.ece, scores.brier, scores.log_loss, scores.temperature]
        found += [scores.validation.accuracy, scores.validation.macro_f1]
        assert list(column[1:]) == [number(value) for value in found]


def test_the_pooled_confusion_is_shown_too(metrics: RunMetrics, page: Element) -> None:
    pooled = metrics.arms.pooled
    assert pooled is not None
    rows = table(page, "Confusion matrix, pooled")[1:]
    found = [[int(cell.split()[0]) for cell in row[1:]] for row in rows]
    assert found == [list(row) for row in pooled.confusion]


def test_every_site_stands_in_the_table(metrics: RunMetrics, page: Element) -> None:
    expected = []
    for site, scores in metrics.per_site.items():
        together, alone = scores.federated, scores.alone
        assert alone is not None
        values = (together.macro_f1, alone.macro_f1, together.accuracy, alone.accuracy)
        expected.append([site, str(scores.examples), *map(number, values)])
    assert table(page, "Table of sites")[2:] == expected


def test_costs_are_summed_over_sites_and_phases(page: Element) -> None:
    up = table(page, "Bytes up, from the sites")
    assert up[0] == ["Phase", *sorted(SITES), "all sites"]
    assert up[1] == ["census", "2.1 kB", "3.1 kB", "4.1 kB", "9.3 kB"]
    assert up[2] == ["backbones", "21.8 MB", "21.8 MB", "21.8 MB", "65.4 MB"]
    # 2 100 + 21 800 000 + 4 300 000 + 9 700 000 + 3 000 + 1 200 000 at the first site
    assert up[-1] == ["all phases", "37.0 MB", "37.0 MB", "37.0 MB", "111.0 MB"]
    assert table(page, "Bytes down, to the sites")[2][-1] == "130.8 MB"
    seconds = table(page, "Seconds of work at the sites")
    assert seconds[2] == ["backbones", "65.4 s", "65.4 s", "65.4 s", "3 min 16 s"]
    assert "The run took 12 min 34 s." in text(page)


def test_counts_that_a_site_withholds_are_bounds(metrics: RunMetrics, bare: RunMetrics) -> None:
    north = metrics.data["north"].model_copy(
        update={
            "examples": {"train": {"Early": 40, "Pre": 7, "Pro": 9}, "test": {"Pre": 6}},
            "withheld": {"test": ("Early",), "validation": ("Pre", "Early")},
            "fewest_examples": 5,
            "groups": {"train": 12, "test": 3},
            "grouped_by": "stain_cluster",
            "excluded": {"unreadable": 0},
        }
    )
    south = metrics.data["south"].model_copy(
        update={
            "examples": {"train": {"Benign": 2}, "test": {"Early": 4}},
            "withheld": {"validation": ("Pre",)}, "fewest_examples": 3, "groups": {"test": 4},
        }
    )  # fmt: skip
    page = read(bare.model_copy(update={"data": {"north": north, "south": south}}))
    assert table(page, "Table of images, all sites")[1:] == [
        ["Benign", "2", "0", "0", "2", DASH],
        ["Early", "40", "< 5", "4 + < 5", "44 + < 9", DASH],
        ["Pre", "7", "< 7", "6", "13 + < 7", DASH],  # below 5 and below 3: at most 4 and 2
        ["Pro", "9", "0", "0", "9", DASH],
        ["total", "58", "< 11", "10 + < 5", "68 + < 15", DASH],
        ["groups", DASH, DASH, "7", "", ""],
    ]
    assert table(page, "Table of images, north")[2] == [
        "Early",
        "40",
        "< 5",
        "< 5",
        "40 + < 9",
        DASH,
    ]
    _, first, second = table(page, "Table of sites' data")
    assert first == ["north", "62 + < 13", f"12 / {DASH} / 3", "stain cluster", "none"]
    assert second[:2] == ["south", "6 + < 3"]
    assert second[-2:] == ["patient", "2 unreadable, 1 too small"]
    assert "fewer than 5, and the site does not tell" in text(page)


def test_counts_that_are_told_add_up(metrics: RunMetrics, page: Element) -> None:
    data = {site: held.model_copy(update={"withheld": {}}) for site, held in metrics.data.items()}
    rows = table(page, "Table of images, all sites")
    assert rows[0] == ["Class", "train", "validation", "test", "total", "%"]
    counts = {
        name: [sum(held.examples[part].get(name, 0) for held in data.values()) for part in PARTS]
        for name in metrics.classes
    }
    whole = sum(map(sum, counts.values()))
    for row in rows[1:5]:
        expected = counts[row[0]]
        assert row[1:5] == [*map(str, expected), str(sum(expected))]
        assert row[5] == f"{100 * sum(expected) / whole:.1f}"
    assert rows[5][-2:] == [str(whole), "100.0"]
    assert rows[6] == ["groups", "390", "96", "99", "", ""]
    assert "< 5" not in text(page)
