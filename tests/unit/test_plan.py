"""Proposing into a federation's folder, and planning from its runs, by command."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from safetensors.numpy import save_file

from common.initial_model import write_initial
from common.kit import openssh
from common.model.initial import build_branches, initial_model
from common.model.network import front_arrays
from common.proposal import read_proposal
from common.signing import new_key, read_key, write_key
from common.study.schema import load_study
from common.yaml_file import dump_yaml
from server.cli.main import main
from server.sites import AdmittedSite
from tests.support.small import small_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `leukofed-sim init-model` writes."""
    folder = tmp_path_factory.mktemp("made")
    study = small_study()
    branches = build_branches(study, None)
    initial = initial_model(study, branches)
    write_initial(folder / "initial.safetensors", initial)
    save_file(front_arrays(branches), folder / "fronts.safetensors")
    pinned = study.model_copy(update={"initial_model": initial.digest})
    (folder / "study.yaml").write_text(dump_yaml(pinned), encoding="utf-8")
    return folder


@pytest.fixture
def federation(tmp_path: Path) -> Path:
    (tmp_path / "federation.yaml").write_text("name: trial\nhosts: [localhost]\n")
    write_key(tmp_path / "signing.pem", new_key())
    (tmp_path / "sites").mkdir()
    for name, revoked in (("north", None), ("south", datetime.now(UTC))):
        key = openssh(ec.generate_private_key(ec.SECP384R1()).public_key())
        entry = AdmittedSite(
            name=name, public_key=key, node_id=1, admitted=datetime.now(UTC), revoked=revoked
        )
        (tmp_path / "sites" / f"{name}.yaml").write_text(dump_yaml(entry), encoding="utf-8")
    return tmp_path


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.mark.parametrize("given", ["", "study.yaml"])
def test_a_study_is_copied_and_signed(made: Path, federation: Path, given: str) -> None:
    result = call("propose", made / given, "--federation", federation)
    assert result.exit_code == 0, result.output
    folder = federation / "studies" / "small"
    assert {path.name for path in folder.iterdir()} == {
        "study.yaml", "initial.safetensors", "fronts.safetensors", "proposal.yaml",
    }  # fmt: skip
    key = read_key(federation / "signing.pem").public_key()
    study = load_study(made / "study.yaml")
    assert read_proposal(folder / "proposal.yaml", key) == study
    assert load_study(folder / "study.yaml") == study
    assert study.digest in result.output
    assert "not admitted, and so not to be reached: south" in result.output
    text = (folder / "proposal.yaml").read_text()
    assert "# Sites: north, south; a round counts with 1 of them." in text
    assert "42 in all" in text
    # Once more, from where it now lies.
    assert call("propose", folder, "--federation", federation).exit_code == 0


def test_another_study_of_the_same_name_needs_to_be_meant(made: Path, federation: Path) -> None:
    assert call("propose", made, "--federation", federation).exit_code == 0
    other = Path(shutil.copytree(made, federation / "other"))
    study = load_study(made / "study.yaml").model_copy(update={"quorum": 2})
    (other / "study.yaml").write_text(dump_yaml(study), encoding="utf-8")
    result = call("propose", other, "--federation", federation)
    assert result.exit_code == 1
    assert "another study named small" in result.output
    assert call("propose", other, "--federation", federation, "--replace").exit_code == 0
    assert load_study(federation / "studies/small/study.yaml") == study


def test_what_cannot_be_run_is_not_proposed(made: Path, federation: Path) -> None:
    lacking = Path(shutil.copytree(made, federation / "lacking"))
    (lacking / "fronts.safetensors").unlink()
    result = call("propose", lacking, "--federation", federation)
    assert "there is no fronts.safetensors" in result.output
    shutil.copy(made / "initial.safetensors", lacking / "fronts.safetensors")
    result = call("propose", lacking, "--federation", federation)
    assert "not those that the initial model was made for" in result.output
    (lacking / "study.yaml").write_text(dump_yaml(small_study()), encoding="utf-8")
    result = call("propose", lacking, "--federation", federation)
    assert "does not pin an initial model" in result.output
    assert not (federation / "studies").exists()


