from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from common.digests import digest_arrays
from common.errors import WeightsError
from common.model.chain import build_backbone
from common.model.weights import pin_weights, read_weights, weights_file
from common.study.network import Backbone, Network

SMALL = Backbone(architecture="test_byobnet", cut="stages.2")
NETWORK = Network(backbones=(SMALL,))
Arrays = dict[str, NDArray[Any]]


def stored(folder: Path, dtype: type[np.floating[Any]] = np.float16) -> Arrays:
    """Save a random model's tensors, the integer batch counters included."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(4)
    model = timm.create_model("test_byobnet", pretrained=False, num_classes=0)
    arrays = {
        name: tensor.numpy().astype(dtype) if tensor.is_floating_point() else tensor.numpy()
        for name, tensor in model.state_dict().items()
    }
    save_file(arrays, file_in(folder))
    return arrays


def file_in(folder: Path) -> Path:
    return folder / "test_byobnet.safetensors"


def build_from(folder: Path, backbone: Backbone = SMALL) -> torch.nn.Module:
    return build_backbone(backbone, read_weights(NETWORK, backbone, folder))


def empty(folder: Path) -> None:
    folder.mkdir()


def truncated(folder: Path) -> None:
    stored(folder)
    data = file_in(folder).read_bytes()
    file_in(folder).write_bytes(data[: len(data) // 2])


def of_no_bytes(folder: Path) -> None:
    folder.mkdir()
    file_in(folder).touch()


def a_folder(folder: Path) -> None:
    file_in(folder).mkdir(parents=True)


def in_bfloat16(folder: Path) -> None:
    folder.mkdir()
    save_tensors({"stem.conv.weight": torch.zeros(2, dtype=torch.bfloat16)}, file_in(folder))


@pytest.mark.parametrize(
    ("spoil", "problem", "remedy"),
    [
        (empty, "the imagenet weights of test_byobnet are not on this machine",
         r"put test_byobnet\.safetensors .* into the weights folder"),
        (truncated, "cannot be read", "fetch the file again"),
        (of_no_bytes, "cannot be read", "fetch the file again"),
        (a_folder, "cannot be read", "fetch the file again"),
        (in_bfloat16, "cannot be read", "float16 or float32"),
        (stored, "have digest [0-9a-f]{12}, the study wants 000000000000",
         "use the file that the study's coordinator names"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_unusable_weights_say_what_to_do_and_keep_the_path_at_home(
    tmp_path: Path, spoil: Callable[[Path], object], problem: str, remedy: str
) -> None:
    folder = tmp_path / "ward-7"
    spoil(folder)
    pinned = SMALL.model_copy(update={"weights_digest": "0" * 64})
    with pytest.raises(WeightsError, match=problem) as caught:
        read_weights(NETWORK, pinned, folder)
    caught.match(remedy)
    assert "ward-7" not in str(caught.value)
    assert str(file_in(folder)) in caught.value.local_detail


def test_tensors_that_do_not_fit_are_told(tmp_path: Path) -> None:
    arrays = stored(tmp_path)
    name = "stem.conv.weight"
    classifier = {"fc.weight": arrays[name], "fc.bias": arrays[name]}
    cases = {
        "another shape": arrays | {name: arrays[name][:, :1]},
        "1 tensors are missing, 0 unknown": {n: a for n, a in arrays.items() if n != name},
        "0 tensors are missing, 2 unknown": arrays | classifier,
    }  # fmt: skip
    for problem, wrong in cases.items():
        save_file({n: np.ascontiguousarray(a) for n, a in wrong.items()}, file_in(tmp_path))
        with pytest.raises(WeightsError, match=problem) as caught:
            build_from(tmp_path)
        caught.match("To fix: use (the )?weights")
        assert caught.value.local_detail


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_weights_of_either_precision_become_float32(
    tmp_path: Path, dtype: type[np.floating[Any]]
) -> None:
    arrays = stored(tmp_path, dtype)
    pinned = SMALL.model_copy(update={"weights_digest": digest_arrays(arrays)})
    assert {a.dtype for a in read_weights(NETWORK, pinned, tmp_path).values()} == {
        np.dtype(dtype), np.dtype(np.int64),
    }  # fmt: skip
    held = build_from(tmp_path, pinned).state_dict()
    for name, tensor in held.items():
        if tensor.is_floating_point():
            assert tensor.dtype == torch.float32
            np.testing.assert_array_equal(tensor.numpy(), arrays[name].astype(np.float32))
    assert set(held) == set(arrays)


def test_batch_norm_eps_is_the_studys_where_it_says_one() -> None:
    def found(eps: float | None) -> set[float]:
        backbone = Backbone(architecture="legacy_xception", cut="block12", batch_norm_eps=eps)
        norms = build_backbone(backbone, None).modules()
        return {m.eps for m in norms if isinstance(m, torch.nn.BatchNorm2d)}

    assert found(1e-3) == {1e-3}
    assert found(None) == {1e-5}


def test_each_kind_of_weights_has_its_place(tmp_path: Path) -> None:
    assert weights_file(NETWORK, SMALL, tmp_path) == file_in(tmp_path)
    cache = Path.home() / ".cache" / "leukofed" / "weights"
    assert weights_file(NETWORK, SMALL, None) == file_in(cache)
    bundled = Network(backbones=(SMALL,), weights="bundled")
    shipped = Path(__file__).parents[2] / "configs" / "weights"
    assert weights_file(bundled, SMALL, tmp_path) == file_in(shipped)
    assert file_in(shipped).is_file()


def test_a_pinned_network_accepts_these_weights_and_no_others(tmp_path: Path) -> None:
    arrays = stored(tmp_path)
    pinned = pin_weights(NETWORK, tmp_path)
    (backbone,) = pinned.backbones
    assert backbone.weights_digest == digest_arrays(arrays)
    assert read_weights(pinned, backbone, tmp_path).keys() == arrays.keys()
    other = {name: np.asarray(array + 1, array.dtype) for name, array in arrays.items()}
    save_file(other, file_in(tmp_path))
    with pytest.raises(WeightsError, match="the study wants"):
        read_weights(pinned, backbone, tmp_path)
    assert pin_weights(pinned.model_copy(update={"weights": "random"}), None).weights == "random"
