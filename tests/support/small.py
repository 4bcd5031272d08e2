"""Builders of studies over the small bundled backbones, and of images for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2

from client.data.manifest import Example
from common.digests import digest_file
from common.imaging.synthetic import calibration_smears
from common.study.imaging import Imaging
from common.study.network import Backbone, Network
from common.study.schema import LabelSet, Study

PAIR = (
    Backbone(architecture="test_byobnet", cut="stages.2"),
    Backbone(architecture="starnet_s050", cut="stages.2"),
)


def small_study(
    weights: Literal["bundled", "random"] = "bundled",
    backbones: Sequence[Backbone] = PAIR,
    size: int = 64,
    **changes: Any,
) -> Study:
    """Build a study of the four classes; `changes` replace its other settings."""
    settings: dict[str, Any] = {
        "name": "small",
        "sites": ("north", "south"),
        "quorum": 1,
        "labels": LabelSet(name="four", classes=("Benign", "Early", "Pre", "Pro")),
        "imaging": Imaging(size=size),
        "network": Network(backbones=tuple(backbones), weights=weights, h1=8, h2=4),
    }
    return Study(**(settings | changes))


def write_smears(folder: Path, count: int, size: int = 80) -> list[Example]:
    """Write generated smears as PNG, and return them as scanned examples of their own groups."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for number, image in enumerate(calibration_smears(3, count, size)):
        path = folder / f"{number:03}.png"
        cv2.imwrite(str(path), image[..., ::-1])
        examples.append(Example(path, number % 4, f"group {number}", digest=digest_file(path)))
    return examples
