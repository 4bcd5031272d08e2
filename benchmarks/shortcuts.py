"""What gives a class away without a look at a cell: colour, scale bar, background.

On the same folds as benchmarks/preparation.py, and on folds that divide images one by one (leaky:
slides lie on both sides), each with the images as they are and as the study prepares them:

- colour: 24 statistics, logistic regression; neither shape nor texture.
- corner: the pixels of the lower right corner, where the scale bar lies.
- background: frozen features of one backbone, nuclei painted over with the background's colour.
- nuclei: the same, everything but nuclei painted white.
- whole image: the same, nothing painted over.

Nuclei are found by colour, and not perfectly: a little of each is left in the other's picture, and
an outline follows the stain. Read both as what a network could use, not as what morphology is worth.

    python benchmarks/shortcuts.py --data DIR --weights DIR --out shortcuts.json
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from client.data.manifest import Example
from common.imaging.colour import colour_statistics
from common.imaging.pipeline import preparation_digest, prepare
from common.study.imaging import Imaging
from common.study.schema import Study
from simulations.baselines import colour_only, linear_probe
from simulations.frozen import FrozenFeatures, opened
from simulations.pictures import background_only, corner, nuclei_only, read_image
from simulations.probes import Fit, Rows, probed
from simulations.scenario import load_scenario
from simulations.screening import Account, Ground, read_ground, row

Image = NDArray[np.uint8]
REGIONS: Mapping[str, Callable[[Image, Imaging], Image]] = {
    "whole image": lambda image, _: image,
    "background": lambda image, imaging: background_only(image, imaging.nuclei),
    "nuclei": lambda image, imaging: nuclei_only(image, imaging.nuclei),
}
_CORNER = (24, 34)


def main() -> None:
    """Print a line per shortcut, preparation and kind of folds."""
    wanted = _parser().parse_args()
    console = Console(highlight=False, soft_wrap=True)
    scenario, study = load_scenario(wanted.scenario)
    # One backbone says as much here as two: the wider one of the paper's pair, the last.
    study = study.model_copy(
        update={"network": study.network.model_copy(
            update={"backbones": study.network.backbones[-1:]})}
    )  # fmt: skip
    ground = read_ground(
        wanted.data / scenario.data.manifest,
        study.labels.classes,
        scenario.partition.together,
        folds=wanted.folds,
        divisions=wanted.divisions,
        images=wanted.images,
    )
    if wanted.sheet:
        write_sheet(wanted.sheet, ground, study.imaging)
        return
    grounds = {"": ground, ", leaky": ground.leaky()}
    accounts = {
        kind: Account(wanted.out and wanted.out.with_stem(f"{wanted.out.stem}{kind[2:]}"), one)
        for kind, one in grounds.items()
    }
    console.print(*(str(one) for one in grounds.values()), sep="\n")
    with (
        opened(study, wanted.weights, wanted.cache, wanted.cache_gb) as backbones,
        Progress(console=console, transient=True) as bar,
    ):
        task = bar.add_task("pictures", total=None)
        features = FrozenFeatures(
            backbones, lambda done, of: bar.update(task, completed=done, total=of)
        )
        for name, (imaging, rows, fit) in _inputs(study, ground, features).items():
            bar.update(task, description=name)
            settings = imaging.model_dump(mode="json")
            found: Rows | None = None
            for kind, one in grounds.items():
                if not accounts[kind].holds(name, settings):
                    start = time.perf_counter()
                    found = rows() if found is None else found
                    predicted = probed(one, [found], fit)
                    accounts[kind].add(name, settings, predicted, time.perf_counter() - start)
                console.print(row(f"{name}{kind}", accounts[kind].score(name)))


def _inputs(
    study: Study, ground: Ground, features: FrozenFeatures
) -> dict[str, tuple[Imaging, Callable[[], Rows], Fit]]:
    """Name every shortcut: how images are prepared, what is read of them, and by which baseline."""
    plain = Imaging(size=study.imaging.size, contrast="none")
    found: dict[str, tuple[Imaging, Callable[[], Rows], Fit]] = {}
    for how, imaging in {"as they are": plain, "prepared": study.imaging}.items():
        found[f"colour, {how}"] = (
            imaging, lambda i=imaging: _each(ground, i, colour_statistics), colour_only,
        )  # fmt: skip
        found[f"corner, {how}"] = (
            imaging, lambda i=imaging: _each(ground, i, _corner_pixels), linear_probe,
        )  # fmt: skip
        for region, change in REGIONS.items():
            what = ["region", region, study.imaging.nuclei.model_dump(mode="json"),
                    preparation_digest(imaging)]  # fmt: skip
            found[f"{region}, {how}"] = (
                imaging,
                lambda i=imaging, c=change, w=what: features.of(
                    ground.examples, w, lambda example: _picture(example, i, c)
                ),
                linear_probe,
            )
    return found
