"""What would stop a study at a site, said before it is approved."""

from pathlib import Path
from typing import Any

import pytest

from client.egress.door import Door
from client.prospect import Prospect, own_timings, prospect
from common.asks import CensusTold
from common.model.initial import model_shapes
from common.study.schema import Study
from tests.support.exchanges import census_request, reply
from tests.support.site_folder import SiteOnDisk
from tests.support.small import small_study

STUDY = small_study()
SHAPES = model_shapes(STUDY)


def found(folder: Path, study: Study = STUDY, **limits: Any) -> Prospect:
    site = SiteOnDisk(folder, **limits)
    return prospect(study, SHAPES, site.config, [])


def test_nothing_stands_in_the_way_of_a_study_that_fits(tmp_path: Path) -> None:
    one = found(tmp_path)
    assert one.objections == []
    assert one.glance.images == {"train": 15, "validation": 4, "test": 5}
    assert sum(phase.exchanges for phase in one.phases) == 1 + 7 + 7 + 24 + 1 + 2
    assert one.phases[-1].phase == "release"
    assert one.phases[-1].up == 0
    assert one.whole_s > 42 * 5.6
    assert 0 < one.disk < one.free


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"phases": ("census", "backbones")}, "no part in fusion, booster, calibration, eval"),
        ({"most_rounds": 10}, "asks 42 times, this site answers 10 times in a run"),
        ({"most_rounds": 10}, "it would refuse from fusion, round 2, on"),
        ({"largest_payload_mb": 0.5}, "the largest reply, in evaluation, holds"),
        ({"largest_request_mb": 0.5}, "the largest request, in backbones, holds 1.4 MB"),
        ({"most_mb_a_day": 1.0}, "this site sends at most 1 MB within 24 hours"),
    ],
)
def test_a_limit_that_would_refuse_something_is_named(
    tmp_path: Path, limits: dict[str, Any], words: str
) -> None:
    assert any(words in text for text in found(tmp_path, **limits).objections)


def test_a_site_that_the_study_does_not_name_is_told_so(tmp_path: Path) -> None:
    (text,) = found(tmp_path, small_study(sites=("south", "west"))).objections
    assert "does not name this site, north" in text


def test_the_manifest_is_looked_at(tmp_path: Path) -> None:
    site = SiteOnDisk(tmp_path)
    text = site.manifest.read_text()
    site.manifest.write_text(text.replace(",Pro,", ",pro-B,"))
    one = prospect(STUDY, SHAPES, site.config, [])
    assert one.objections == ["6 rows of the manifest carry labels that this study does not have"]
    assert one.glance.classes == {"Benign": 6, "Early": 6, "Pre": 6, "Pro": 0}
    site.manifest.unlink()
    (text,) = prospect(STUDY, SHAPES, site.config, []).objections
    assert "the manifest cannot be read" in text


def test_a_manifest_that_says_the_parts_is_believed(tmp_path: Path) -> None:
    site = SiteOnDisk(tmp_path)
    head, *rows = site.manifest.read_text().splitlines()
    parts = ["train"] * 12 + ["val"] * 5 + ["test"] * 7
    lines = [f"{head},split", *(f"{row},{part}" for row, part in zip(rows, parts, strict=True))]
    site.manifest.write_text("\n".join(lines))
    one = prospect(STUDY, SHAPES, site.config, [])
    assert one.glance.images == {"train": 12, "validation": 5, "test": 7}


def test_the_sites_own_log_tells_how_fast_it_is(tmp_path: Path) -> None:
    site = SiteOnDisk(tmp_path)
    told = CensusTold(
        examples={"train": {"Pro": 200}}, withheld={}, fewest_examples=5, groups={},
        grouped_by="patient", excluded={}, weights={}, software={}, numerics={},
    )  # fmt: skip
    door = Door(site.config.state, "north", site.config.limits)
    request = census_request(study=STUDY.digest)
    door.admit(request, STUDY)
    door.release(request, reply(request, told, {}, seconds=30.0))
    (timing,) = own_timings(site.config.state, "north", {STUDY.digest: STUDY})
    assert (timing.kind, timing.amount, timing.seconds) == ("census", 200, 30.0)
    measured = prospect(STUDY, SHAPES, site.config, [timing])
    assert measured.speed.is_measured
    assert measured.phases[0].work_s == pytest.approx(24 * 0.15)
    assert own_timings(site.config.state, "north", {}) == []


def test_the_site_files_words_are_looked_up(tmp_path: Path) -> None:
    site = SiteOnDisk(tmp_path)
    text = site.manifest.read_text()
    site.manifest.write_text(text.replace(",Pro,", ",pro-B,").replace(",Pre,", ",unclear,"))
    own = {"Pro B": "Pro", "unclear": None}
    one = prospect(STUDY, SHAPES, site.config.model_copy(update={"labels": own}), [])
    assert one.objections == []
    assert one.glance.classes == {"Benign": 6, "Early": 6, "Pre": 0, "Pro": 6}
    assert one.glance.images is not None
    assert sum(one.glance.images.values()) == 18
