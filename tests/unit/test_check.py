"""`leukofed-site check`, as it is called."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from client.cli.check import check
from client.doctor.finding import Finding, failed
from client.doctor.round import bundled_study, round_line
from client.doctor.screen import finding_line, summary
from client.site_config import Cache, Images, Limits, Numerics, SiteConfig
from common.errors import DataError
from common.imaging.synthetic import CLASSES
from common.proposal import proposal
from common.signing import new_key, public_half
from common.study.phases import EvaluationPhase, PhaseName
from common.study.schema import Study
from common.yaml_file import dump_yaml
from tests.support.small import small_study, write_smears

STUDY = small_study(
    phases=tuple(
        EvaluationPhase(replicates=20) if phase.name == "evaluation" else phase
        for phase in small_study().phases
    )
)
KEY = new_key()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(check, [str(one) for one in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a site's folder whose study is approved; it has not joined, and no worker runs."""
    return made(tmp_path)


def made(folder: Path, phases: tuple[PhaseName, ...] = Limits().phases) -> Path:
    examples = write_smears(folder / "images", 24, 64)
    with (folder / "images" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "patient"))
        writer.writerows((e.image.name, CLASSES[e.label], e.group) for e in examples)
    config = SiteConfig(
        name="north", images=Images(manifest=Path("images/manifest.csv")), state=Path("state"),
        cache=Cache(folder=Path("cache")), numerics=Numerics(), coordinator=public_half(KEY),
        limits=Limits(phases=phases),
    )  # fmt: skip
    (folder / "site.yaml").write_text(dump_yaml(config), encoding="utf-8")
    (folder / "link").mkdir(mode=0o700)
    (folder / "link" / "link.yaml").write_text("address: 127.0.0.1:9\n", encoding="utf-8")
    (folder / "approved").mkdir()
    (folder / "approved" / "study.yaml").write_text(proposal(STUDY, KEY), encoding="utf-8")
    return folder


def checks(result: Result) -> dict[str, str]:
    told: dict[str, Any] = json.loads(result.stdout)
    return {finding["check"]: finding["verdict"] for finding in told["findings"]}


@pytest.mark.slow
def test_one_line_per_check_and_what_to_do(folder: Path) -> None:
    before = set(folder.rglob("*"))
    result = call("--site", folder, "--offline")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("ok       manifest          24 images") for line in lines)
    (kit,) = [line for line in lines if line.split()[1] == "kit"]
    assert "-> get the kit from the coordinator, then `leukofed-site join KIT`" in kit
    assert not any(line.split()[1] == "address" for line in lines)
    assert "left out  address, TLS, clock, SuperLink: --offline" in lines
    assert " checks: " in lines[-1]
    assert set(folder.rglob("*")) == before, "nothing of the site is changed"


def test_json_holds_every_check(folder: Path) -> None:
    result = call("--site", folder, "--json")
    assert result.exit_code == 1
    found = checks(result)
    assert {name for name, verdict in found.items() if verdict == "ok"} >= {
        "site file", "manifest", "images", "duplicates", "labels", "classes", "groups",
        "weights", "disk", "memory", "device", "speed", "records", "round",
    }  # fmt: skip
    assert found["parts"] == "warning"  # two test images of a class, of which none is told
    assert found["address"] == found["kit"] == found["key"] == "problem"
    told = json.loads(result.stdout)
    assert told["problems"] == sum(v["verdict"] == "problem" for v in told["findings"])
    assert told["left_out"] == []


@pytest.mark.slow
def test_a_site_file_alone_leaves_the_link_out_and_says_so(folder: Path) -> None:
    result = call("--site-file", folder / "site.yaml", "--json")
    assert result.exit_code == 0
    found = checks(result)
    assert not {"kit", "key", "carrier", "worker", "address", "labels"} & set(found)
    left_out = json.loads(result.stdout)["left_out"]
    assert "--site" in left_out[0]
    assert "--study" in left_out[1]


@pytest.mark.slow
def test_a_manifest_that_cannot_be_read_is_one_problem_and_the_rest_goes_on(folder: Path) -> None:
    (folder / "images" / "manifest.csv").unlink()
    result = call("--site-file", folder / "site.yaml", "--json")
    assert result.exit_code == 1
    found = checks(result)
    assert (found["manifest"], found["round"]) == ("problem", "ok")


def test_a_folder_without_a_site(tmp_path: Path) -> None:
    result = call("--site", tmp_path)
    assert result.exit_code == 1
    assert "site.yaml" in result.output


def test_an_unknown_study_is_named_with_those_that_are_approved(folder: Path) -> None:
    result = call("--site", folder, "--study", "other")
    assert result.exit_code == 1
    assert f"{STUDY.digest[:12]} (small)" in result.output


