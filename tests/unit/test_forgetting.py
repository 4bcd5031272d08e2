import os
from pathlib import Path

import numpy as np
import pytest

from client.activations import Extractor
from client.data.cache import ActivationCache
from client.data.remembered import save
from client.data.shelf import Shelf, is_shelf, keys_of
from client.egress.audit import verify
from client.egress.door import Door
from client.egress.forgotten import Forgotten
from client.site_config import Numerics
from client.state_lock import alone
from common.errors import RequestRefused
from common.model.initial import build_branches
from common.model.network import Branch
from tests.support.exchanges import reply, request
from tests.support.took_part import IMAGES_OF_A_PATIENT, STUDY, Hospital


@pytest.fixture(scope="module")
def branches() -> list[Branch]:
    return build_branches(STUDY, None)


@pytest.fixture
def hospital(tmp_path: Path, branches: list[Branch]) -> Hospital:
    return Hospital(tmp_path, branches)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, branches: list[Branch]) -> Hospital:
    """One that several tests look at, none of which changes anything."""
    return Hospital(tmp_path_factory.mktemp("site"), branches)


def line_of(hospital: Hospital) -> Forgotten:
    entry = list(hospital.log.lines())[-1].entry
    assert isinstance(entry, Forgotten)
    return entry


def test_no_byte_of_a_patient_is_left_and_every_byte_of_the_others(hospital: Hospital) -> None:
    gone, others = hospital.of(2), hospital.of(0, 1, 3, 4, 5)
    theirs, kept = hospital.bytes_of(gone), hospital.bytes_of(others)
    assert len(theirs) == IMAGES_OF_A_PATIENT * (
        1 + 4 * 2
    )  # pixels; activations, features, two views
    before = hospital.everything()
    assert all(record in before for record in theirs)

    sheet = hospital.config.state / "quality.png"
    sheet.write_bytes(b"a picture of many images")
    done = hospital.forget("--patient", "P-2", "--yes")
    assert done.exit_code == 0, done.output
    assert "1 contact sheets" in done.output
    assert not sheet.exists()
    after = hospital.everything()
    for example in gone:
        assert example.digest.encode() not in after
        assert str(example.image).encode() not in after
    # Pixels of smears differ in every byte's place; activations may hold a run of zeros.
    assert not any(record in after for record in theirs if len(set(record)) > 16)
    assert sorted(hospital.bytes_of(others)) == sorted(kept)
    assert not hospital.bytes_of(gone)


def test_what_was_forgotten_is_a_line_of_counts_and_the_log_still_verifies(
    hospital: Hospital,
) -> None:
    hospital.forget("--patient", "P-2", "--yes")
    line = line_of(hospital)
    assert line.model_dump(exclude={"time"}) == {
        "event": "forgotten", "site": "north", "images": 4, "records": 36, "findings": 8,
        "replies": 2, "runs": 1,
    }  # fmt: skip
    assert verify(hospital.log, hospital.outbox).lines == 3
    shown = hospital.call("log")
    assert "forgotten" in shown.output
    assert "4 images forgotten: 36 records and 8 findings of the cache" in shown.output
    assert "P-2" not in hospital.log.path.read_text()
    assert "3 lines, chain intact" in hospital.call("log", "--verify").output
    door = Door(hospital.config.state, "north", hospital.config.limits)
    later = request(study=STUDY.digest, round=2)
    door.release(later, reply(later))  # the chain goes on behind it
    assert verify(hospital.log, hospital.outbox).lines == 4


def test_kept_replies_go_whole_and_their_steps_stay_answered(hospital: Hospital) -> None:
    hospital.forget("--patient", "P-0", "--yes")
    assert hospital.outbox.kept() == []
    door = Door(hospital.config.state, "north", hospital.config.limits)
    with pytest.raises(RequestRefused, match="the hospital had its bytes forgotten"):
        door.earlier(hospital.asked[0])


