"""The model before the first round: branches with pre-trained or random weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.imaging.pipeline import prepare, to_model_input
from common.imaging.synthetic import calibration_smears
from common.initial_model import InitialModel
from common.model.chain import build_backbone, check_is_chain, cut
from common.model.network import (
    Branch,
    build_fusion,
    front_digest,
    fusion_arrays,
    load_branches,
    part_tensors,
    trained_arrays,
)
from common.model.weights import read_weights
from common.parts import Arrays
from common.seeds import seed_for
from common.shapes import ModelShapes, Shape
from common.study.network import Backbone
from common.study.schema import Study

BRANCH_PARTS = ("constants", "tails", "heads")
_CALIBRATION_IMAGES = 64


def build_branches(study: Study, weights: Path | None) -> list[Branch]:
    """Build every backbone with its weights, cut, and with a head of zeros.

    Args:
        study: names architectures, cuts and the kind of weights.
        weights: folder of pre-trained weights; None: the user's cache.

    Raises:
        ConfigError: an architecture or cut does not exist.
        WeightsError: weights are missing or not the agreed ones.
    """
    return [_branch(study, backbone, weights) for backbone in study.network.backbones]


def released_branches(study: Study, parts: Mapping[str, Arrays]) -> list[Branch]:
    """Build a study's backbones with the arrays of a release: no weights folder is needed.

    Args:
        study: the release's.
        parts: fronts, constants, tails, heads and moments.
    """
    branches = []
    for backbone in study.network.backbones:
        model = build_backbone(backbone, None)
        branches.append(_cut_branch(study, backbone, model))
    load_branches(branches, parts)
    return branches


def check_chains(study: Study) -> None:
    """Check that every backbone of a study can be cut where the study says.

    Raises:
        ConfigError: an architecture is unknown, no plain chain, or has no such stage.
    """
    for backbone in study.network.backbones:
        check_is_chain(build_backbone(backbone, None), backbone, study.imaging.size)


def initial_model(study: Study, branches: Sequence[Branch]) -> InitialModel:
    """Make the arrays of round 0 from freshly built branches; H1 and H2 from the study's seed.

    Raises:
        ConfigError: as in `check_chains`.
    """
    check_chains(study)
    with torch.random.fork_rng():
        torch.manual_seed(seed_for(study.seed, "initial fusion"))
        fusion = build_fusion(study, sum(branch.width for branch in branches))
    parts = {name: trained_arrays(branches, name) for name in BRANCH_PARTS}
    fronts = {branch.architecture: front_digest(branch) for branch in branches}
    activations = model_shapes(study).activations
    return InitialModel(parts | {"fusion": fusion_arrays(fusion)}, fronts, activations)


def model_shapes(study: Study) -> ModelShapes:
    """Return the shapes of a study's arrays, from its networks built without values.

    Raises:
        ConfigError: an architecture or cut does not exist.
    """
    with torch.device("meta"), torch.inference_mode():
        branches = [
            _cut_branch(study, backbone, build_backbone(backbone, None))
            for backbone in study.network.backbones
        ]
        fusion = build_fusion(study, sum(branch.width for branch in branches))
        image = torch.zeros(1, 3, study.imaging.size, study.imaging.size)
        activations = {b.architecture: tuple(b.front(image).shape[1:]) for b in branches}
    parts = {name: _shapes(part_tensors(branches, name)) for name in BRANCH_PARTS}
    return ModelShapes(parts | {"fusion": _shapes(dict(fusion.named_parameters()))}, activations)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Shape]:
    return {name: Shape("float32", tuple(tensor.shape)) for name, tensor in tensors.items()}


def _branch(study: Study, backbone: Backbone, folder: Path | None) -> Branch:
    if study.network.weights == "random":
        with torch.random.fork_rng():
            torch.manual_seed(seed_for(study.seed, "random weights", backbone.architecture))
            model = build_backbone(backbone, None)
        _calibrate(model, study)
    else:
        model = build_backbone(backbone, read_weights(study.network, backbone, folder))
    branch = _cut_branch(study, backbone, model)
    nn.init.zeros_(branch.head.weight)
    nn.init.zeros_(branch.head.bias)
    return branch


def _cut_branch(study: Study, backbone: Backbone, model: nn.Module) -> Branch:
    front, tail = cut(model, backbone)
    return Branch(backbone.architecture, front, tail, _width(model), len(study.labels.classes))


def _width(model: nn.Module) -> int:
    """Return how many pooled features a timm model has, without its classifier."""
    width: int = getattr(model, "head_hidden_size", None) or model.num_features  # type: ignore[assignment]
    return width


@torch.no_grad()
def _calibrate(model: nn.Module, study: Study) -> None:
    """Set BatchNorm statistics of random weights from generated smears.

    Frozen identity statistics would let activations explode or collapse with depth.
    """
    smears = calibration_smears(study.seed, _CALIBRATION_IMAGES, study.imaging.size)
    images = np.stack([prepare(smear, study.imaging) for smear in smears])
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    for batch in np.array_split(images, max(1, len(images) // 16)):
        model(torch.from_numpy(to_model_input(batch)))
    model.eval()