@pytest.mark.parametrize(
    "wrong", [("--own",), ("--images", "3"), ("--what-leaves", "x", "--offline")]
)
def test_options_that_do_not_go_together(folder: Path, wrong: tuple[str, ...]) -> None:
    assert call("--site", folder, *wrong).exit_code == 2


@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_leaves_is_listed_and_nothing_is_logged(folder: Path, own: bool) -> None:
    words = ["--own"] * own
    result = call("--site", folder, "--what-leaves", "small", "--images", "24", *words)
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "Nothing leaves this machine" in text
    assert ("own images" if own else "generated images") in text.splitlines()[0]
    assert "backbones, round 1: fit heads" in text
    assert "heads/starnet_s050/weight  4 x 128  float16  1024" in text
    assert "kB in 6 such replies" in text
    assert text.splitlines()[-1].startswith("In the whole study: ")
    assert not (folder / "state").exists()
    assert not (folder / "cache").exists()


def test_what_leaves_as_json_tells_what_the_limits_refuse(tmp_path: Path) -> None:
    folder = made(tmp_path, ("census", "evaluation"))
    digest = STUDY.digest[:10]
    result = call("--site", folder, "--what-leaves", digest, "--images", "24", "--json")
    assert result.exit_code == 1, "the study cannot be run under these limits"
    told = json.loads(result.stdout)
    assert (told["study"], told["digest"]) == ("small", STUDY.digest)
    status = {one["work"]: one["status"] for one in told["sent"]}
    assert status["evaluation"] == "done"
    assert status["fit heads"] == "refused"
    first = next(one for one in told["sent"] if one["work"] == "evaluation")
    assert {"name", "shape", "dtype", "bytes", "norm"} == set(first["arrays"][0])
    assert first["purpose"]
    assert told["bytes"] > sum(one["bytes"] for one in told["sent"] if one["arrays"])


@pytest.mark.slow
def test_a_study_file_that_is_not_approved_can_be_shown(folder: Path) -> None:
    other: Study = STUDY.model_copy(update={"name": "other"})
    (folder / "other.yaml").write_text(dump_yaml(other), encoding="utf-8")
    result = call(
        "--site-file", folder / "site.yaml", "--what-leaves", folder / "other.yaml",
        "--images", "24",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"Study other ({other.digest[:12]})" in result.stdout


@pytest.mark.slow
def test_the_synthetic_round_uses_nothing_of_the_sites(folder: Path) -> None:
    config = SiteConfig(
        name="north", images=Images(manifest=folder / "absent.csv"), state=folder / "state",
        cache=Cache(folder=folder / "cache"), limits=Limits(phases=(), most_rounds=1),
    )  # fmt: skip
    seen: list[tuple[str, int, int]] = []
    line = round_line(config, lambda *told: seen.append(told))
    assert line.verdict == "ok", line.text
    requests = 6 + 3 + 1 + 2  # the bundled study's trees are three levels deep
    assert line.text.startswith(f"{requests} requests, of every kind of work")
    assert f"({requests} lines, chain intact)" in line.text
    assert seen[-1] == ("synthetic round", requests, 0)
    assert not config.state.exists()


def test_the_bundled_study_needs_no_weights_of_the_site() -> None:
    assert bundled_study().network.weights == "bundled"


def test_a_round_without_a_place_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SiteConfig(
        name="north", images=Images(manifest=folder / "m.csv"), state=folder / "state",
        cache=Cache(folder=folder / "cache"),
    )  # fmt: skip
    deep = folder / ("d" * 100)
    deep.mkdir()
    for place in (folder / "absent", deep):
        monkeypatch.setattr("tempfile.tempdir", str(place))
        line = round_line(config)
        assert (line.verdict, "TMPDIR" in line.fix) == ("problem", True)


def test_an_error_becomes_one_line() -> None:
    error = DataError("two\nlines", fix="mend\n them", local_detail="a\nb" + "x" * 400)
    finding = failed("images", error)
    assert finding.text.startswith("two lines (a b")
    assert finding.text.endswith("…)")
    assert "\n" not in finding_line(finding).plain
    assert finding_line(finding).plain.endswith("-> mend them")


def test_the_summary() -> None:
    well = Finding("a", "ok", "")
    assert summary([well, well]) == "All 2 checks are well."
    assert summary([well, Finding("b", "warning", "")]) == (
        "2 checks: 1 warning; nothing prevents this site from taking part."
    )
    assert summary([Finding("c", "problem", "")] * 2) == "2 checks: 2 problems."
