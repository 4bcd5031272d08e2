from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from common.digests import digest_arrays
from common.errors import ConfigError, WeightsError
from common.model.chain import build_backbone, check_is_chain, cut, stages
from common.model.weights import read_weights
from common.study.network import Backbone, Network

SMALL = Backbone(architecture="mobilenetv3_small_050", cut="blocks.3")


def test_front_and_tail_make_the_whole_model() -> None:
    model = build_backbone(SMALL, None)
    front, tail = cut(model, SMALL)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(tail(front(images)), model(images))
    check_is_chain(model, SMALL, 64)


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        (Backbone(architecture="inception_v3", cut="Mixed_7b", options={"aux_logits": False}), 96),
        (Backbone(architecture="legacy_xception", cut="block12", batch_norm_eps=1e-3), 96),
    ],
    ids=lambda value: getattr(value, "architecture", None),
)
def test_the_papers_pair_can_be_cut(backbone: Backbone, size: int) -> None:
    model = build_backbone(backbone, None)
    check_is_chain(model, backbone, size)
    eps = {m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert eps == {1e-3}


def test_an_unknown_cut_lists_the_stages() -> None:
    model = build_backbone(SMALL, None)
    with pytest.raises(ConfigError, match=r"blocks\.3"):
        cut(model, SMALL.model_copy(update={"cut": "block99"}))


def test_a_cut_behind_everything_is_refused() -> None:
    model = build_backbone(SMALL, None)
    last = stages(model)[-1][0]
    with pytest.raises(ConfigError, match="nothing to train"):
        cut(model, SMALL.model_copy(update={"cut": last}))


def test_an_unknown_architecture_and_unknown_options_are_told() -> None:
    with pytest.raises(ConfigError, match="cannot build"):
        build_backbone(Backbone(architecture="no_such_model", cut="a"), None)
    with pytest.raises(ConfigError, match="cannot build"):
        build_backbone(SMALL.model_copy(update={"options": {"no_such_option": 1}}), None)


def test_a_model_that_is_no_chain_is_refused() -> None:
    backbone = Backbone(architecture="hrnet_w18_small", cut="layer1.0")
    with pytest.raises(ConfigError, match="not a plain chain"):
        check_is_chain(build_backbone(backbone, None), backbone, 64)


def stored_weights(folder: Path) -> dict[str, NDArray[np.float16]]:
    model = build_backbone(SMALL, None)
    arrays = {
        name: tensor.half().numpy()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point()
    }
    save_file(arrays, folder / "mobilenetv3_small_050.safetensors")
    return arrays


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="--weights") as caught:
        read_weights(Network(backbones=(SMALL,)), SMALL, tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_weights_are_read_and_checked_against_the_digest(tmp_path: Path) -> None:
    arrays = stored_weights(tmp_path)
    network = Network(backbones=(SMALL,))
    agreed = SMALL.model_copy(update={"weights_digest": digest_arrays(arrays)})
    model = build_backbone(agreed, read_weights(network, agreed, tmp_path))
    name = "conv_stem.weight"
    np.testing.assert_array_equal(model.state_dict()[name].numpy(), arrays[name].astype(np.float32))
    other = SMALL.model_copy(update={"weights_digest": "0" * 64})
    with pytest.raises(WeightsError, match="digest"):
        read_weights(network, other, tmp_path)


def test_an_unreadable_file_and_foreign_tensors_are_told(tmp_path: Path) -> None:
    arrays = stored_weights(tmp_path)
    network = Network(backbones=(SMALL,))
    short = dict(list(arrays.items())[:-2])
    with pytest.raises(WeightsError, match="2 tensors are missing"):
        build_backbone(SMALL, short)
    with pytest.raises(WeightsError, match="another shape"):
        build_backbone(SMALL, arrays | {"conv_stem.weight": np.zeros((1, 1), np.float16)})
    (tmp_path / "mobilenetv3_small_050.safetensors").write_bytes(b"not tensors")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(network, SMALL, tmp_path)


def test_images_too_small_for_a_backbone_are_told_with_their_size() -> None:
    backbone = Backbone(architecture="inception_v3", cut="Mixed_7b", options={"aux_logits": False})
    with pytest.raises(ConfigError, match="cannot take images of 32 x 32 pixels"):
        check_is_chain(build_backbone(backbone, None), backbone, 32)
