import io
import os
from pathlib import Path

import pytest
from PIL import Image

from client.data.manifest import Manifest, read_manifest
from client.data.scan import OTHER_LABEL, SAME_LABEL, readable, scan
from common.digests import digest_bytes
from common.errors import DataError


def site(folder: Path, rows: str, **contents: bytes) -> Manifest:
    """A manifest of rows `name label patient`, and the files it lists."""
    for name, content in contents.items():
        (folder / f"{name}.png").write_bytes(content)
    lines = [row.split() for row in rows.split(",")]
    text = "".join(f"{name}.png,{label},{patient}\n" for name, label, patient in lines)
    (folder / "manifest.csv").write_text("path,label,patient\n" + text)
    return read_manifest(folder / "manifest.csv", ("x", "y"))


def picture(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (16, 16), level).save(file, "PNG")
    return file.getvalue()


def names(paths: object) -> list[str]:
    assert isinstance(paths, (list, tuple))
    return sorted(path.stem for path in paths)


def test_digests_are_of_the_bytes(tmp_path: Path) -> None:
    manifest = site(tmp_path, "a x p1, b y p2", a=b"one", b=b"two")
    found = scan(manifest)
    assert [e.digest for e in found.examples] == [digest_bytes(b"one"), digest_bytes(b"two")]
    assert found.excluded == {}


@pytest.mark.parametrize("rows", ["b x p2, a x p1, c y p3", "c y p3, a x p1, b x p2"])
def test_of_duplicates_the_first_by_path_stays_and_their_patients_are_one(
    tmp_path: Path, rows: str
) -> None:
    found = scan(site(tmp_path, rows, a=b"same", b=b"same", c=b"other"))
    assert {e.image.stem: e.group for e in found.examples} == {"a": "p1", "c": "p3"}
    assert found.excluded == {SAME_LABEL: 1}
    assert names(found.left_out[SAME_LABEL]) == ["b"]


def test_a_dropped_duplicate_still_joins_other_images(tmp_path: Path) -> None:
    rows = "a x p1, b x p2, c x p2"
    found = scan(site(tmp_path, rows, a=b"same", b=b"same", c=b"other"))
    assert {e.image.stem: e.group for e in found.examples} == {"a": "p1", "c": "p1"}


def test_duplicates_with_differing_labels_all_go(tmp_path: Path) -> None:
    rows = "a x p1, b y p1, c x p1, d x p1"
    found = scan(site(tmp_path, rows, a=b"same", b=b"same", c=b"same", d=b"other"))
    assert [e.image.stem for e in found.examples] == ["d"]
    assert found.excluded == {OTHER_LABEL: 3}


def test_a_file_is_hashed_again_only_if_it_changed(tmp_path: Path) -> None:
    manifest = site(tmp_path, "a x p1, b x p2", a=b"one", b=b"two")
    cache = tmp_path / "cache"
    before = scan(manifest, cache)
    image = tmp_path / "a.png"
    status = image.stat()

    image.write_bytes(b"new")
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert scan(manifest, cache) == before  # same size and time: taken from the cache
    assert scan(manifest).examples[0].digest == digest_bytes(b"new")

    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert scan(manifest, cache).examples[0].digest == digest_bytes(b"new")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"sha256": "0", "remembered": {}}'])
def test_a_damaged_cache_is_forgotten(tmp_path: Path, damage: bytes) -> None:
    manifest = site(tmp_path, "a x p1", a=picture(1))
    cache = tmp_path / "cache"
    first = scan(manifest, cache)
    readable(first.examples, cache)
    for file in cache.iterdir():
        file.write_bytes(damage)
    assert scan(manifest, cache) == first
    assert readable(first.examples, cache) == (list(first.examples), [])


def test_unreadable_images_are_set_aside(tmp_path: Path) -> None:
    manifest = site(tmp_path, "a x p1, b x p2, c x p3", a=picture(1), b=b"junk", c=picture(3)[:50])
    examples = scan(manifest).examples
    usable, unreadable = readable(examples, tmp_path / "cache")
    assert [e.image.stem for e in usable] == ["a"]
    assert names(unreadable) == ["b", "c"]


def test_verdicts_are_remembered_by_digest(tmp_path: Path) -> None:
    examples = scan(site(tmp_path, "a x p1", a=picture(1))).examples
    cache = tmp_path / "cache"
    readable(examples, cache)
    (tmp_path / "a.png").unlink()
    assert readable(examples, cache) == (list(examples), [])
    with pytest.raises(DataError):
        readable(examples)


def test_a_disk_that_fails_is_no_verdict_on_an_image(tmp_path: Path) -> None:
    """Left out now and back tomorrow, it could move images from one part to another."""
    examples = scan(site(tmp_path, "a x p1", a=picture(1))).examples
    cache, image = tmp_path / "cache", tmp_path / "a.png"
    away = image.rename(tmp_path / "away")
    with pytest.raises(DataError, match="cannot be read from disk") as error:
        readable(examples, cache)
    assert image.name not in error.value.problem
    away.rename(image)
    assert readable(examples, cache) == (list(examples), [])