def test_the_other_images_need_not_be_computed_again(
    hospital: Hospital, branches: list[Branch]
) -> None:
    hospital.forget("--patient", "P-2", "--yes")
    for example in hospital.examples:
        example.image.unlink()
    cache = ActivationCache(hospital.config.cache.folder, 10**9)
    extractor = Extractor(STUDY, branches, cache, Numerics())
    numbers = [i for i in range(24) if i // IMAGES_OF_A_PATIENT != 2]
    found = extractor.features([hospital.examples[i] for i in numbers], 2, "tails")
    np.testing.assert_array_equal(found, hospital.features[numbers])
    cache.close()


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_nothing_is_removed_without_a_yes(untouched: Hospital, answer: str) -> None:
    before = untouched.everything(), untouched.log.path.read_bytes()
    for arguments in (["--patient", "P-2"], ["--all"], ["--patient", "P-2", "--dry-run"]):
        shown = untouched.forget(*arguments, answer=answer)
        assert shown.exit_code == 0, shown.output
        assert "Nothing was removed." in shown.output
    assert (untouched.everything(), untouched.log.path.read_bytes()) == before


def test_it_is_shown_what_would_go_which_lines_to_remove_and_what_models_keep(
    untouched: Hospital,
) -> None:
    shown = untouched.forget("--patient", "P-2", "--dry-run").output
    assert "Images: 4." in shown
    assert "36 records" in shown
    assert "8 remembered digests" in shown
    assert f"  10: {untouched.of(2)[0].image.name}\n" in shown
    assert f"run-1, study {STUDY.digest[:12]}" in shown
    assert "records of them were made for this study" in shown
    assert "train again without the images" in " ".join(shown.split())


def test_a_dataset_is_chosen_by_columns_or_by_a_manifest_of_its_own(hospital: Hospital) -> None:
    ward = hospital.forget("--column", "Ward=A", "--dry-run").output
    assert "Images: 12." in ward
    both = hospital.forget("--column", "ward=A", "--patient", "P-2", "--dry-run").output
    assert "Images: 4." in both
    old = hospital.manifest.with_name("old.csv")
    old.write_text(hospital.manifest.read_text())
    hospital.write(range(4))
    assert hospital.forget("--manifest", str(old), "--yes").exit_code == 0
    assert line_of(hospital).images == 24
    assert all(len(shelf) == 0 for shelf in hospital.shelves())


def test_what_belongs_to_no_line_any_more_is_forgotten_too(hospital: Hospital) -> None:
    """Lines and images may be gone before anybody thinks of the cache."""
    hospital.write([i for i in range(24) if i // IMAGES_OF_A_PATIENT != 3])
    theirs = hospital.of(3)
    for example in theirs:
        example.image.unlink()
    done = hospital.forget("--unlisted", "--yes")
    assert done.exit_code == 0, done.output
    after = hospital.everything()
    assert not any(example.digest.encode() in after for example in theirs)
    assert not any(str(example.image).encode() in after for example in theirs)
    assert line_of(hospital).images == 4
    assert "Nothing is kept." in hospital.forget("--unlisted", "--yes").output


def test_all_empties_the_cache_and_leaves_what_is_not_ours(hospital: Hospital) -> None:
    foreign = hospital.config.cache.folder / "thesis.docx"
    foreign.write_text("not ours")
    assert hospital.forget("--all", "--yes").exit_code == 0
    left = {path.name for path in hospital.config.cache.folder.iterdir()}
    assert left == {"lock", "thesis.docx"}


def test_stores_of_other_kinds_lose_what_names_an_image(hospital: Hospital) -> None:
    cache, gone, other = hospital.config.cache.folder, hospital.of(2)[0], hospital.of(1)[0]
    measures = cache / "quality-1.json"
    save(measures, {gone.digest: {"focus": 3.0}, other.digest: {"like": [str(gone.image)]}})
    store = cache / "fields" / "1-512-32"  # names images by the first half of their digests
    keypoints = Shelf(store / "keypoints", (3,), np.uint8)
    keypoints.append([e.digest[:32] for e in (gone, other)], np.eye(2, 3, dtype=np.uint8))
    (store / "lock").touch()
    pairs = store / "pairs.txt"
    kept = f"{other.digest[:32]} {'0' * 32} 0 30 .\n"
    pairs.write_text(f"{gone.digest[:32]} {other.digest[:32]} 0 20 .\n{kept}")
    assert hospital.forget("--patient", "P-2", "--yes").exit_code == 0
    assert not measures.exists()
    assert list(Shelf(store / "keypoints", (3,), np.uint8)) == [other.digest[:32]]
    assert pairs.read_text() == kept


def test_what_is_not_ours_stays_even_where_it_names_an_image(hospital: Hospital) -> None:
    """A cache folder may be named wrongly: it could hold the hospital's own files."""
    folder = hospital.config.cache.folder
    for name in ("table.csv", "notes.txt", "list.json", "deep/table.csv", "deep/notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"{hospital.of(2)[0].digest},{hospital.of(2)[0].image}\n")
    foreign = {path: path.read_bytes() for path in folder.rglob("*.*") if "bin" not in path.name}
    foreign = {path: data for path, data in foreign.items() if path.suffix in (".csv", ".txt")
               and path.name != "keys.txt"}  # fmt: skip
    assert len(foreign) == 4
    for choice in (["--patient", "P-2"], ["--unlisted"], ["--all"]):
        assert hospital.forget(*choice, "--yes").exit_code == 0
    assert {path: path.read_bytes() for path in foreign} == foreign
    assert (folder / "list.json").exists()


def test_it_is_refused_while_a_worker_runs(untouched: Hospital) -> None:
    before = untouched.everything()
    with alone(untouched.config.state):
        refused = untouched.forget("--patient", "P-2", "--yes")
        assert refused.exit_code == 1
        assert "another worker uses this site's state folder" in refused.output
        assert "repeat this command" in refused.output
        assert untouched.forget("--patient", "P-2", "--dry-run").exit_code == 0
    held = ActivationCache(untouched.config.cache.folder, 10**9)
    assert "another process" in untouched.forget("--all", "--yes").output
    assert "another process" in untouched.call("cache", "--clear").output
    held.close()
    assert untouched.everything() == before


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        ([], "say whose images", 2),
        (["--all", "--patient", "P-1"], "say whose images", 2),
        (["--column", "ward"], "NAME=VALUE", 2),
        (["--patient", "P-99"], "no line with 1 of these values in `patient`", 1),
        (["--column", "hall=A"], "no column `hall`", 1),
    ],
)
def test_an_unclear_wish_is_explained(
    untouched: Hospital, arguments: list[str], told: str, code: int
) -> None:
    refused = untouched.forget(*arguments)
    assert (refused.exit_code, told in refused.output) == (code, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_root_leaves_no_file_of_its_own_among_the_worker_s(hospital: Hospital) -> None:
    for path in [hospital.folder, *hospital.folder.rglob("*")]:
        os.chown(path, 12345, 12345)
    for parent in hospital.folder.parents:
        if "pytest" in str(parent):
            parent.chmod(0o755)
    done = hospital.forget("--patient", "P-2", "--yes")
    assert done.exit_code == 0, done.output
    owners = {path.stat().st_uid for path in hospital.folder.rglob("*")}
    assert owners == {12345}
    assert os.geteuid() == 0


def test_the_cache_is_shown_by_what_it_holds_and_for_whom(hospital: Hospital) -> None:
    shown = hospital.call("cache").output
    head, *rows, total = [line.split() for line in shown.splitlines()]
    assert head == ["what", "studies", "records", "MB", "last", "used"]
    assert ["prepared", "images", "small", "24", "0.1"] in [row[:5] for row in rows]
    assert "activations of test_byobnet, varied views" in shown
    assert total[1:] == ["MB", "of", "20", "GB"]
    cleared = hospital.call("cache", "--clear").output
    assert cleared.startswith("Removed 216 records")
    assert hospital.call("cache").output == "The cache is empty.\n"
    assert not any(is_shelf(f) and keys_of(f) for f in hospital.config.cache.folder.iterdir())
