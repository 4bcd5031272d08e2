"""The page read back as a browser would: every figure in its place, nothing from elsewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder

import pytest
import yaml

from common.errors import RunStopped
from common.figures import Interval, Number
from common.held import PARTS
from common.metrics import Arms, RunMetrics, Scores, model_arm
from common.statistics.counts import no_counts
from server.report.page import render_report, write_report
from tests.support.metrics_builder import (
    CLASSES,
    SITES,
    build_metrics,
    federated_alone,
    with_losses,
)

DASH = "\u2013"
MEASURES = ("macro_f1", "accuracy", "macro_auc")
Table = list[list[str]]


class Reader(HTMLParser):
    """Builds a tree; refuses elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.builder = TreeBuilder()
        self.unclosed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in {"meta", "br"}:
            self.builder.end(tag)
        else:
            self.unclosed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self.unclosed:
            self.builder.data(data)


def read(metrics: RunMetrics) -> Element:
    reader = Reader()
    reader.feed(render_report(metrics))
    reader.close()
    assert reader.unclosed == []
    return reader.builder.close()


def text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def table(page: Element, label: str) -> Table:
    rows = page.findall(f'.//div[@aria-label="{label}"]//tr')
    assert rows, label
    return [[text(cell) for cell in row] for row in rows]


def listed(page: Element, kind: str) -> dict[str, str]:
    return {
        text(term): text(value)
        for found in page.findall(f'.//dl[@class="{kind}"]')
        for term, value in zip(found.iter("dt"), found.iter("dd"), strict=True)
    }


def number(value: Number, form: str = ".3f") -> str:
    return DASH if value is None else format(value, form).replace("-", "\u2212")


def with_interval(value: Number, interval: Interval, form: str = ".3f") -> str:
    low, high = interval
    extent = "" if low is None else f" [{number(low, form)}, {number(high, form)}]"
    return number(value, form) + extent


def cells(scores: Scores, measure: str) -> str:
    return with_interval(getattr(scores, measure), getattr(scores.interval, measure))


def renamed(metrics: RunMetrics, names: dict[str, str]) -> RunMetrics:
    written = metrics.model_dump_json()
    for old, new in names.items():
        written = written.replace(json.dumps(old), json.dumps(new))
    return RunMetrics.model_validate_json(written)


@pytest.fixture(scope="module")
def metrics() -> RunMetrics:
    return build_metrics()


@pytest.fixture(scope="module")
def page(metrics: RunMetrics) -> Element:
    return read(metrics)


