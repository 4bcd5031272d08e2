"""The folder of approved studies, as it is at the moment."""

import logging
import os
import threading
from pathlib import Path

import pytest

from client.approved import ApprovedStudies
from common.proposal import proposal
from common.signing import new_key
from common.study.schema import Study
from common.whole_file import write_whole
from tests.support.exchanges import STUDY
from tests.support.workers import KEY

OTHER = STUDY.model_copy(update={"seed": 2})


def signed(study: Study = STUDY) -> str:
    return proposal(study, KEY)


def approve(folder: Path, text: str, name: str = "study.yaml") -> Path:
    write_whole(folder / name, text.encode())
    return folder / name


@pytest.fixture
def approved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> ApprovedStudies:
    caplog.set_level(logging.INFO, "leukofed.approved")
    return ApprovedStudies(tmp_path, KEY.public_key())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [e.getMessage() for e in caplog.records if e.levelno >= logging.WARNING]


def test_a_signed_study_is_found_by_its_digest(tmp_path: Path, approved: ApprovedStudies) -> None:
    assert dict(approved) == {}
    approve(tmp_path, signed())
    assert approved[STUDY.digest] == STUDY
    assert (list(approved), len(approved)) == ([STUDY.digest], 1)
    assert OTHER.digest not in approved
    with pytest.raises(KeyError):
        approved[OTHER.digest]


BAD = {
    "unsigned": ("\n".join(signed().splitlines()[2:]), "is not signed"),
    "changed": (signed().replace("quorum: 2", "quorum: 1"), "does not carry this coordinator's"),
    "other key": (proposal(STUDY, new_key()), "does not carry this coordinator's signature"),
    "no yaml": ("name: [", "is not valid YAML"),
    "no study": ("name: x", "faults"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_any_other_file_approves_nothing_and_the_log_says_why_once(
    name: str, tmp_path: Path, approved: ApprovedStudies, caplog: pytest.LogCaptureFixture
) -> None:
    text, why = BAD[name]
    approve(tmp_path, text)
    for _ in range(3):
        assert len(approved) == 0
        assert STUDY.digest not in approved
    (line,) = warnings(caplog)
    assert line.startswith("study.yaml approves nothing: ")
    assert why in line


def test_a_bad_file_does_not_harm_the_good_ones(tmp_path: Path, approved: ApprovedStudies) -> None:
    for name, (text, _) in BAD.items():
        approve(tmp_path, text, f"{name}.yaml")
    approve(tmp_path, signed(), "middle.yaml")
    assert dict(approved) == {STUDY.digest: STUDY}


def test_what_is_added_changed_or_removed_takes_effect(
    tmp_path: Path, approved: ApprovedStudies
) -> None:
    first = approve(tmp_path, signed())
    assert set(approved) == {STUDY.digest}
    second = approve(tmp_path, signed(OTHER), "second.yaml")
    assert set(approved) == {STUDY.digest, OTHER.digest}
    first.unlink()
    assert set(approved) == {OTHER.digest}
    second.write_text(signed(OTHER).replace("seed: 2", "seed: 3"))  # in place, and no longer signed
    assert set(approved) == set()
    second.write_text(signed(OTHER))
    approve(tmp_path, signed())
    assert set(approved) == {STUDY.digest, OTHER.digest}
    second.rename(tmp_path / "second.yaml.withdrawn")
    assert set(approved) == {STUDY.digest}


def test_a_change_counts_though_the_files_time_is_put_back(
    tmp_path: Path, approved: ApprovedStudies
) -> None:
    """A copy that keeps times and sizes would pass unseen; so would a file that can be read now."""
    path = approve(tmp_path, signed().replace("seed: 1\n", "seed: 7\n"))
    before = path.stat()
    assert len(approved) == 0
    path.write_text(signed())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_mtime_ns == before.st_mtime_ns
    assert len(approved) == 1


def test_comments_may_change_and_copies_count_once(
    tmp_path: Path, approved: ApprovedStudies
) -> None:
    path = approve(tmp_path, signed())
    approve(tmp_path, "# ward 7's copy\n" + signed(), "copy.yaml")
    assert len(approved) == 1
    path.write_text(signed() + "# approved by the board\n")
    assert set(approved) == {STUDY.digest}
    path.unlink()
    assert set(approved) == {STUDY.digest}  # the copy still approves it


def test_what_cannot_be_read_approves_nothing_and_is_told(
    tmp_path: Path, approved: ApprovedStudies, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "broken.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "absent")
    approve(tmp_path, signed())
    for _ in range(2):
        assert set(approved) == {STUDY.digest}
    told = warnings(caplog)
    assert len(told) == 2
    assert told[0].startswith("broken.yaml approves nothing: ")
    assert told[1].startswith("folder.yaml approves nothing: ")
    (tmp_path / "absent").write_text(signed(OTHER))
    assert set(approved) == {STUDY.digest, OTHER.digest}


def test_other_names_are_not_looked_at(
    tmp_path: Path, approved: ApprovedStudies, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("study.yaml.bak", "study.yml", "README"):
        approve(tmp_path, signed(), name)
    (tmp_path / "later").mkdir()
    approve(tmp_path / "later", signed())
    assert len(approved) == 0
    assert warnings(caplog) == []


def test_a_folder_that_is_gone_approves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "approved"
    folder.mkdir()
    approve(folder, signed())
    approved = ApprovedStudies(folder, KEY.public_key())
    assert len(approved) == 1
    folder.rename(tmp_path / "away")
    assert len(approved) == 0


def test_many_files_are_read_once_each(
    tmp_path: Path, approved: ApprovedStudies, caplog: pytest.LogCaptureFixture
) -> None:
    studies = [STUDY.model_copy(update={"seed": seed}) for seed in range(40)]
    for study in studies:
        approve(tmp_path, signed(study), f"{study.seed}.yaml")
    for _ in range(3):
        assert dict(approved) == {study.digest: study for study in studies}
    assert len([e for e in caplog.records if "is approved" in e.getMessage()]) == 40


def test_many_may_ask_while_the_folder_changes(
    tmp_path: Path, approved: ApprovedStudies, caplog: pytest.LogCaptureFixture
) -> None:
    approve(tmp_path, signed(OTHER), "other.yaml")
    approve(tmp_path, BAD["unsigned"][0], "bad.yaml")
    failures: list[BaseException] = []
    ended = threading.Event()

    def ask() -> None:
        try:
            while not ended.is_set():
                assert approved[OTHER.digest] == OTHER
                assert set(approved) <= {STUDY.digest, OTHER.digest}
        except BaseException as error:
            failures.append(error)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for _ in range(20):
        approve(tmp_path, signed()).unlink()
    ended.set()
    for thread in asking:
        thread.join()
    assert failures == []
    assert len([line for line in warnings(caplog) if line.startswith("bad.yaml")]) == 1
