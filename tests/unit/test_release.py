import shutil
import subprocess
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from common.errors import CorruptFile, RunStopped
from common.release import FILES, SUMS, Release, read_release, verify_release, write_release
from tests.support.exchanges import STUDY


def release(**changes: object) -> Release:
    rng = np.random.default_rng(0)
    content: dict[str, object] = {
        "backbones": {
            "fronts/conv": rng.random((4, 3), np.float32),
            "tails/conv": rng.random((3, 4), np.float32).T,  # not contiguous
            "constants/seen": np.array(7),
        },
        "fusion": {"fusion/h1.weight": rng.random((2, 2), np.float32)},
        "booster": b"{\x00ubj",
        "study": STUDY,
        "metrics": {"booster": {"macro F1": [0.9, 0.85, 0.94]}, "temperature": 1.25, "none": None},
        "record": b'{"event":"start"}\n',
        "card": "# Model card: trial\n\nA word with an umlaut: Fräßner\n",
        "sheet": "# Data sheet: trial\n",
    }
    return Release(**(content | changes))  # type: ignore[arg-type]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_release(tmp_path / "trial", release())
    return tmp_path / "trial"


@pytest.mark.parametrize("name", ["trial", "trial.zip"])
def test_what_is_written_is_read(bundle: Path, name: str) -> None:
    written, found = release(), read_release(bundle.with_name(name))
    assert found.classes == ("a", "b")
    for ours, theirs in ((written.backbones, found.backbones), (written.fusion, found.fusion)):
        assert ours.keys() == theirs.keys()
        for key, array in ours.items():
            assert theirs[key].dtype == array.dtype
            np.testing.assert_array_equal(theirs[key], array, strict=True)
    assert found.study == STUDY
    assert found.study.digest == STUDY.digest
    assert (found.booster, found.metrics) == (written.booster, written.metrics)
    assert (found.record, found.card) == (written.record, written.card)
    assert found.sheet == written.sheet


def test_the_folder_holds_the_files_and_nothing_else(bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir()} == {*FILES, SUMS}
    assert {path.name for path in bundle.parent.iterdir()} == {"trial", "trial.zip"}


def test_the_sums_are_those_of_sha256sum(bundle: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=bundle, capture_output=True, check=True)
    assert done.stdout.count(b": OK") == len(FILES)


def test_the_zip_unpacks_to_the_folder(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "trial.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    for path in bundle.iterdir():
        assert (tmp_path / "unpacked" / "trial" / path.name).read_bytes() == path.read_bytes()


def test_the_same_release_has_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = write_release(tmp_path / "again" / "trial", release())
    assert again.read_bytes() == (tmp_path / "trial.zip").read_bytes()


def change(bundle: Path) -> None:
    path = bundle / "fusion.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def remove(bundle: Path) -> None:
    (bundle / "booster.ubj").unlink()


def add(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("hello")


def remove_sums(bundle: Path) -> None:
    (bundle / SUMS).unlink()


def forget(bundle: Path) -> None:
    lines = (bundle / SUMS).read_text().splitlines()
    (bundle / SUMS).write_text("\n".join(one for one in lines if "MODEL_CARD.md" not in one))


def fill_in(bundle: Path) -> None:
    with (bundle / "DATASHEET.md").open("a") as sheet:
        sheet.write("Filled in.\n")


DAMAGE = [
    (change, "fusion.safetensors is changed"),
    (remove, "booster.ubj is missing"),
    (add, "notes.txt is extra"),
    (remove_sums, "SHA256SUMS is missing"),
    (forget, "MODEL_CARD.md is changed"),
    (fill_in, "DATASHEET.md is changed"),
]


@pytest.mark.parametrize(("damage", "complaint"), DAMAGE)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_damage_is_named(
    bundle: Path, damage: Callable[[Path], None], complaint: str, is_zipped: bool
) -> None:
    verify_release(bundle)
    damage(bundle)
    place = bundle
    if is_zipped:
        place = bundle.with_name("damaged.zip")
        shutil.make_archive(str(place.with_suffix("")), "zip", bundle.parent, bundle.name)
    with pytest.raises(CorruptFile) as error:
        verify_release(place)
    assert error.value.problem == f"the release is damaged: {complaint}"
    with pytest.raises(CorruptFile):
        read_release(place)


def test_all_damage_is_named_at_once(bundle: Path) -> None:
    change(bundle)
    remove(bundle)
    add(bundle)
    with pytest.raises(CorruptFile) as error:
        verify_release(bundle)
    assert error.value.problem.count(" is ") == 4


def test_a_zip_of_two_folders_is_refused(bundle: Path) -> None:
    with zipfile.ZipFile(bundle.with_name("trial.zip"), "a") as archive:
        archive.writestr("other/booster.ubj", b"another model")
    with pytest.raises(CorruptFile, match="no zip of one"):
        verify_release(bundle.with_name("trial.zip"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more"])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(CorruptFile, match="cannot be read"):
        verify_release(tmp_path / "x.zip")


def test_some_other_folder_is_refused_without_a_list_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "Jane Doe.png").write_text("")
    with pytest.raises(CorruptFile, match="no bundle") as error:
        verify_release(tmp_path)
    assert "Jane" not in str(error.value)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="cannot be read"):
        verify_release(tmp_path / "nowhere")


def test_a_release_is_never_overwritten(bundle: Path) -> None:
    with pytest.raises(RunStopped, match="trial exists already"):
        write_release(bundle, release(card="another"))
    shutil.rmtree(bundle)
    with pytest.raises(RunStopped, match=r"trial\.zip exists already"):
        write_release(bundle, release(card="another"))


def test_a_half_written_one_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / ".trial.part").mkdir()
    (tmp_path / ".trial.part" / "left over").write_text("")
    verify_release(write_release(tmp_path / "trial", release()))
    verify_release(tmp_path / "trial")


def test_metrics_that_are_not_numbers_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_release(tmp_path / "trial", release(metrics={"auc": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_another_versions_release_says_so(tmp_path: Path) -> None:
    write_release(tmp_path / "trial", release())
    (tmp_path / "trial" / "study.yaml").write_text("name: other\nlanguage: 7\n")
    sums = [
        line
        for line in (tmp_path / "trial" / SUMS).read_text().splitlines()
        if "study.yaml" not in line
    ]
    done = subprocess.run(
        ["sha256sum", "study.yaml"], cwd=tmp_path / "trial", capture_output=True, check=True
    )
    (tmp_path / "trial" / SUMS).write_text("\n".join([*sums, done.stdout.decode()]))
    verify_release(tmp_path / "trial")
    with pytest.raises(CorruptFile, match="this version of leukofed cannot read it"):
        read_release(tmp_path / "trial")


def test_a_zip_changed_anywhere_is_refused_without_a_traceback(bundle: Path) -> None:
    """Bytes changed at random places, those of the zip's own tables among them."""
    chance = np.random.default_rng(1)
    sound = bundle.with_name(f"{bundle.name}.zip").read_bytes()
    place = bundle.with_name("changed.zip")
    for _ in range(400):
        data = bytearray(sound)
        tail = int(chance.integers(2)) * (len(data) - min(len(data), 1500))
        for at in chance.integers(tail, len(data), size=3):
            data[at] ^= int(chance.integers(1, 256))
        place.write_bytes(bytes(data))
        with suppress(CorruptFile):  # else only what no reader looks at was changed: times
            verify_release(place)
            assert read_release(place).card == read_release(bundle).card
