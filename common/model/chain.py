"""A timm model taken apart into its chain of named stages, to be cut anywhere."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.errors import ConfigError, WeightsError
from common.study.network import Backbone

_CLASSIFIERS = ("fc", "classifier", "head", "last_linear")


def build_backbone(backbone: Backbone, weights: Mapping[str, NDArray[Any]] | None) -> nn.Module:
    """Build a timm model without classifier, in evaluation mode, float32.

    Args:
        backbone: architecture, constructor options, BatchNorm epsilon.
        weights: timm's tensors, any float dtype; None leaves torch's random initialisation.

    Raises:
        ConfigError: timm does not know the architecture or its options.
        WeightsError: the tensors do not fit the architecture.
    """
    options: dict[str, Any] = dict(backbone.options)
    try:
        model: nn.Module = timm.create_model(
            backbone.architecture, pretrained=False, num_classes=0, **options
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"timm cannot build {backbone.architecture!r} with options {options}",
            fix="name a model that `timm.list_models()` lists, with options it takes",
            local_detail=str(error),
        ) from error
    if backbone.batch_norm_eps is not None:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = backbone.batch_norm_eps
    if weights is not None:
        tensors = {name: torch.from_numpy(array).float() for name, array in weights.items()}
        missing, unexpected = _load(model, tensors, backbone.architecture)
        if missing or unexpected:
            raise WeightsError(
                f"the weights do not fit {backbone.architecture}: {len(missing)} tensors are "
                f"missing, {len(unexpected)} unknown",
                fix="use weights with timm's tensor names and no classifier",
                local_detail=", ".join([*missing, *unexpected][:20]),
            )
    return model.eval()


def _load(
    model: nn.Module, tensors: Mapping[str, Tensor], architecture: str
) -> tuple[list[str], list[str]]:
    try:
        result = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:  # shapes differ
        raise WeightsError(
            f"the weights do not fit {architecture}: a tensor has another shape",
            fix="use the weights of the same architecture and options",
            local_detail=str(error),
        ) from error
    missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
    return missing, list(result.unexpected_keys)


def stages(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """List a model's stages in the order in which an image passes them.

    A child that is a plain sequence of blocks is opened, so that `blocks.3` can be a cut. The
    last stage yields the pooled features (n, features).
    """
    chain: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        if name in _CLASSIFIERS and isinstance(child, nn.Identity):
            continue
        if type(child) is nn.Sequential:
            chain += [(f"{name}.{inner}", block) for inner, block in child.named_children()]
        else:
            chain.append((name, child))
    return chain


def cut(model: nn.Module, backbone: Backbone) -> tuple[nn.Sequential, nn.Sequential]:
    """Cut a model behind stage `backbone.cut` into a frozen front and a tail.

    Stage names become module names, dots as underscores.

    Raises:
        ConfigError: no stage has this name, or nothing would be left to train.
    """
    chain = stages(model)
    names = [name for name, _ in chain]
    if backbone.cut not in names:
        raise ConfigError(
            f"{backbone.architecture} has no stage {backbone.cut!r} to cut behind",
            fix=f"choose one of {', '.join(names)}",
        )
    position = names.index(backbone.cut) + 1
    front, tail = (
        nn.Sequential(OrderedDict((name.replace(".", "_"), module) for name, module in part))
        for part in (chain[:position], chain[position:])
    )
    if not any(True for _ in tail.parameters()):
        raise ConfigError(
            f"{backbone.architecture} cut behind {backbone.cut!r} leaves nothing to train",
            fix="cut at an earlier stage",
        )
    return front, tail


@torch.inference_mode()
def check_is_chain(model: nn.Module, backbone: Backbone, size: int) -> None:
    """Run one random image through the model and through its cut chain, and compare.

    Raises:
        ConfigError: the model is not a plain chain of stages, or the images are too small for it.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, size, size, generator=generator) * 2 - 1
    front, tail = cut(model, backbone)
    try:
        whole = model(image)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{backbone.architecture} cannot take images of {size} x {size} pixels",
            fix="raise imaging.size in the study; most ImageNet backbones need 75 or more",
            local_detail=str(error),
        ) from error
    try:
        same = torch.allclose(tail(front(image)), whole, rtol=1e-4, atol=1e-5)
    except (RuntimeError, TypeError):
        same = False
    if not same:
        raise ConfigError(
            f"{backbone.architecture} is not a plain chain of stages",
            fix="choose a model whose forward pass runs its children one after the other",
        )
