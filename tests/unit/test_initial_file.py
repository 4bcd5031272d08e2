import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from common.digests import digest_arrays
from common.errors import CorruptFile
from common.initial_model import InitialModel, read_fronts, read_initial, write_initial

FRONTS = {"net_a": "a" * 64, "net_b": "b" * 64}
MODEL = InitialModel(
    {
        "constants": {"net_a/norm.weight": np.ones(3, np.float32)},
        "tails": {
            "net_a/conv.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 2, 2),
            "net_b/scale": np.array(0.25, np.float32),
        },
        "heads": {"net_a/bias": np.zeros(4, np.float32)},
        "fusion": {"h1.weight": np.arange(6, dtype=np.float32).reshape(2, 3)},
    },
    FRONTS,
)


def assert_same(found: InitialModel, expected: InitialModel) -> None:
    assert set(found.parts) == set(expected.parts)
    for part, arrays in expected.parts.items():
        assert set(found.parts[part]) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found.parts[part][name], array, strict=True)
    assert dict(found.fronts) == dict(expected.fronts)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "initial.safetensors"
    write_initial(path, MODEL)
    found = read_initial(path, MODEL.digest)
    assert_same(found, MODEL)
    assert found.digest == MODEL.digest


def test_a_part_without_arrays_comes_back_empty(tmp_path: Path) -> None:
    model = InitialModel({**MODEL.parts, "constants": {}}, FRONTS)
    write_initial(tmp_path / "a", model)
    assert_same(read_initial(tmp_path / "a", model.digest), model)


def test_strided_views_are_written_by_value(tmp_path: Path) -> None:
    view = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    model = InitialModel({**MODEL.parts, "tails": {"net_a/w": view}}, FRONTS)
    write_initial(tmp_path / "a", model)
    assert_same(read_initial(tmp_path / "a", model.digest), model)


def test_the_digest_sees_every_array_and_every_front() -> None:
    tails = MODEL.parts["tails"]
    others = [
        InitialModel({**MODEL.parts, "tails": {n: a + 1 for n, a in tails.items()}}, FRONTS),
        InitialModel({**MODEL.parts, "tails": {f"{n}x": a for n, a in tails.items()}}, FRONTS),
        InitialModel({**MODEL.parts, "tails": {}, "heads": tails}, FRONTS),
        InitialModel(MODEL.parts, FRONTS | {"net_a": "b" * 64}),
    ]
    digests = {model.digest for model in [MODEL, *others]}
    assert len(digests) == 5
    turned = InitialModel(
        dict(sorted(MODEL.parts.items(), reverse=True)), dict(sorted(FRONTS.items(), reverse=True))
    )
    assert turned.digest == MODEL.digest


def test_another_initial_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ward-7.safetensors"
    write_initial(path, MODEL)
    with pytest.raises(CorruptFile, match=f"{MODEL.digest[:12]}, the study wants 0000") as caught:
        read_initial(path, "0" * 64)
    caught.match("To fix: use the file that was made with the study")
    assert "ward-7" not in str(caught.value)
    assert caught.value.local_detail == str(path)


def cut_short(path: Path) -> None:
    write_initial(path, MODEL)
    path.write_bytes(path.read_bytes()[:-5])


def without_fronts(path: Path) -> None:
    save_file({"tails/w": np.zeros(2, np.float32)}, path)


def fronts_that_are_no_names(path: Path) -> None:
    save_file({"tails/w": np.zeros(2, np.float32)}, path, {"fronts": json.dumps([1, 2])})


def fronts_that_are_no_json(path: Path) -> None:
    save_file({"tails/w": np.zeros(2, np.float32)}, path, {"fronts": "{"})


def in_bfloat16(path: Path) -> None:
    arrays = {"tails/w": torch.zeros(2, dtype=torch.bfloat16)}
    save_tensors(arrays, path, {"fronts": "{}"})


@pytest.mark.parametrize(
    "spoil",
    [Path.exists, Path.mkdir, Path.touch, cut_short, without_fronts, fronts_that_are_no_names,
     fronts_that_are_no_json, in_bfloat16],
)  # fmt: skip
def test_a_damaged_file_says_how_to_make_it_again(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    path = tmp_path / "ward-7.safetensors"
    spoil(path)
    with pytest.raises(CorruptFile, match=r"cannot be read\n.*init-model") as caught:
        read_initial(path)
    assert "ward-7" not in str(caught.value)
    assert caught.value.local_detail == str(path)


def test_one_flipped_bit_is_found_by_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_initial(path, MODEL)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    read_initial(path)
    with pytest.raises(CorruptFile, match="has digest"):
        read_initial(path, MODEL.digest)


TENSORS = {
    "net_a/0.weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "net_a/0.bias": np.zeros(2, np.float32),
    "net_b/scale": np.array(0.25, np.float32),
}
TOLD = {
    "net_a": digest_arrays({name[6:]: a for name, a in TENSORS.items() if name[:5] == "net_a"}),
    "net_b": digest_arrays({"scale": TENSORS["net_b/scale"]}),
}


def test_fronts_come_back_if_they_are_the_initial_models(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "fronts")
    found = read_fronts(tmp_path / "fronts", TOLD)
    assert set(found) == set(TENSORS)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize(
    "wanted",
    [{"net_a": TOLD["net_a"]}, TOLD | {"net_c": "c" * 64}, TOLD | {"net_b": "b" * 64}],
    ids=["one too many", "one missing", "another"],
)
def test_other_fronts_are_refused(tmp_path: Path, wanted: dict[str, str]) -> None:
    path = tmp_path / "ward-7.safetensors"
    save_file(TENSORS, path)
    with pytest.raises(CorruptFile, match="not those that the initial model was made") as caught:
        read_fronts(path, wanted)
    assert "ward-7" not in str(caught.value)
    assert caught.value.local_detail == str(path)


@pytest.mark.parametrize("spoil", [Path.exists, Path.mkdir, Path.touch, cut_short, in_bfloat16])
def test_damaged_fronts_say_how_to_make_them_again(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    path = tmp_path / "ward-7.safetensors"
    spoil(path)
    with pytest.raises(CorruptFile, match=r"cannot be read\n.*init-model") as caught:
        read_fronts(path, TOLD)
    assert "ward-7" not in str(caught.value)
    assert str(path) in caught.value.local_detail
