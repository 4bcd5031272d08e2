"""The settings of the network: backbones, their cut, and the fusion block."""

import re
from typing import Literal

from pydantic import Field, model_validator

from common.study.strict import Strict

_FORBIDDEN = r"^(pretrained|checkpoint|cache|num_classes)|(^|_)(path|file|dir|url)$"


class Backbone(Strict):
    """One convolutional backbone: frozen up to `cut`, fine-tuned after it."""

    architecture: str = Field(pattern=r"^[a-z0-9_]+$")
    """Name of a timm model that is a plain chain of stages."""
    cut: str = Field(min_length=1)
    """Last frozen stage; what comes after it, the tail, is trained."""
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Keyword arguments for timm's constructor of this architecture."""
    batch_norm_eps: float | None = Field(default=None, gt=0)
    """BatchNorm epsilon the weights were trained with, where timm's default differs."""
    weights_digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 over the named tensors of the weights; null: whatever the sites agree on."""

    @model_validator(mode="after")
    def _names_no_file(self) -> "Backbone":
        forbidden = sorted(name for name in self.options if re.search(_FORBIDDEN, name))
        if forbidden:
            raise ValueError(f"options: a study names no file or download ({', '.join(forbidden)})")
        return self


class Network(Strict):
    """Two backbones, eq. 3-5 of Khan et al. 2025, and the dense fusion block, eq. 6-7."""

    backbones: tuple[Backbone, ...] = Field(
        default=(
            Backbone(architecture="inception_v3", cut="Mixed_7b", options={"aux_logits": False}),
            Backbone(architecture="legacy_xception", cut="block12", batch_norm_eps=1e-3),
        ),
        min_length=1,
    )
    """The backbones whose features are concatenated, in this order."""
    weights: Literal["imagenet", "bundled", "random"] = "imagenet"
    """`imagenet`: from the site's weights folder; `bundled`: the small synthetic-smear weights
    that ship with the package; `random`: from the study's seed, BatchNorm calibrated on
    generated smears."""
    batch_norm: Literal["frozen", "local"] = "frozen"
    """`frozen`: the tails' BatchNorm stays as the weights have it. `local`: every site trains its
    own, statistics included, which never leaves it (Li et al. 2021, FedBN). Features then differ
    from site to site, so such a study has no shared booster."""
    h1: int = Field(default=256, ge=2)
    """Width of the first dense layer, eq. 6."""
    h2: int = Field(default=128, ge=2)
    """Width of the second dense layer, eq. 7: the features the booster reads."""

    @model_validator(mode="after")
    def _architectures_differ(self) -> "Network":
        names = [backbone.architecture for backbone in self.backbones]
        if len(set(names)) < len(names):
            raise ValueError("each backbone must have another architecture")
        return self
