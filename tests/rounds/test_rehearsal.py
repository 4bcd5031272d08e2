"""A rehearsal: the whole study, at the real sites, without one real image."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.cli.main import main
from client.data.manifest import read_table
from client.phases import handle
from client.site import Site
from common.asks import CensusAsk, CensusTold
from common.errors import ConfigError, RunStopped
from common.log_head import split_head
from common.metrics import RunMetrics
from common.record import read_record
from common.speed import facts_of_record
from common.wire import Reply, Request, Step, decode_reply, encode_request
from common.yaml_file import dump_yaml
from tests.support.small_course import Course
from tests.support.small_scenario import SITES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return Course(tmp_path_factory.mktemp("rehearsal"))


@pytest.fixture(scope="module")
def sites(course: Course) -> Mapping[str, Site]:
    """Hospitals of default limits that allow one run, and whose images nobody can read."""
    made = course.sites("rehearsed", fewest_examples=5, most_runs=1)
    course.manifest.rename(course.home / "kept.csv")
    course.manifest.mkdir()  # to read it is an error, for every user
    course.images.rename(course.home / "kept")
    return made


@pytest.fixture(scope="module")
def rehearsed(course: Course, sites: Mapping[str, Site]) -> RunMetrics:
    return course.run("rehearsed", sites, rehearsal=True)


def test_it_reads_no_image_and_ends_well(
    course: Course, sites: Mapping[str, Site], rehearsed: RunMetrics
) -> None:
    assert (rehearsed.rehearsal, rehearsed.synthetic, rehearsed.complete) == (True, True, True)
    assert not course.images.exists()
    assert set(rehearsed.per_site) == set(SITES)
    for site in SITES:
        held = rehearsed.data[site]
        assert held.examples["train"] == dict.fromkeys(course.study.labels.classes, 8)
        assert held.examples["test"] == dict.fromkeys(course.study.labels.classes, 5)
        assert held.grouped_by == "patient"
        assert not any(held.withheld.values())


def test_its_records_lie_apart(
    course: Course, sites: Mapping[str, Site], rehearsed: RunMetrics
) -> None:
    for site in sites.values():
        assert not site.door.log.path.exists()
        assert not site.door.outbox.folder.exists()
        apart = site.config.state / "rehearsal"
        assert site.rehearsal.door.log.path == apart / "egress.jsonl"
        assert len(list(site.rehearsal.door.log)) == len(course.events("rehearsed", "exchange"))
        assert sorted(path.name for path in site.config.state.iterdir()) == ["rehearsal"]


def test_all_that_it_leaves_says_what_it_is(course: Course, rehearsed: RunMetrics) -> None:
    card, page = course.card("rehearsed"), course.report("rehearsed")
    assert card.startswith("# Rehearsal, generated images: small\n")
    assert "no model to use" in card
    assert "<title>Rehearsal: small" in page
    assert '<p class="headline">Rehearsal, generated images. Federated macro F1' in page
    assert page.index("Rehearsal, generated images.") < page.index("<h1>")
    (census,) = (e for e in course.events("rehearsed", "exchange") if e["phase"] == "census")
    assert census["rehearsal"] is True
    assert census["run"] == "rehearsed.rehearsal"


def test_its_record_tells_how_fast_each_site_is(course: Course, rehearsed: RunMetrics) -> None:
    record = read_record(course.home / "rehearsed" / "record.jsonl")
    facts = facts_of_record(record, course.study)
    assert facts.is_rehearsal
    for site in SITES:
        (pace,) = (one for one in facts.timings[site] if one.kind == "fit tails")
        assert pace.seconds > 0


def test_two_rehearsals_come_to_the_same_bits(course: Course, rehearsed: RunMetrics) -> None:
    again = course.run("second", course.sites("second", fewest_examples=5), rehearsal=True)
    assert again.digests == rehearsed.digests
    assert again.arms == rehearsed.arms


def test_it_never_becomes_a_run_nor_a_run_a_rehearsal(
    course: Course, sites: Mapping[str, Site], rehearsed: RunMetrics
) -> None:
    with pytest.raises(ConfigError, match="is a rehearsal, and cannot become a real one"):
        course.run("rehearsed", sites)
    others = course.sites("real")
    with pytest.raises(RunStopped, match="0 of 3 sites answered usably"):  # no image is there
        course.run("real", others)
    with pytest.raises(ConfigError, match="is a real one, and cannot become a rehearsal"):
        course.run("real", others, rehearsal=True)


def test_the_hospital_reads_its_log_of_rehearsals(
    course: Course, sites: Mapping[str, Site], rehearsed: RunMetrics, tmp_path: Path
) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(dump_yaml(sites["north"].config), encoding="utf-8")
    record = course.home / "rehearsed" / "record.jsonl"

    def shown(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["log", "--site-file", str(file), *words])
        return done.exit_code, done.output

    assert shown() == (0, "Nothing has left this site.\n")
    code, text = shown("--rehearsal")
    assert code == 0
    assert "rehearsed.rehearsal" in text
    code, text = shown("--rehearsal", "--verify", "--record", str(record))
    assert code == 0
    assert "chain intact" in text
    assert "The log holds all" in text
    code, text = shown("--verify", "--record", str(record))
    assert code == 1
    assert "--rehearsal" in text


def test_a_step_of_the_same_name_is_another_step_and_answered_from_real_images(
    course: Course, sites: Mapping[str, Site], rehearsed: RunMetrics
) -> None:
    """And the rehearsals before it are none of the one run that this hospital allows."""
    course.manifest.rmdir()
    (course.home / "kept.csv").rename(course.manifest)
    (course.home / "kept").rename(course.images)

    def asked(rehearsal: bool) -> Reply:
        step = Step(
            study=course.study.digest, run="rehearsed.rehearsal", phase="census", round=1,
            exchange=0, site="north", rehearsal=rehearsal,
        )  # fmt: skip
        data = handle(encode_request(Request(step, CensusAsk())), sites["north"])
        return decode_reply(split_head(data)[1])

    reply = asked(rehearsal=False)
    assert isinstance(reply.told, CensusTold)
    rows = [row for _, row in read_table(course.manifest, {"site": "north"})]
    train = [row["label"] for row in rows if row["split"] == "train"]
    told = reply.told.examples["train"]
    assert told == {name: n for name, n in Counter(train).items() if n >= 5}
    assert told != rehearsed.data["north"].examples["train"]
    later = asked(rehearsal=True)
    assert (later.status, later.request == reply.request) == ("refused", False)
    assert "was answered, and a later round confirmed" in later.problem
