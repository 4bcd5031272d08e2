"""The page as a whole: nothing from elsewhere, no empty section, first what matters first."""

import re
from xml.etree.ElementTree import Element

import yaml

from common.metrics import Arms, RunMetrics, model_arm
from common.statistics.counts import no_counts
from server.report.page import render_report
from tests.support.metrics_builder import (
    CLASSES,
    SITES,
    build_metrics,
    federated_alone,
    with_losses,
)
from tests.support.report_reader import (
    DASH,
    MEASURES,
    cells,
    listed,
    number,
    read,
    renamed,
    table,
    text,
)


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
