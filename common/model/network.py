"""The network of Khan et al. 2025 as modules, and its arrays by part.

Parts, each a set of named float32 arrays:

* constants       BatchNorm of the tails: affine and running statistics, never trained
* tails           everything else in the tails, trained
* heads           one linear softmax head per backbone, temporary
* moments         mean and scale per backbone, by which features are standardised for the heads
* fusion-moments  the same for the concatenated features
* fusion          H1, H2 and their temporary softmax head
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.digests import digest_arrays
from common.errors import CorruptFile
from common.study.schema import Study

Arrays = Mapping[str, NDArray[Any]]


class Standardised(nn.Module):
    """Features minus their mean, times their scale; both fixed, from sums over all sites."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        """Map float32 (n, features) to the same shape."""
        return (features - self.mean) * self.scale


class Branch(nn.Module):
    """One backbone with its temporary head: image -> front -> tail -> features -> logits."""

    def __init__(
        self, architecture: str, front: nn.Sequential, tail: nn.Sequential, width: int, classes: int
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.width = width
        self.front = front.requires_grad_(False)
        self.tail = tail
        self.standardised = Standardised(width)
        self.head = nn.Linear(width, classes)
        for module in tail.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        self.eval()  # for good: frozen statistics are what lets sites share a booster

    def logits(self, features: Tensor) -> Tensor:
        """Map pooled features float32 (n, width) to logits (n, classes)."""
        out: Tensor = self.head(self.standardised(features))
        return out


class Fusion(nn.Module):
    """H1 and H2, eq. 6-7 of Khan et al. 2025, with a temporary softmax head."""

    def __init__(self, width: int, h1: int, h2: int, classes: int) -> None:
        super().__init__()
        self.standardised = Standardised(width)
        self.h1 = nn.Linear(width, h1)
        self.h2 = nn.Linear(h1, h2)
        self.head = nn.Linear(h2, classes)

    def hidden(self, features: Tensor) -> Tensor:
        """Return H2: float32 (n, h2), non-negative, from concatenated features (n, width)."""
        return torch.relu(self.h2(torch.relu(self.h1(self.standardised(features)))))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (n, classes)."""
        out: Tensor = self.head(self.hidden(features))
        return out


def build_fusion(study: Study, width: int) -> Fusion:
    """Build the fusion block of a study for concatenated features of this width."""
    return Fusion(width, study.network.h1, study.network.h2, len(study.labels.classes))


def front_digest(branch: Branch) -> str:
    """Return the digest of the frozen front's tensors, which a site proves in the census."""
    return digest_arrays(_arrays(_floating(branch.front.state_dict())))


def front_arrays(branches: Iterable[Branch]) -> dict[str, NDArray[Any]]:
    """Return the frozen fronts' tensors, for the release."""
    return _prefixed({b.architecture: _floating(b.front.state_dict()) for b in branches})


def trained_arrays(branches: Iterable[Branch], part: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of part `constants`, `tails` or `heads`."""
    return _prefixed({branch.architecture: _tensors(branch, part) for branch in branches})


def part_tensors(branches: Iterable[Branch], part: str) -> dict[str, Tensor]:
    """Return the tensors of a part, under `ARCHITECTURE/NAME`; they may hold no values."""
    return {
        f"{branch.architecture}/{name}": tensor
        for branch in branches
        for name, tensor in _tensors(branch, part).items()
    }


def load_branches(branches: Iterable[Branch], parts: Mapping[str, Arrays]) -> None:
    """Set the arrays of any of the parts constants, tails, heads, moments and fronts.

    Raises:
        CorruptFile: a part is not one of this network: other names, or another shape.
    """
    branches = list(branches)
    for part, arrays in parts.items():
        _copy(part, arrays, part_tensors(branches, part))


def fusion_arrays(fusion: Fusion) -> dict[str, NDArray[Any]]:
    """Return the trained arrays of the fusion block."""
    return _arrays(dict(fusion.named_parameters()))


def load_fusion(fusion: Fusion, arrays: Arrays, moments: Arrays) -> None:
    """Set the fusion block's trained arrays and its standardisation.

    Raises:
        CorruptFile: they are not those of this network: other names, or another shape.
    """
    _copy("fusion", arrays, dict(fusion.named_parameters()))
    _copy("fusion-moments", moments, dict(fusion.standardised.named_buffers()))


def _copy(part: str, arrays: Arrays, held: Mapping[str, Tensor]) -> None:
    if {name: a.shape for name, a in arrays.items()} != {
        n: tuple(t.shape) for n, t in held.items()
    }:
        raise CorruptFile(
            f"the arrays of part {part!r} are not those of this study's network",
            fix="compare study file and leukofed version at both ends",
        )
    for name, tensor in held.items():
        tensor.detach().copy_(torch.from_numpy(arrays[name]))


def _tensors(branch: Branch, part: str) -> dict[str, Tensor]:
    if part == "heads":
        return dict(branch.head.named_parameters())
    if part == "moments":
        return dict(branch.standardised.named_buffers())
    if part == "fronts":
        return _floating(branch.front.state_dict())
    trained: dict[str, Tensor] = {
        name: p for name, p in branch.tail.named_parameters() if p.requires_grad
    }
    if part == "tails":
        return trained
    everything = _floating(branch.tail.state_dict(keep_vars=True))
    return {name: tensor for name, tensor in everything.items() if name not in trained}


def _floating(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out BatchNorm's integer batch counters, which mean nothing here."""
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def _prefixed(named: Mapping[str, Mapping[str, Tensor]]) -> dict[str, NDArray[Any]]:
    return {
        f"{architecture}/{name}": array
        for architecture, tensors in named.items()
        for name, array in _arrays(tensors).items()
    }
