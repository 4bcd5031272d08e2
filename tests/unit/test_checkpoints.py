"""Checkpoints: whole or absent, shared parts, and damaged files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.digests import digest_arrays
from common.errors import ConfigError, CorruptFile, RunStopped
from server.checkpoints import Checkpoints, Part, State

STUDY = "5" * 64


def part(value: float) -> Part:
    return Part.of({"w": np.full((2, 3), value, np.float32), "n": np.array(7, np.int64)})


def state(phase: int, round: int, value: float, **facts: Any) -> State:
    return State((phase, round), {"model": part(value), "constants": part(0.0)}, facts)


def fail(text: str) -> None:
    raise AssertionError(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.json"))


def parts(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "parts").iterdir()}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = state(1, 3, 2.5, accounts={"fusion": {"a": 0.1}}, sites=["a", "b"])
    Checkpoints(tmp_path).save(saved, STUDY, "backbones")
    found = Checkpoints(tmp_path).latest(STUDY, note=fail)
    assert found is not None
    assert (found.position, found.facts) == ((1, 3), saved.facts)
    for name, held in saved.parts.items():
        assert found.parts[name].digest == held.digest == digest_arrays(found.parts[name].arrays)
    assert found.parts["model"].arrays["w"].shape == (2, 3)
    assert names(tmp_path) == ["0001-backbones-3.json"]


def test_strided_views_are_saved_by_value(tmp_path: Path) -> None:
    view = np.arange(12.0).reshape(3, 4).T[::2]
    Checkpoints(tmp_path).save(State((0, 1), {"v": Part.of({"v": view})}, {}), STUDY, "census")
    found = Checkpoints(tmp_path).latest(STUDY, note=fail)
    assert found is not None
    np.testing.assert_array_equal(found.parts["v"].arrays["v"], view)


def test_an_empty_folder_holds_no_state(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent").latest(STUDY, note=fail) is None


def test_only_what_changed_is_written_and_only_what_is_needed_is_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(0, 1, 1.0), STUDY, "census")
    constants = tmp_path / "parts" / f"{part(0.0).digest}.safetensors"
    first_written = constants.stat().st_ino
    for number in range(1, 5):
        checkpoints.save(state(1, number, 1.0 + number), STUDY, "backbones")
    checkpoints.save(state(2, 0, 5.0), STUDY, "fusion")
    checkpoints.save(state(2, 1, 6.0), STUDY, "fusion")
    assert names(tmp_path) == [
        "0001-census-1.json", "0005-backbones-4.json", "0006-fusion-0.json", "0007-fusion-1.json",
    ]  # fmt: skip
    assert parts(tmp_path) == {part(v).digest for v in (0.0, 1.0, 5.0, 6.0)}
    assert constants.stat().st_ino == first_written


def damage_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["cut json", "changed json", "cut part", "changed part", "absent"])
def test_a_damaged_checkpoint_is_skipped_with_a_word(tmp_path: Path, what: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1, 1, 1.0), STUDY, "backbones")
    newest = checkpoints.save(state(1, 2, 2.0), STUDY, "backbones")
    arrays = tmp_path / "parts" / f"{part(2.0).digest}.safetensors"
    match what:
        case "cut json":
            newest.write_bytes(newest.read_bytes()[:-20])
        case "changed json":
            text = newest.read_text()
            newest.write_text(text.replace('"facts": {}', '"facts": {"a": 1}'))
            assert newest.read_text() != text
        case "cut part":
            arrays.write_bytes(arrays.read_bytes()[:-4])
        case "changed part":
            damage_last_byte(arrays)
        case "absent":
            arrays.unlink()
    noted: list[str] = []
    resumed = Checkpoints(tmp_path)
    found = resumed.latest(STUDY, note=noted.append)
    assert found is not None
    assert found.position == (1, 1)
    assert len(noted) == 1
    assert "0002-backbones-2.json is skipped" in noted[0]

    # The round that is run again gives the same part, which must be written anew.
    resumed.save(state(1, 2, 2.0), STUDY, "backbones")
    again = Checkpoints(tmp_path).latest(STUDY, note=fail)
    assert again is not None
    assert again.position == (1, 2)


def test_nothing_intact_is_an_error(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path).save(state(0, 1, 1.0), STUDY, "census")
    path.write_text("[]")
    with pytest.raises(CorruptFile, match="none of the 1 checkpoints"):
        Checkpoints(tmp_path).latest(STUDY, note=lambda text: None)


def test_another_studys_checkpoint_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(state(0, 1, 1.0), STUDY, "census")
    with pytest.raises(ConfigError, match="555555555555, not 666666666666"):
        Checkpoints(tmp_path).latest("6" * 64, note=fail)


def test_a_crash_between_files_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(state(1, 1, 1.0), STUDY, "backbones")
    (tmp_path / ".0002-backbones-2.json.part").write_text('{"format"')
    (tmp_path / "parts" / f".{part(2.0).digest}.safetensors.part").write_bytes(b"half")
    resumed = Checkpoints(tmp_path)
    found = resumed.latest(STUDY, note=fail)
    assert found is not None
    assert found.position == (1, 1)
    resumed.save(state(1, 2, 2.0), STUDY, "backbones")
    assert not list(tmp_path.rglob("*.part"))


def test_a_disk_that_refuses_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunStopped, match="cannot be written"):
        Checkpoints(tmp_path / "file" / "run").save(state(0, 1, 1.0), STUDY, "census")


def test_a_run_that_will_not_be_resumed_keeps_its_newest_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2, 3):
        checkpoints.save(
            state(number, 1, float(number)), STUDY, ("census", "backbones", "fusion")[number - 1]
        )
    checkpoints.prune()
    assert len(list(tmp_path.glob("*.json"))) == 1
    found = Checkpoints(tmp_path).latest(STUDY, note=fail)
    assert found is not None
    assert found.position == (3, 1)
    assert {file.stem for file in (tmp_path / "parts").iterdir()} == {
        kept.digest for kept in found.parts.values()
    }
