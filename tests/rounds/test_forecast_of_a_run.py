"""The forecast against what a whole small run really asked, carried, and kept on disk."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from common.forecast import Images, cache_bytes, traffic
from common.initial_model import read_initial
from common.model.initial import model_shapes
from common.record import read_record
from common.shapes import shapes_of
from common.speed import facts_of_record
from common.study.schema import load_study
from server.plan import plan
from server.progress import PlainProgress
from tests.support.shelves import needed_bytes
from tests.support.small_scenario import SITES, run_small, write_scenario

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("forecast")
    with PlainProgress(Console(file=io.StringIO())) as watch:
        run_small(write_scenario(home), home, watch)
    return home


def test_exchanges_are_exact_and_bytes_within_a_percent(home: Path) -> None:
    run = home / "runs" / "latest"
    study = load_study(run / "study.yaml")
    shapes = shapes_of(read_initial(run / "initial.safetensors", study.initial_model))
    assert model_shapes(study) == shapes  # the site's way to them is the coordinator's
    events = [event for event in read_record(run / "record.jsonl") if event["event"] == "exchange"]
    passing = traffic(study, shapes)
    assert [(e["phase"], e["round"], e["exchange"]) for e in events] == [
        (one.planned.phase, one.planned.round, one.planned.exchange) for one in passing
    ]
    for event, one in zip(events, passing, strict=True):
        for site in SITES:
            down, up = event["bytes_down"][site], event["bytes_up"][site]
            assert one.down == pytest.approx(down, rel=0.05)  # nearly all of it header, in the end
            assert one.up == pytest.approx(up, rel=0.1 if one.planned.phase == "census" else 0.01)
    for site in SITES:
        down, up = (sum(e[way][site] for e in events) for way in ("bytes_down", "bytes_up"))
        assert sum(one.down for one in passing) == pytest.approx(down, rel=0.001)
        assert sum(one.up for one in passing) == pytest.approx(up, rel=0.001)


def test_the_cache_is_as_large_as_was_forecast(home: Path) -> None:
    run = home / "runs" / "latest"
    study = load_study(run / "study.yaml")
    told = facts_of_record(read_record(run / "record.jsonl"), study).images.values()
    images: Images = {
        part: sum(one[part] for one in told) for part in ("train", "validation", "test")
    }
    shelved = needed_bytes(home / "cache")
    assert cache_bytes(study, model_shapes(study), images) == shelved


def test_a_plan_from_the_run_takes_as_long_as_the_run(home: Path) -> None:
    run = home / "runs" / "latest"
    study = load_study(run / "study.yaml")
    events = read_record(run / "record.jsonl")
    facts = facts_of_record(events, study)
    made = plan(study, model_shapes(study), [facts], images=1000)
    for site in made.sites:
        assert site.images_known
        assert site.speed_known
        worked = sum(e["work_s"][site.name] for e in events if e["event"] == "exchange")
        assert sum(site.work_s.values()) == pytest.approx(worked, rel=0.5)
    assert made.exchange_measured
