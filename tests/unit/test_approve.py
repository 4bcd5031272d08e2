"""Approving by command: what is shown, what is refused, and what lies in the folder afterwards."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from client.approvals import Approvals, file_name
from client.approved import ApprovedStudies
from client.cli.main import main
from client.egress.door import Door
from client.pulse import Pulse
from client.site import Site
from client.withdrawal import wait_until_stopped
from common.errors import ConfigError, RequestRefused
from common.signing import new_key
from common.study.phases import FusionPhase
from common.study.schema import Study
from tests.support.exchanges import census_request, reply
from tests.support.site_folder import SiteOnDisk
from tests.support.small import small_study
from tests.support.workers import PATIENCE_S, Gate, Worker, signed


@pytest.fixture
def site(tmp_path: Path) -> SiteOnDisk:
    return SiteOnDisk(tmp_path)


def call(site: SiteOnDisk, *words: object, given: str | None = None) -> Result:
    return CliRunner().invoke(
        main, [*map(str, words), "--site", str(site.folder)], input=given, catch_exceptions=False
    )


def approved(site: SiteOnDisk) -> set[str]:
    return set(ApprovedStudies(site.folder / "approved", site.key.public_key()))


def given_approval(site: SiteOnDisk) -> Study:
    path, study = site.propose()
    Approvals(site.folder / "approved", site.key.public_key()).approve(path, study)
    return study


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_study_is_shown_in_plain_words_and_approved_with_a_yes(site: SiteOnDisk) -> None:
    path, study = site.propose()
    result = call(site, "approve", path, given="y\n")
    assert result.exit_code == 0
    shown = flat(result.output)
    for words in (
        f"Study small, digest {study.digest[:12]}",
        "asked by the coordinator with the key",
        "north (here), south; a round counts with 1 of them",
        "24: 6 Benign, 6 Early, 6 Pre, 6 Pro",
        "not measured yet",
        "in the cache",
        "The largest single reply holds",
        "Images, file names and patients never leave.",
        "No differential privacy is applied yet and no epsilon is claimed.",
        "Nothing stands in the way",
        "No study named small was approved here before.",
        "and no other version",
    ):
        assert words in shown
    assert approved(site) == {study.digest}
    place = site.folder / "approved" / file_name(study)
    assert place.read_bytes() == path.read_bytes()
    assert place.stat().st_mode & 0o777 == 0o644
    (event,) = map(json.loads, (site.folder / "approved/history.jsonl").read_text().splitlines())
    assert (event["event"], event["digest"], event["name"]) == ("approved", study.digest, "small")

    again = call(site, "approve", path)
    assert again.exit_code == 0
    assert "is approved already" in again.output
    assert len((site.folder / "approved/history.jsonl").read_text().splitlines()) == 1


def test_without_a_yes_nothing_is_approved(site: SiteOnDisk) -> None:
    path, _ = site.propose()
    result = call(site, "approve", path, given="n\n")
    assert "Not approved; nothing was changed." in result.output
    assert approved(site) == set()
    assert not (site.folder / "approved/history.jsonl").exists()


def test_a_proposal_signed_by_another_key_is_refused_before_anything_is_shown(
    site: SiteOnDisk,
) -> None:
    path, _ = site.propose(key=new_key())
    result = call(site, "approve", path, "--yes")
    assert result.exit_code == 1
    assert "does not carry this coordinator's signature" in result.output
    assert "What it would do" not in result.output
    assert approved(site) == set()


def test_a_site_without_the_coordinators_key_is_told_what_to_do(site: SiteOnDisk) -> None:
    path, _ = site.propose()
    text = (site.folder / "site.yaml").read_text()
    (site.folder / "site.yaml").write_text(text.replace("coordinator: ", "coordinator: null # "))
    result = call(site, "approve", path, "--yes")
    assert result.exit_code == 1
    assert "leukofed-site join KIT" in result.output


def test_what_changed_since_the_last_version_is_told_setting_by_setting(site: SiteOnDisk) -> None:
    old = given_approval(site)
    phases = tuple(
        FusionPhase(rounds=9) if isinstance(phase, FusionPhase) else phase for phase in old.phases
    )
    newer, new = site.propose("newer.yaml", quorum=2, phases=phases)
    result = call(site, "approve", newer, "--yes")
    shown = flat(result.output)
    assert f"digest {old.digest[:12]} quorum 1 -> 2 phases.fusion.rounds 6 -> 9" in shown
    assert f"Version {old.digest[:12]} stays approved besides" in result.output
    assert approved(site) == {old.digest, new.digest}
    # Withdrawn, it is still what a next version is compared with.
    Approvals(site.folder / "approved", site.key.public_key()).withdraw("small")
    third, _ = site.propose("third.yaml", phases=phases)
    assert "quorum 2 -> 1" in flat(call(site, "approve", third, given="n\n").output)


@pytest.mark.parametrize("how", ["name", "digest", "file"])
def test_a_study_is_withdrawn_by_name_digest_or_file(site: SiteOnDisk, how: str) -> None:
    study = given_approval(site)
    word = {"name": study.name, "digest": study.digest[:8], "file": file_name(study)}[how]
    result = call(site, "withdraw", word)
    assert f"Withdrawn: study small, digest {study.digest[:12]}." in result.output
    assert "No worker could be asked" in result.output
    assert approved(site) == set()
    approvals = Approvals(site.folder / "approved", site.key.public_key())
    assert [one.digest for one in approvals.earlier()] == [study.digest]
    assert call(site, "withdraw", word).exit_code == 1
    # It can be approved again, and is then no longer among the withdrawn.
    approvals.approve(site.folder / "approved/withdrawn" / file_name(study), study)
    assert approved(site) == {study.digest}
    assert not list((site.folder / "approved/withdrawn").iterdir())


def test_every_file_of_a_withdrawn_study_goes(site: SiteOnDisk) -> None:
    study = given_approval(site)
    site.propose("approved/by-hand.yaml")
    assert approved(site) == {study.digest}
    assert "Withdrawn: study small" in call(site, "withdraw", "by-hand.yaml").output
    assert approved(site) == set()


def test_the_studies_are_listed_with_what_was_answered(site: SiteOnDisk) -> None:
    assert "No study is approved" in call(site, "studies").output
    study = given_approval(site)
    site.propose("approved/foreign.yaml", key=new_key(), name="foreign")
    door = Door(site.config.state, "north", site.config.limits)
    request = census_request(study=study.digest)
    door.admit(request, study)
    door.release(request, reply(request, arrays={}))
    lines = call(site, "studies").output.splitlines()
    assert lines[1].split()[:3] == ["small", study.digest[:12], "approved"]
    assert lines[1].split()[5:7] == ["1", "1"]
    assert "foreign.yaml approves nothing" in lines[2]
    (told,) = map(json.loads, call(site, "studies", "--json").output.splitlines()[:1])
    assert (told["digest"], told["left"]["answers"]) == (study.digest, 1)


def test_the_log_of_a_study_is_found_by_its_name(site: SiteOnDisk) -> None:
    study = given_approval(site)
    door = Door(site.config.state, "north", site.config.limits)
    for digest in (study.digest, "e" * 64):
        asked = census_request(study=digest)
        door.release(asked, reply(asked))
    call(site, "withdraw", "small")
    (line,) = call(site, "log", "--study", "small", "--json").output.splitlines()
    assert json.loads(line)["study"] == study.digest
    assert (
        call(site, "log", "--study", "f0").output == "Nothing has left this site for this study.\n"
    )
    unknown = call(site, "log", "--study", "large")
    assert (unknown.exit_code, "no study of this name" in unknown.output) == (1, True)


def test_a_folder_that_may_not_be_written_to_is_told_plainly(site: SiteOnDisk) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write anywhere")
    path, _ = site.propose()
    (site.folder / "approved").chmod(0o500)
    result = call(site, "approve", path, "--yes")
    assert result.exit_code == 1
    assert "run this as the worker's user" in result.output


def test_what_root_writes_belongs_to_the_folders_owner(site: SiteOnDisk) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can write for another user")
    folder = site.folder / "approved"
    os.chown(folder, 12345, 12346)
    study = given_approval(site)
    Approvals(folder, site.key.public_key()).withdraw("small")
    paths = [folder / "history.jsonl", folder / "withdrawn" / file_name(study)]
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in [*paths, paths[1].parent]}
    assert owners == {(12345, 12346)}


def test_what_was_not_shown_is_not_approved(site: SiteOnDisk) -> None:
    shown = site.propose()[1]
    later = site.propose("later.yaml", seed=99)[0]
    approvals = Approvals(site.folder / "approved", site.key.public_key())
    with pytest.raises(ConfigError, match="changed after it had been shown"):
        approvals.approve(later, shown)
    assert approved(site) == set()
    assert list((site.folder / "approved").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write as root")
@pytest.mark.parametrize("name", ["history.jsonl", "withdrawn"])
def test_root_follows_no_link_of_the_folders_owner(
    name: str, site: SiteOnDisk, tmp_path: Path
) -> None:
    target = tmp_path / "roots"
    if name == "withdrawn":
        target.mkdir()
    else:
        target.touch()
    folder = site.folder / "approved"
    given_approval(site)
    os.chown(folder, 12001, 12000)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)
    assert call(site, "withdraw", "small").exit_code == 1
    assert target.stat().st_uid == 0


def test_a_withdrawal_waits_for_the_worker_to_stop() -> None:
    gate = Gate()
    with Worker(gate) as worker:
        digest = worker.flight.submit(signed()).step.study
        gate.wait_begun()
        assert wait_until_stopped(worker.desk, {"0" * 64}) == 0
        with pytest.raises(ConfigError, match="still at work"):
            wait_until_stopped(worker.desk, {digest}, longest_s=0.1)
        threading.Timer(0.3, gate.open).start()
        waited = wait_until_stopped(worker.desk, {digest})
        assert waited is not None
        assert waited > 0
    assert wait_until_stopped(worker.desk, {digest}) is None


def test_work_stops_at_a_pulse_after_its_study_was_withdrawn(site: SiteOnDisk) -> None:
    study = small_study()
    approved = {study.digest: study}
    pulses: list[None] = []
    opened = Site(site.config, approved, pulse=lambda: pulses.append(None))
    try:
        pulse = opened.bench(study).pulse
        pulse()
        approved.clear()
        start = time.monotonic()
        with pytest.raises(RequestRefused, match="not approved at this site any more"):
            _for_long(pulse)
        assert time.monotonic() - start < 2
        assert len(pulses) > 1  # what stops work for other reasons was asked all the time
    finally:
        opened.close()


def _for_long(pulse: Pulse) -> None:
    for _ in range(int(PATIENCE_S * 100)):
        pulse()
        time.sleep(0.01)
