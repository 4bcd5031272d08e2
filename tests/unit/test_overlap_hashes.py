import hashlib
import hmac
from pathlib import Path

import cv2
import numpy as np
import pytest

from client.data.fields.copies import hashes, oriented
from client.data.fields.features import features
from client.data.fields.signatures import read_key, signature, signatures
from client.data.manifest import Example
from common.asks import CensusTold
from common.errors import ConfigError, UpdateRejected
from common.figures import Shared
from common.study.data import Data
from common.study.schema import Study
from server.overlap import shared_images
from server.phases.census import check_census
from tests.support.launched import tiny_study
from tests.support.scenes import Picture, packed, scene, window

KEY = b"k" * 32
PICTURE = window(scene(0), 60, 10)


def example(path: Path, picture: Picture | bytes) -> Example:
    path.write_bytes(picture if isinstance(picture, bytes) else packed(picture, 95))
    return Example(path, 0, "g")


def test_a_signature_is_the_keyed_hash_of_the_least_orientation() -> None:
    _, thumbnail = features(packed(PICTURE))
    least = min(int(hashes(oriented(thumbnail, way)[None])[0, 0]) for way in range(8))
    message = b"leukofed overlap 1\n" + least.to_bytes(8, "big")
    expected = hmac.new(KEY, message, hashlib.sha256).hexdigest()[:32]
    assert {signature(oriented(thumbnail, way), KEY) for way in range(8)} == {expected}
    assert signature(thumbnail, b"j" * 32) != expected


def test_copies_have_one_signature_and_others_their_own(tmp_path: Path) -> None:
    _, png = cv2.imencode(".png", np.ascontiguousarray(np.rot90(PICTURE))[..., ::-1])
    north = [example(tmp_path / "a.png", png.tobytes())]
    south = [example(tmp_path / "b.png", cv2.imencode(".png", PICTURE[..., ::-1])[1].tobytes())]
    other = [example(tmp_path / f"{n}.jpg", window(scene(n), 60, 60)) for n in range(1, 6)]
    assert signatures(north, KEY) == signatures(south, KEY)
    assert len(signatures([*south, *other], KEY)) == 6
    found = signatures([*other, *south], KEY)
    assert found == tuple(sorted(found))


def test_empty_fields_have_none(tmp_path: Path) -> None:
    white = np.full((64, 64, 3), 240, np.uint8)
    assert signatures([example(tmp_path / "a.jpg", white)], KEY) == ()


def test_equal_signatures_are_counted_for_every_two_sites() -> None:
    told = {"south": ["a", "b"], "north": ["b", "c"], "east": ["d"]}
    assert shared_images(told) == [
        Shared(sites=("east", "north"), images=0),
        Shared(sites=("east", "south"), images=0),
        Shared(sites=("north", "south"), images=1),
    ]
    assert shared_images({}) == []


def test_the_key_is_a_file_that_is_long_enough(tmp_path: Path) -> None:
    key = tmp_path / "key"
    with pytest.raises(ConfigError, match="names no key"):
        read_key(None)
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        read_key(key)
    key.write_text("short\n")
    with pytest.raises(ConfigError, match="5 characters"):
        read_key(key)
    key.write_text("0" * 64 + "\n")
    assert read_key(key) == b"0" * 64


CENSUS = CensusTold(
    examples={"train": {"a": 1, "b": 0}}, withheld={"test": ("b",)}, fewest_examples=2, groups={},
    grouped_by="patient", excluded={}, weights={}, software={}, numerics={},
)  # fmt: skip
ASKING = tiny_study().model_copy(update={"data": Data(overlap="hashed")})


@pytest.mark.parametrize("study", [ASKING, tiny_study()])
def test_a_site_may_tell_no_signatures(study: Study) -> None:
    check_census("north", CENSUS, study, {})


def test_signatures_that_were_not_asked_for_or_are_too_many_are_rejected() -> None:
    def told(*found: str) -> CensusTold:
        return CENSUS.model_copy(update={"overlap": found})

    check_census("north", told("a" * 32, "b" * 32), ASKING, {})
    for study, lie in [
        (tiny_study(), told("a" * 32)),
        (ASKING, told("b" * 32, "a" * 32)),
        (ASKING, told("a" * 32, "a" * 32)),
        (ASKING, told("a" * 32, "b" * 32, "c" * 32)),
    ]:
        with pytest.raises(UpdateRejected, match="hashes of images"):
            check_census("north", lie, study, {})


def test_a_census_by_another_column_than_the_study_demands_is_rejected() -> None:
    study = tiny_study().model_copy(update={"data": Data(require="patient")})
    check_census("north", CENSUS, study, {})
    with pytest.raises(UpdateRejected, match="by slide, and the study demands patient"):
        check_census("north", CENSUS.model_copy(update={"grouped_by": "slide"}), study, {})


def test_a_demand_must_be_what_groups_first() -> None:
    assert Data(require="patient").group[0] == "patient"
    with pytest.raises(ValueError, match="first of `group`"):
        Data(require="slide")
    with pytest.raises(ValueError, match="first of `group`"):
        Data(require="patient", group=())