def test_a_folder_without_a_federation_is_told_so(made: Path, tmp_path: Path) -> None:
    result = call("propose", made, "--federation", tmp_path)
    assert result.exit_code == 1
    assert "holds no federation" in result.output
    assert call("propose", made, "--key", tmp_path / "k").exit_code == 2


def test_a_plan_without_any_record_says_what_is_supposed(made: Path, federation: Path) -> None:
    call("propose", made, "--federation", federation)
    result = call("plan", "small", "--federation", federation, "--images", 500)
    assert result.exit_code == 0, result.output
    assert "500 supposed" in result.output
    assert "not measured yet" in result.output
    assert "5.6 s besides the work (not measured here yet)" in result.output
    words = ("plan", "small", "--federation", federation, "--json")
    told = json.loads(call(*words).output)
    assert sum(told["exchanges"].values()) == 42
    assert [site["name"] for site in told["sites"]] == ["north", "south"]
    assert told["sites"][0]["disk"] > 0
    slow = json.loads(call(*words, "--mbit", 1).output)
    down_and_up = sum(told["sites"][0]["down"].values()) + sum(told["sites"][0]["up"].values())
    longer = sum(slow["seconds"].values()) - sum(told["seconds"].values())
    assert longer == pytest.approx(down_and_up * 8 / 1e6)


@pytest.mark.parametrize("name", ["other", ".", "../studies"])
def test_a_plan_of_no_study_is_told_so(name: str, federation: Path) -> None:
    (federation / "studies").mkdir()
    result = call("plan", name, "--federation", federation)
    assert result.exit_code == 1
    assert f"there is no study {name}, neither proposed nor as a folder" in result.output


def test_a_plan_for_many_sites_still_fits_a_terminal(
    made: Path, federation: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    shutil.copytree(made, folder)
    sites = tuple(f"hospital-{number:02}" for number in range(30))
    study = load_study(made / "study.yaml").model_copy(update={"sites": sites})
    (folder / "study.yaml").write_text(dump_yaml(study), encoding="utf-8")
    lines = call("plan", folder, "--federation", federation).output.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("hospital-") for line in lines) == 30


def test_a_site_that_was_never_measured_is_as_slow_as_the_slowest(
    made: Path, federation: Path
) -> None:
    run = federation / "runs" / "small-1"
    run.mkdir(parents=True)
    shutil.copy(made / "study.yaml", run)
    census = {
        "kind": "census", "examples": {"train": {"Pro": 100}, "test": {"Pro": 50}},
        "withheld": {}, "fewest_examples": 5, "groups": {}, "grouped_by": "patient",
        "excluded": {}, "weights": {}, "software": {}, "numerics": {},
    }  # fmt: skip
    events = [
        {"event": "exchange", "phase": "census", "round": 1, "exchange": 0, "accepted": ["north"],
         "seconds": 10.0, "work_s": {"north": 6.0}},
        {"event": "round", "phase": "census", "round": 1, "census": {"north": census}},
    ]  # fmt: skip
    (run / "record.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (federation / "runs" / "broken").mkdir()
    (federation / "runs" / "broken" / "record.jsonl").write_text("?\n")
    told = json.loads(call("plan", made, "--federation", federation, "--json").output)
    north, south = told["sites"]
    assert (north["images_known"], north["speed_known"]) == (True, True)
    assert (south["images_known"], south["speed_known"]) == (False, False)
    assert north["work_s"]["census"] == pytest.approx(6.0)
    assert south["work_s"]["census"] == pytest.approx(1000 * 6.0 / 150)
    assert told["exchange_s"] == pytest.approx(4.0)
