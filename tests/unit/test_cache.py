from pathlib import Path

import numpy as np
import pytest

from client.data.cache import ActivationCache
from client.data.shelf import Shelf, is_shelf, read_card
from common.errors import DataError


def records(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    return np.stack([np.full((2, 3), value, np.float16) for value in values])


def test_gives_back_what_was_stored_in_any_order(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "a", (2, 3), np.float16)
    shelf.append(["x", "y"], records(1, 2))
    shelf.append(["z"], records(3))
    np.testing.assert_array_equal(shelf.read(["z", "x", "z"]), records(3, 1, 3))
    assert "y" in shelf
    assert "w" not in shelf


def test_is_there_again_when_opened_anew(tmp_path: Path) -> None:
    Shelf(tmp_path / "a", (2, 3), np.float16).append(["x", "y"], records(1, 2))
    again = Shelf(tmp_path / "a", (2, 3), np.float16)
    again.append(["z"], records(3))
    np.testing.assert_array_equal(again.read(["x", "y", "z"]), records(1, 2, 3))


def test_no_keys_give_no_records(tmp_path: Path) -> None:
    assert Shelf(tmp_path / "a", (2, 3), np.float16).read([]).shape == (0, 2, 3)


@pytest.mark.parametrize("kept", ["x\ny", "x\nyyyyyyy", "x\ny\nz\n", "x\n"])
def test_a_kill_in_the_middle_of_a_write_loses_only_that_write(tmp_path: Path, kept: str) -> None:
    """Keys half written, keys without data, and data without keys all leave whole records."""
    Shelf(tmp_path / "a", (2, 3), np.float16).append(["x", "y"], records(1, 2))
    (tmp_path / "a" / "keys.txt").write_text(kept)
    again = Shelf(tmp_path / "a", (2, 3), np.float16)
    assert "x" in again
    assert "z" not in again
    again.append(["w"], records(9))
    np.testing.assert_array_equal(again.read(["x", "w"]), records(1, 9))
    np.testing.assert_array_equal(
        Shelf(tmp_path / "a", (2, 3), np.float16).read(["x", "w"]), records(1, 9)
    )


def test_data_cut_short_takes_its_key_along(tmp_path: Path) -> None:
    Shelf(tmp_path / "a", (2, 3), np.float16).append(["x", "y"], records(1, 2))
    data = tmp_path / "a" / "records.bin"
    data.write_bytes(data.read_bytes()[:-1])
    assert "y" not in Shelf(tmp_path / "a", (2, 3), np.float16)


def test_what_a_shelf_depends_on_decides_which_it_is(tmp_path: Path) -> None:
    cache = ActivationCache(tmp_path, 10**6)
    first = cache.shelf({"cut": "a"}, (2,), np.float32)
    assert cache.shelf({"cut": "a"}, (2,), np.float32) is first
    assert cache.shelf({"cut": "b"}, (2,), np.float32) is not first


def test_room_is_made_by_removing_what_was_unused_for_longest(tmp_path: Path) -> None:
    before = ActivationCache(tmp_path, 10**6)
    for name in ("old", "newer"):
        before.shelf(name, (100,), np.float32).append(["x"], np.ones((1, 100), np.float32))
    before.close()
    now = ActivationCache(tmp_path, 1000)
    now.make_room((now.shelf("mine", (100,), np.float32), 1))
    now.close()
    left = ActivationCache(tmp_path, 10**6)
    assert len(left.shelf("old", (100,), np.float32)) == 0
    assert len(left.shelf("newer", (100,), np.float32)) == 1


def test_a_limit_too_small_says_what_is_needed(tmp_path: Path) -> None:
    cache = ActivationCache(tmp_path, 1000)
    with pytest.raises(DataError, match="limit_gb"):
        cache.make_room((cache.shelf("mine", (100,), np.float32), 3))


def test_room_is_made_for_all_shelves_together(tmp_path: Path) -> None:
    cache = ActivationCache(tmp_path, 1000)
    shelves = [cache.shelf(name, (100,), np.float32) for name in ("a", "b")]
    cache.make_room(*((shelf, 1) for shelf in shelves))
    with pytest.raises(DataError, match="limit_gb"):
        cache.make_room((shelves[0], 1), (shelves[1], 2))


def test_a_key_is_stored_once(tmp_path: Path) -> None:
    shelf = ActivationCache(tmp_path, 10**6).shelf("mine", (2,), np.float32)
    rows = np.arange(4, dtype=np.float32).reshape(2, 2)
    with pytest.raises(ValueError, match="stored once"):
        shelf.append(["x", "x"], rows)
    shelf.append(["x", "y"], rows)
    with pytest.raises(ValueError, match="stored once"):
        shelf.append(["y", "z"], rows)
    np.testing.assert_array_equal(shelf.read(["y", "x"]), rows[::-1])


def test_a_shelf_with_repeated_keys_is_begun_anew(tmp_path: Path) -> None:
    cache = ActivationCache(tmp_path, 10**6)
    shelf = cache.shelf("mine", (2,), np.float32)
    shelf.append(["x", "y"], np.zeros((2, 2), np.float32))
    (shelf.folder / "keys.txt").write_text("x\nx\n")
    cache.close()
    assert len(ActivationCache(tmp_path, 10**6).shelf("mine", (2,), np.float32)) == 0


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    held = ActivationCache(tmp_path, 1000)
    with pytest.raises(DataError, match="another process"):
        ActivationCache(tmp_path, 1000)
    held.close()
    ActivationCache(tmp_path, 1000).close()


def filled(cache: ActivationCache, name: str, study: str = "") -> Shelf:
    """A shelf of 400 bytes."""
    shelf = cache.shelf(name, (100,), np.float32, name, {study: study} if study else None)
    shelf.append(["x"], np.ones((1, 100), np.float32))
    return shelf


def left(cache: ActivationCache) -> set[str]:
    cards = [read_card(folder) for folder in cache.folder.iterdir() if is_shelf(folder)]
    return {card.holds for card in cards if card is not None}


def test_records_of_studies_that_are_not_approved_any_more_go_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    approved = {"trial", "other"}
    cache = ActivationCache(tmp_path, 1600, approved)
    for name, study in (("oldest", "trial"), ("newer", "other"), ("of no study", "")):
        filled(cache, name, study)
    approved.remove("other")
    with caplog.at_level("INFO", "leukofed.cache"):
        cache.make_room((cache.shelf("mine", (100,), np.float32, "mine"), 2))
    assert left(cache) == {"oldest", "of no study", "mine"}
    assert "the newer were removed (its study is not approved any more; 0.0 MB" in caplog.text


def test_a_shelf_that_an_approved_study_shares_is_not_taken_for_another_s(tmp_path: Path) -> None:
    cache = ActivationCache(tmp_path, 800, {"trial"})
    filled(cache, "shared", "gone")
    cache.shelf("shared", (100,), np.float32, "shared", {"trial": "trial"})
    filled(cache, "newer", "gone")
    cache.make_room((cache.shelf("mine", (100,), np.float32, "mine"), 1))
    assert left(cache) == {"shared", "mine"}


def test_a_shelf_in_use_stays_and_one_of_a_round_before_goes(tmp_path: Path) -> None:
    """A worker lives for months: what it once opened is not in use for ever."""
    cache = ActivationCache(tmp_path, 1000)
    first, second = filled(cache, "first"), filled(cache, "second")
    with cache.using(first):
        cache.make_room((cache.shelf("mine", (100,), np.float32, "mine"), 1))
        assert left(cache) == {"first", "mine"}
        assert not cache.has_room_to_spare((second, 2))
        assert left(cache) == {"first", "mine"}  # what would not do is not begun
    assert cache.has_room_to_spare((cache.shelf("second", (100,), np.float32, "second"), 2))
    assert left(cache) == {"second", "mine"}


def test_a_shelf_that_was_removed_is_opened_anew(tmp_path: Path) -> None:
    cache = ActivationCache(tmp_path, 900)
    filled(cache, "first")
    cache.make_room((cache.shelf("mine", (100,), np.float32), 2))
    again = cache.shelf("first", (100,), np.float32, "first")
    assert len(again) == 0
    again.append(["x"], np.ones((1, 100), np.float32))


def test_removed_records_leave_no_byte_and_the_others_stay(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for trial in range(20):
        shelf = Shelf(tmp_path / str(trial), (4,), np.float64)
        rows = generator.random((12, 4))
        keys = [f"key-{i}" for i in range(12)]
        shelf.append(keys, rows)
        gone = [key for key in keys if generator.random() < 0.4]
        assert shelf.remove([*gone, "of another shelf"]) == len(gone)
        again = Shelf(tmp_path / str(trial), (4,), np.float64)
        for both in (shelf, again):
            kept = [key for key in keys if key not in gone]
            assert sorted(both) == sorted(kept)
            numbers = [keys.index(key) for key in kept]
            np.testing.assert_array_equal(both.read(kept), rows[numbers])
        data = (tmp_path / str(trial) / "records.bin").read_bytes()
        assert len(data) == 32 * len(kept)
        assert not any(rows[keys.index(key)].tobytes() in data for key in gone)
        shelf.append(["new"], rows[:1])


def test_a_kill_while_records_are_removed_leaves_an_empty_shelf_without_their_bytes(
    tmp_path: Path,
) -> None:
    """The keys are taken away first: no record can be found under another image's key."""
    shelf = Shelf(tmp_path / "a", (2, 3), np.float16)
    shelf.append(["x", "y"], records(1, 2))
    (tmp_path / "a" / "keys.txt").write_text("")
    assert len(Shelf(tmp_path / "a", (2, 3), np.float16)) == 0
    assert (tmp_path / "a" / "records.bin").stat().st_size == 0
