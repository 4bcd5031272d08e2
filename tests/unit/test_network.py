from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import nn

from common.errors import CorruptFile
from common.model.initial import build_branches
from common.model.network import (
    Branch,
    Fusion,
    build_fusion,
    front_arrays,
    front_digest,
    fusion_arrays,
    load_branches,
    load_fusion,
    trained_arrays,
)
from common.seeds import stream
from tests.support.small import PAIR, small_study

WEIGHTS = Path(__file__).parents[2] / "configs" / "weights"
STUDY = small_study()
TRAVELLING = ("constants", "tails", "heads")
Arrays = dict[str, NDArray[Any]]


@pytest.fixture
def branches() -> list[Branch]:
    return build_branches(STUDY, None)


def uncut(architecture: str) -> nn.Module:
    """Load the bundled weights into a whole timm model, without any of our rooms."""
    model: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0)
    stored = load_file(WEIGHTS / f"{architecture}.safetensors")
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in stored.items()}
    assert not model.load_state_dict(tensors, strict=False).unexpected_keys
    return model.eval()


def images(n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def contents(arrays: Iterable[NDArray[Any]]) -> Counter[tuple[tuple[int, ...], bytes]]:
    return Counter((array.shape, np.ascontiguousarray(array).tobytes()) for array in arrays)


def varied(arrays: Arrays, purpose: str) -> Arrays:
    generator = stream(1, purpose)
    return {
        name: generator.uniform(0.5, 1.5, array.shape).astype(np.float32)
        for name, array in sorted(arrays.items())
    }


def test_a_branch_computes_what_the_uncut_model_does(branches: list[Branch]) -> None:
    assert [branch.architecture for branch in branches] == [b.architecture for b in PAIR]
    for branch in branches:
        with torch.inference_mode():
            found = branch.tail(branch.front(images()))
            expected = uncut(branch.architecture)(images())
        assert found.shape == (2, branch.width)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_parts_together_are_every_float_tensor_once(branches: list[Branch]) -> None:
    parts = [front_arrays(branches), *(trained_arrays(branches, name) for name in TRAVELLING)]
    assert {array.dtype for part in parts for array in part.values()} == {np.dtype(np.float32)}
    expected: Counter[tuple[tuple[int, ...], bytes]] = Counter()
    for branch in branches:
        whole = uncut(branch.architecture).state_dict().values()
        expected += contents(tensor.numpy() for tensor in whole if tensor.is_floating_point())
        expected += contents(p.detach().numpy() for p in branch.head.parameters())
    found: Counter[tuple[tuple[int, ...], bytes]] = Counter()
    for part in parts:
        found += contents(part.values())
    assert found == expected


def test_constants_are_the_batch_norms_of_the_tails(branches: list[Branch]) -> None:
    expected = {
        f"{branch.architecture}/{module}.{name}"
        for branch in branches
        for module, norm in branch.tail.named_modules()
        if isinstance(norm, nn.BatchNorm2d)
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert set(trained_arrays(branches, "constants")) == expected


def test_a_training_step_moves_tails_and_heads_alone(branches: list[Branch]) -> None:
    nn.init.normal_(branches[0].head.weight, generator=torch.Generator().manual_seed(2))
    before = {name: trained_arrays(branches[:1], name) for name in TRAVELLING}
    fronts = front_arrays(branches[:1])
    branch = branches[0]
    loss = branch.logits(branch.tail(branch.front(images(4)))).square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD([p for p in branch.parameters() if p.requires_grad], 1e-3).step()
    after = {name: trained_arrays(branches[:1], name) for name in TRAVELLING}
    for part in ("tails", "heads"):
        assert all((after[part][key] != a).any() for key, a in before[part].items()), part
    for key, array in before["constants"].items():
        np.testing.assert_array_equal(after["constants"][key], array)
    for key, array in front_arrays(branches[:1]).items():
        np.testing.assert_array_equal(array, fronts[key])


def test_arrays_that_are_loaded_come_back(branches: list[Branch]) -> None:
    parts = {name: varied(trained_arrays(branches, name), name) for name in TRAVELLING}
    parts["fronts"] = varied(front_arrays(branches), "fronts")
    load_branches(branches, parts)
    for name in TRAVELLING:
        found = trained_arrays(branches, name)
        assert set(found) == set(parts[name])
        for key, array in found.items():
            np.testing.assert_array_equal(array, parts[name][key], strict=True)
    for key, array in front_arrays(branches).items():
        np.testing.assert_array_equal(array, parts["fronts"][key], strict=True)


def test_loading_one_part_leaves_the_others(branches: list[Branch]) -> None:
    before = {name: trained_arrays(branches, name) for name in TRAVELLING}
    load_branches(branches, {"tails": varied(before["tails"], "new")})
    for name in ("constants", "heads"):
        assert contents(trained_arrays(branches, name).values()) == contents(before[name].values())


def test_arrays_are_copies(branches: list[Branch]) -> None:
    digest = front_digest(branches[0])
    for array in (*front_arrays(branches).values(), *trained_arrays(branches, "tails").values()):
        array[...] = 7
    assert front_digest(branches[0]) == digest
    assert all((a != 7).any() for a in trained_arrays(branches, "tails").values())


def test_logits_are_of_standardised_features(branches: list[Branch]) -> None:
    branch = branches[1]
    parts = {
        "moments": {f"{b.architecture}/mean": np.full(b.width, 0.5, np.float32) for b in branches}
        | {f"{b.architecture}/scale": np.full(b.width, 2.0, np.float32) for b in branches},
        "heads": varied(trained_arrays(branches, "heads"), "heads"),
    }
    load_branches(branches, parts)
    rows = stream(1, "rows").normal(size=(5, branch.width)).astype(np.float32)
    with torch.inference_mode():
        found = branch.logits(torch.from_numpy(rows)).numpy()
    head = {name: parts["heads"][f"{branch.architecture}/{name}"] for name in ("weight", "bias")}
    expected = (rows.astype(np.float64) - 0.5) * 2.0 @ head["weight"].T + head["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_front_digest_sees_fronts_and_nothing_else(branches: list[Branch]) -> None:
    branch, other = branches
    digest = front_digest(branch)
    assert digest == front_digest(build_branches(STUDY, None)[0]) != front_digest(other)
    with torch.no_grad():
        for tensor in (*branch.tail.parameters(), *branch.head.parameters()):
            tensor.add_(1)
    assert front_digest(branch) == digest
    buffers = dict(branch.front.named_buffers())
    for name in (next(iter(dict(branch.front.named_parameters()))),
                 next(name for name in buffers if name.endswith("running_var"))):  # fmt: skip
        tensor = branch.front.state_dict()[name]
        kept = tensor.clone()
        tensor.view(-1)[0] += 1e-3
        assert front_digest(branch) != digest, name
        tensor.copy_(kept)
        assert front_digest(branch) == digest


def test_the_fusion_block_by_hand() -> None:
    fusion = build_fusion(STUDY, 6)
    arrays = {n: a - np.float32(1) for n, a in varied(fusion_arrays(fusion), "fusion").items()}
    moments = {
        "mean": np.linspace(-1, 1, 6, dtype=np.float32),
        "scale": np.linspace(0.5, 2, 6, dtype=np.float32),
    }
    load_fusion(fusion, arrays, moments)
    for name, array in fusion_arrays(fusion).items():
        np.testing.assert_array_equal(array, arrays[name], strict=True)
    rows = stream(1, "fusion rows").normal(size=(9, 6)).astype(np.float32)
    h1 = np.maximum(
        (rows - moments["mean"]) * moments["scale"] @ arrays["h1.weight"].T + arrays["h1.bias"], 0
    )
    h2 = np.maximum(h1 @ arrays["h2.weight"].T + arrays["h2.bias"], 0)
    assert (h2 > 0).any()
    assert (h2 == 0).any()
    with torch.inference_mode():
        features = torch.from_numpy(rows)
        np.testing.assert_allclose(fusion.hidden(features).numpy(), h2, rtol=1e-4, atol=1e-5)
        logits = h2 @ arrays["head.weight"].T + arrays["head.bias"]
        np.testing.assert_allclose(fusion(features).numpy(), logits, rtol=1e-4, atol=1e-5)
    assert isinstance(fusion, Fusion)
    assert logits.shape == (9, 4)


@pytest.mark.parametrize("part", ["tails", "heads", "constants"])
def test_a_part_of_another_network_is_refused_and_not_stretched(
    branches: list[Branch], part: str
) -> None:
    arrays = trained_arrays(branches, part)
    name = next(iter(arrays))
    for wrong in (
        arrays | {name: np.zeros(1, np.float32)},
        arrays | {"x/y": np.zeros(1, np.float32)},
        {key: array for key, array in arrays.items() if key != name},
    ):
        with pytest.raises(CorruptFile, match=f"part '{part}' are not those"):
            load_branches(branches, {part: wrong})
    load_branches(branches, {part: arrays})
