from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from client.data.fields import finding
from client.data.fields.copies import hashes, oriented
from client.data.fields.features import corners, features
from client.data.fields.finding import Found, digested, find_pairs
from client.data.fields.geometry import ENOUGH, agreement
from client.data.fields.sheet import contact_sheet
from client.data.fields.store import FieldStore
from common.errors import DataError
from tests.support.scenes import Picture, lit, packed, scene, turned, window

LEFT, RIGHT = window(scene(0), 60, 10), window(scene(0), 100, 90)


def inliers(one: Picture, other: Picture, *, mirrored: bool = False) -> int:
    return agreement(features(packed(one))[0], features(packed(other))[0], mirrored).inliers


def written(folder: Path, pictures: Mapping[str, Picture | bytes]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        data = picture if isinstance(picture, bytes) else packed(picture)
        (folder / name).write_bytes(data)
    return [folder / name for name in pictures]


def found_in(folder: Path, images: list[Path], workers: int = 2) -> Found:
    store = FieldStore(folder)
    try:
        return find_pairs(digested(images), store, workers=workers)
    finally:
        store.close()


def names(found: Found) -> set[tuple[str, str]]:
    return {(pair.first.name, pair.second.name) for pair in found.pairs}


@pytest.mark.parametrize(
    ("changed", "mirrored"),
    [
        (RIGHT, False),
        (lit(RIGHT, 0.7, 20), False),
        (np.ascontiguousarray(np.rot90(RIGHT)), False),
        (turned(RIGHT, 33), False),
        (np.ascontiguousarray(RIGHT[:, ::-1]), True),
        (np.ascontiguousarray(np.rot90(RIGHT[:, ::-1])), True),
        (np.asarray(cv2.resize(RIGHT, (400, 400)), np.uint8), False),
    ],
)
def test_overlapping_photographs_agree(changed: Picture, mirrored: bool) -> None:
    assert inliers(LEFT, changed, mirrored=mirrored) >= ENOUGH
    assert inliers(LEFT, changed, mirrored=not mirrored) == 0


def test_keypoints_that_agree_lie_where_the_windows_were_cut() -> None:
    pair = agreement(features(packed(LEFT))[0], features(packed(RIGHT))[0])
    shift = np.median(pair.first - pair.second, axis=0) * (224 / 320)
    np.testing.assert_allclose(shift, (80, 40), atol=1)


def test_photographs_of_different_slides_do_not_agree() -> None:
    seen = [features(packed(window(scene(number), 60, 60)))[0] for number in range(8)]
    assert not any(
        agreement(seen[a], seen[b], mirrored).inliers
        for a in range(8)
        for b in range(a)
        for mirrored in (False, True)
    )


def test_a_scale_bar_makes_no_field() -> None:
    marked = []
    for number in (1, 2):
        picture = window(scene(number), 60, 60).copy()
        picture[170:200, 160:200] = 255
        cv2.putText(picture, "20um", (162, 192), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1)
        marked.append(picture)
    assert inliers(*marked) == 0


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_an_empty_picture_has_no_corners(tone: int) -> None:
    keypoints, thumbnail = features(packed(np.full((50, 400, 3), tone, np.uint8)))
    assert len(corners(keypoints[0]).points) == 0
    assert thumbnail.std() < 2


def test_all_pairs_are_found_and_no_others(tmp_path: Path) -> None:
    pictures: dict[str, Picture | bytes] = {
        f"other-{n}.jpg": window(scene(n), 60, 60) for n in range(3, 9)
    }
    pictures |= {
        "a.jpg": LEFT,
        "b.jpg": lit(np.ascontiguousarray(np.rot90(RIGHT)), 0.8, 10),
        "c.jpg": np.ascontiguousarray(LEFT[::-1]),
        "d.jpg": packed(LEFT),  # the same bytes as a.jpg
        "e.jpg": b"no image",
    }
    found = found_in(tmp_path / "store", written(tmp_path / "images", pictures))
    expected = {("a.jpg", "b.jpg"), ("a.jpg", "c.jpg"), ("a.jpg", "d.jpg"), ("b.jpg", "c.jpg")}
    assert names(found) == expected
    assert all(pair.inliers >= ENOUGH for pair in found.pairs)
    assert [path.name for path in found.unreadable] == ["e.jpg"]


def test_blurred_copies_are_found_without_corners(tmp_path: Path) -> None:
    blurred = np.asarray(cv2.GaussianBlur(scene(1), (0, 0), 25), np.uint8)
    other = np.asarray(cv2.GaussianBlur(scene(2), (0, 0), 25), np.uint8)
    small = np.asarray(cv2.resize(np.rot90(blurred), (200, 200)), np.uint8)
    images = written(tmp_path / "images", {"a.png": blurred, "b.jpg": small, "c.jpg": other})
    found = found_in(tmp_path / "store", images)
    assert {(p.first.name, p.second.name, p.inliers) for p in found.pairs} == {
        ("a.png", "b.jpg", 0)
    }


def test_a_hash_turns_with_its_picture() -> None:
    _, small = features(packed(LEFT))
    ways = np.stack([oriented(small, way) for way in range(8)])
    ours = hashes(small[None])[0]
    again = hashes(ways)[:, 0]
    np.testing.assert_array_equal(ours, again)
    assert len(set(ours.tolist())) == 8


def test_one_thread_or_two_and_any_order_find_the_same(tmp_path: Path) -> None:
    pictures = {
        f"{n}-{k}.jpg": window(scene(n), 20 * k, 30 * k) for n in range(5) for k in range(4)
    }
    images = written(tmp_path / "images", pictures)
    one = found_in(tmp_path / "one", images, workers=1)
    two = found_in(tmp_path / "two", images[::-1], workers=2)
    assert one == two
    assert {a[0] == b[0] for a, b in names(one)} == {True}
    assert len(one.pairs) >= 5 * 3


def test_an_interruption_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_BATCH", 4)
    images = written(
        tmp_path / "images", {f"{n}.jpg": window(scene(n // 3), 40 * (n % 3), 30) for n in range(9)}
    )
    digests = digested(images)
    stages: list[tuple[str, int, int]] = []

    def watch(what: str, done: int, of: int) -> None:
        stages.append((what, done, of))
        if (what, done) in stops:
            stops.remove((what, done))
            raise KeyboardInterrupt

    stops = [("images looked at", 4), ("pairs compared", 4)]
    for _ in range(2):
        store = FieldStore(tmp_path / "store")
        with pytest.raises(KeyboardInterrupt):
            find_pairs(digests, store, watch)
        store.close()
    (log,) = (tmp_path / "store").glob("*/pairs.txt")
    with log.open("a") as file:
        file.write("cut sho")  # what a kill may leave
    stages.clear()
    store = FieldStore(tmp_path / "store")
    resumed = find_pairs(digests, store, watch)
    store.close()
    looked = [of for what, _, of in stages if what == "images looked at"]
    compared = [of for what, _, of in stages if what == "pairs compared"]
    assert looked == [0]  # the first interruption came after four, the second after all nine
    assert resumed == found_in(tmp_path / "fresh", images)
    fresh = len((next((tmp_path / "fresh").glob("*/pairs.txt"))).read_text().splitlines())
    assert compared[0] == fresh - 4


def test_two_processes_do_not_share_a_store(tmp_path: Path) -> None:
    store = FieldStore(tmp_path)
    with pytest.raises(DataError, match="another process"):
        FieldStore(tmp_path)
    store.close()
    FieldStore(tmp_path).close()


def test_no_images_and_one_image_have_no_pairs(tmp_path: Path) -> None:
    assert found_in(tmp_path / "store", []) == Found((), ())
    images = written(tmp_path / "images", {"a.jpg": LEFT})
    assert found_in(tmp_path / "store", images) == Found((), ())


def test_the_sheet_shows_pairs(tmp_path: Path) -> None:
    pictures = {"a.jpg": LEFT, "b.jpg": RIGHT, "c.jpg": np.ascontiguousarray(LEFT[:, ::-1])}
    found = found_in(tmp_path / "store", written(tmp_path / "images", pictures))
    assert len(found.pairs) == 3
    sheet = contact_sheet(found.pairs)
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3
    green = (sheet == (0, 160, 0)).all(axis=2).sum()
    assert green > 3 * ENOUGH