@pytest.fixture(scope="module")
def bare(metrics: RunMetrics) -> RunMetrics:
    return RunMetrics(
        name="bare",
        study_digest=metrics.study_digest,
        synthetic=False,
        classes=metrics.classes,
        arms=Arms(federated=metrics.arms.federated),
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


def test_the_tiles_and_facts(metrics: RunMetrics, page: Element) -> None:
    ours, told = metrics.arms.federated, listed(page, "facts")
    known = {name: one.sensitivity for name, one in ours.per_class.items()}
    sensitivity, worst = min((value or 0.0, name) for name, value in known.items())
    assert listed(page, "tiles") == {
        "Macro F1": cells(ours, "macro_f1"),
        "Accuracy": cells(ours, "accuracy"),
        "Macro AUC": cells(ours, "macro_auc"),
        "Lowest sensitivity": f"{number(sensitivity)} {worst}",
        "Calibration error": f"{number(ours.ece)} ECE; 0 is perfect",
        "Test images": f"{ours.examples} 3 sites",
    }
    assert told["Study digest"] == metrics.study_digest
    assert told["Initial model"] == metrics.initial_model
    for name, digest in metrics.digests.items():
        assert told[f"Released {name}"] == digest
    assert told["numerics precision"] == "bfloat16"
    assert told["numerics threads"] == "2"
    (settings,) = page.iter("pre")
    assert yaml.safe_load("".join(settings.itertext())) == metrics.settings


def test_every_section_has_its_figures(metrics: RunMetrics, page: Element) -> None:
    drawn = {
        section.attrib["id"]: [svg.attrib["aria-label"] for svg in section.iter("svg")]
        for section in page.iter("section")
        if "id" in section.attrib
    }
    counts = {name: len(labels) for name, labels in drawn.items() if labels}
    expected = {
        "results": 3,
        "classes": 1,
        "calibration": 1,
        "sites": 1,
        "training": 2,
        "cost": 2,
        "data": 1,
    }
    assert counts == expected
    for label, key in zip(drawn["results"], MEASURES, strict=True):
        for arm in (metrics.arms.federated, metrics.arms.linear_probe):
            assert arm is not None
            assert cells(arm, key) in label


def test_nothing_is_fetched_or_run(page: Element) -> None:
    (policy,) = (
        meta.attrib["content"] for meta in page.iter("meta") if "http-equiv" in meta.attrib
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    used = {element.tag for element in page.iter()}
    assert not used & {
        "script",
        "link",
        "img",
        "image",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    for element in page.iter():
        for name, value in element.attrib.items():
            assert name not in {"src", "srcset", "action", "data", "poster"}
            assert not name.startswith("on")
            assert "//" not in value
            if name.endswith("href"):
                assert value.startswith("#")
            for target in re.findall(r"url\(([^)]*)\)", value):
                assert target.startswith("#")
    for style in page.iter("style"):
        assert not re.search(r"url\(|@import|//", "".join(style.itertext()))


def test_ids_are_unique_and_references_resolve(page: Element) -> None:
    ids = [element.attrib["id"] for element in page.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    targets = set()
    for element in page.iter():
        for name, value in element.attrib.items():
            targets |= set(re.findall(r"url\(#([^)]*)\)", value))
            if name.endswith("href"):
                targets.add(value.removeprefix("#"))
    assert {"results", "classes", "sites", "training", "cost", "data", "study"} < targets
    assert len(targets) > 20  # those within figures too
    assert targets <= set(ids)


HOSTILE = ('<b>&"x', "</svg><script>alert(1)</script>", '{{ 7 * 7 }} id="$x_1$', "_細胞")


def test_names_are_text_whatever_they_say(metrics: RunMetrics) -> None:
    sites = dict(zip(SITES, ("<i>&'s", '"><img src=x>', "_west"), strict=True))
    names = dict(zip(CLASSES, HOSTILE, strict=True)) | sites | {"trial": "<u>&amp;"}
    page = read(renamed(metrics, names))
    assert {element.tag for element in page.iter()}.isdisjoint({"b", "i", "u", "script", "img"})
    assert [row[0] for row in table(page, "Table of classes")[1:]] == list(HOSTILE)
    assert [row[0] for row in table(page, "Table of sites")[2:]] == list(sites.values())
    assert table(page, "Confusion matrix, federated")[0] == ["", *HOSTILE]
    assert text(next(page.iter("h1"))).startswith("<u>&amp; study")
    (title,) = page.iter("title")
    assert text(title).startswith("<u>&amp;: ")
    curves = [text(one) for one in page.findall('.//section[@id="classes"]//svg//text')]
    for name in ('<b>&"x', HOSTILE[2][:21], "_細胞"):
        assert any(curve.startswith(name) for curve in curves), name


def test_a_bare_run_has_no_empty_sections(bare: RunMetrics) -> None:
    page = read(bare)
    sections = [one.attrib["id"] for one in page.iter("section") if "id" in one.attrib]
    assert sections == ["results", "classes", "calibration", "study", "reading"]
    links = [a.attrib["href"].removeprefix("#") for a in page.findall(".//nav//a")]
    assert links == sections
    assert [row[0] for row in table(page, "Table of arms")[2:]] == ["Federated this run"]
    assert "Time" not in table(page, "Table of arms")[0]
    assert not page.findall('.//div[@aria-label="Confusion matrix, pooled"]')
    told = text(page)
    assert "not compared" in told
    assert "0 sites" not in told
    assert "None" not in told
    assert not page.findall(".//details")


def test_a_federation_without_other_arms_compares_nothing(metrics: RunMetrics) -> None:
    only = federated_alone(metrics)
    page = read(only)
    told = text(page)
    assert "No baselines were run" in told
    assert "no other arm was run" in told
    for word in ("alone,", "own model", "trained alone", "linear probe", "Pooled", "Dashed line"):
        assert word not in told, word
    first, second, row = table(page, "Table of arms")
    assert first == ["Arm", "Macro F1", "Accuracy", "Macro AUC"]
    assert second == ["booster", "softmax"] * 3
    ours = only.arms.federated
    assert row[1:] == [cells(one, key) for key in MEASURES for one in (ours, ours.softmax)]
    assert table(page, "Table of sites") == [
        ["Site", "Test images", "Macro F1", "Accuracy"],
        *(
            [site, str(one.examples), number(one.federated.macro_f1),
             number(one.federated.accuracy)]
            for site, one in only.per_site.items()
        ),
    ]  # fmt: skip
    drawn = {
        section.attrib["id"]: len(list(section.iter("svg")))
        for section in page.iter("section")
        if "id" in section.attrib
    }
    assert (drawn["results"], drawn["sites"], drawn["cost"]) == (0, 1, 2)
    (sites,) = page.findall('.//section[@id="sites"]//svg')
    assert "alone" not in sites.attrib["aria-label"]


def test_what_sites_told_of_their_machines_is_a_table(metrics: RunMetrics, page: Element) -> None:
    alone = read(federated_alone(metrics))
    assert table(alone, "Table of the sites' environments") == [
        ["Site", "software", "numerics"],
        ["torch", "numpy", "onnx", "threads", "channels last"],
        ["north", "2.9", "2.4", DASH, "8", "True"],
        ["south", "2.9", DASH, "1.19", "2", "False"],
    ]
    assert "sites north software torch" not in listed(alone, "facts")
    assert listed(alone, "facts")["python"] == "3.11"
    assert "What each site told" not in text(page)  # metrics from before sites were asked


def test_only_generated_images_carry_the_banner(page: Element, bare: RunMetrics) -> None:
    (banner,) = page.findall('.//p[@class="banner"]')
    assert text(banner).startswith("Synthetic images.")
    assert "Synthetic images" not in text(read(bare))


def test_figures_that_are_null_are_dashes(bare: RunMetrics) -> None:
    nothing = no_counts(len(CLASSES), 10)
    arm = model_arm(nothing, nothing, CLASSES)
    page = read(bare.model_copy(update={"arms": Arms(federated=arm, linear_probe=arm.softmax)}))
    assert [row[1:] for row in table(page, "Table of arms")[2:]] == [[DASH] * 7, [DASH] * 4]
    assert [row[1:] for row in table(page, "Table of classes")[1:]] == [["0", *DASH * 5]] * 4
    assert [row[1:] for row in table(page, "Table of calibration")[1:]] == [[DASH] * 2] * 6
    assert not page.findall('.//section[@id="classes"]//svg')
    assert not re.search(r"\b(nan|None)\b", text(page))


def test_many_classes_and_sites_are_all_there() -> None:
    classes = tuple(f"subtype {n} of a long list of names" for n in range(12))
    sites = tuple(f"hospital-{n:02}" for n in range(14))
    small = build_metrics(sites=("north",), classes=classes, missing=classes[3:4])
    page = read(
        small.model_copy(
            update={
                "arms": small.arms.model_copy(
                    update={"local_only": dict.fromkeys(sites, small.arms.federated)}
                ),
                "per_site": dict.fromkeys(sites, small.per_site["north"]),
                "data": dict.fromkeys(sites, small.data["north"]),
            }
        )
    )
    assert len(table(page, "Table of arms")) == 2 + 4 + 14
    assert [row[0] for row in table(page, "Table of sites")[2:]] == list(sites)
    assert [row[0] for row in table(page, "Table of sites' data")[1:]] == list(sites)
    matrix = table(page, "Confusion matrix, federated")
    assert [len(row) for row in matrix] == [13] * 13
    captions = [text(caption) for caption in page.iter("figcaption")]
    assert any(caption.endswith("the seven classes of lowest AUC.") for caption in captions)
    remarks = [text(one) for one in page.findall('.//ul[@class="remarks"]/li')]
    assert any(remark.startswith(f"No test image shows {classes[3]}") for remark in remarks)


def test_a_study_without_trees_says_what_its_booster_is() -> None:
    told = "This study grows no trees"
    assert told not in render_report(build_metrics())
    without = {"phases": [{"name": "booster", "mode": "none"}]}
    assert told in render_report(build_metrics(settings=without))


def test_the_same_metrics_give_the_same_bytes(metrics: RunMetrics, tmp_path: Path) -> None:
    read_back = RunMetrics.model_validate_json(metrics.model_dump_json())
    write_report(metrics, tmp_path / "first.html")
    write_report(read_back, tmp_path / "again.html")
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "again.html").read_bytes()


def test_an_old_report_is_replaced_and_nothing_else_is_left(
    bare: RunMetrics, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "folder" / "report.html"
    write_report(bare, path)
    path.write_text("an older report, far longer than the new one" * 9999)
    write_report(bare, path)
    assert path.read_text(encoding="utf-8") == render_report(bare)
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_stops_the_run(bare: RunMetrics, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunStopped, match="the report cannot be written") as stopped:
        write_report(bare, tmp_path / "file" / "report.html")
    assert str(tmp_path) not in str(stopped.value)  # paths stay at home
    assert str(tmp_path) in stopped.value.local_detail

    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(RunStopped):
        write_report(bare, taken)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "taken"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_leaves_the_old_report_whole(bare: RunMetrics, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("the old report")
    (tmp_path / ".report.html.part").symlink_to("/dev/full")
    with pytest.raises(RunStopped, match="No space left"):
        write_report(bare, path)
    assert path.read_text() == "the old report"
    assert list(tmp_path.iterdir()) == [path]


def test_who_took_part_is_a_table_of_sites_and_rounds(metrics: RunMetrics, page: Element) -> None:
    rows = table(page, "Table of who took part")
    assert rows[0] == ["Site", "Rounds", *metrics.participation]
    assert rows[1][:6] == ["1", "0", "1", "2", "3", "4"]
    assert [row[:3] for row in rows[2:]] == [[site, "24 of 24", "●answered"] for site in SITES]
    assert {cell for row in rows[2:] for cell in row[2:]} == {"●answered"}
    assert "Every site took part in every round." in text(page)
    assert "Incomplete" not in text(page)


def test_of_many_sites_that_were_lost_the_worst_are_named(metrics: RunMetrics) -> None:
    lost = {f"site-{n:02}": n for n in range(1, 31)}
    told = metrics.model_copy(update={"lost": lost, "complete": False}).losses
    assert told == (
        "Of 24 rounds: 30 without site-30, 29 without site-29, 28 without site-28, "
        "27 without site-27, 26 without site-26, 25 without site-25, some without 24 more sites"
    )


def test_a_run_that_lost_sites_says_so_first(metrics: RunMetrics) -> None:
    page = read(with_losses(metrics.model_copy(update={"synthetic": False})))
    (banner,) = page.findall('.//p[@class="banner"]')
    assert text(banner).startswith(
        "Incomplete: not every site took part in every round. Of 24 rounds: 5 without west."
    )
    (headline,) = page.findall('.//p[@class="headline"]')
    assert text(headline).startswith("Incomplete run. Federated macro F1")
    (last,) = table(page, "Table of who took part")[-1:]
    assert last[:2] == ["west", "19 of 24"]
    assert [cell for cell in last[2:] if cell != "●answered"] == [
        "◑late", "○missing", "⊘refused", "\N{MULTIPLICATION SIGN}rejected", "·left out",
    ]  # fmt: skip
    (title,) = page.findall(".//title")
    assert text(title).startswith("Incomplete: trial")


def test_a_rehearsal_says_what_it_is_first(metrics: RunMetrics) -> None:
    page = read(metrics.model_copy(update={"rehearsal": True, "participation": {}}))
    (banner,) = page.findall('.//p[@class="banner"]')
    assert text(banner).startswith("Rehearsal, generated images. The real sites took part")
    (headline,) = page.findall('.//p[@class="headline"]')
    assert text(headline).startswith("Rehearsal, generated images. Federated macro F1")
    assert not page.findall('.//section[@id="attendance"]')  # as of metrics from before
