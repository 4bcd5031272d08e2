"""What gives a class away without a look at a cell: colour, scale bar, background.

On the same folds as benchmarks/preparation.py, and on folds that divide images one by one (leaky:
slides lie on both sides), each with the images as they are and as the study prepares them:

- colour: 24 statistics, logistic regression; neither shape nor texture.
- corner: the pixels of the lower right corner, where the scale bar lies.
- background: frozen features of one backbone, nuclei painted over with the background's colour.
- nuclei: the same, everything but nuclei painted white.
- whole image: the same, nothing painted over.

Nuclei are found by colour, and not perfectly: a rim of many is left in the background, and an
outline follows the stain. Read both as what a network could use, not as what morphology is worth.

    python -m benchmarks.shortcuts --data DIR --weights DIR --out shortcuts.json
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console
from rich.progress import Progress

from client.data.manifest import Example
from common.imaging.colour import colour_statistics
from common.imaging.pipeline import preparation_digest, prepare
from common.study.imaging import Imaging, Nuclei
from common.study.schema import Study
from simulations.baselines import colour_only, linear_probe
from simulations.frozen import FrozenFeatures, opened
from simulations.pictures import background_only, corner, nuclei_only, read_image
from simulations.probes import Fit, Rows, probed
from simulations.scenario import load_scenario
from simulations.screening import Account, Ground, read_ground, row, screening_parser

Image = NDArray[np.uint8]
REGIONS: Mapping[str, Callable[[Image, Nuclei], Image]] = {
    "whole image": lambda image, _: image,
    "background": background_only,
    "nuclei": nuclei_only,
}


@dataclass(frozen=True)
class Shortcut:
    """What is read of every image, once prepared, and the baseline that is fitted to it."""

    imaging: Imaging
    rows: Callable[[], Rows]
    fit: Fit


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line per shortcut, preparation and kind of folds."""
    wanted = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    scenario, study = load_scenario(wanted.scenario)
    # One backbone says as much here as two: the wider one of the paper's pair, the last.
    study = study.model_copy(
        update={"network": study.network.model_copy(
            update={"backbones": study.network.backbones[-1:]})}
    )  # fmt: skip
    ground = read_ground(
        wanted.data / "manifest.csv",
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
    files = {"": wanted.out, ", leaky": wanted.out and wanted.out.with_suffix(".leaky.json")}
    accounts = {kind: Account(files[kind], one) for kind, one in grounds.items()}
    console.print(*(str(one) for one in grounds.values()), sep="\n")
    with (
        opened(study, wanted.weights, wanted.cache, wanted.cache_gb) as backbones,
        Progress(console=console, transient=True) as bar,
    ):
        task = bar.add_task("pictures", total=None)
        features = FrozenFeatures(
            backbones, lambda done, of: bar.update(task, completed=done, total=of)
        )
        for name, shortcut in shortcuts(study, ground, features).items():
            bar.update(task, description=name)
            settings: JsonValue = [
                shortcut.imaging.model_dump(mode="json"), preparation_digest(shortcut.imaging),
                study.imaging.nuclei.model_dump(mode="json"),
            ]  # fmt: skip
            if not all(account.holds(name, settings) for account in accounts.values()):
                start = time.perf_counter()
                rows = shortcut.rows()
                for kind, account in accounts.items():
                    predicted = probed(grounds[kind], [rows], shortcut.fit)
                    account.add(name, settings, predicted, time.perf_counter() - start)
            for kind, account in accounts.items():
                console.print(row(f"{name}{kind}", account.score(name)))


def shortcuts(study: Study, ground: Ground, features: FrozenFeatures) -> dict[str, Shortcut]:
    """Name every shortcut, with the images as they are and as the study prepares them."""
    found: dict[str, Shortcut] = {}
    plain = Imaging(size=study.imaging.size, contrast="none")
    for how, imaging in {"as they are": plain, "prepared": study.imaging}.items():
        each = partial(_each, ground, imaging)
        found[f"colour, {how}"] = Shortcut(imaging, partial(each, colour_statistics), colour_only)
        found[f"corner, {how}"] = Shortcut(imaging, partial(each, _corner_pixels), linear_probe)
        for region in REGIONS:
            draw = partial(_picture, region=region, imaging=imaging, nuclei=study.imaging.nuclei)
            what: list[JsonValue] = [
                region, study.imaging.nuclei.model_dump(mode="json"), preparation_digest(imaging),
            ]  # fmt: skip
            rows = partial(features.of, ground.examples, what, draw)
            found[f"{region}, {how}"] = Shortcut(imaging, rows, linear_probe)
    return found


def _picture(example: Example, *, region: str, imaging: Imaging, nuclei: Nuclei) -> Image:
    return prepare(REGIONS[region](read_image(example), nuclei), imaging)


def _each(
    ground: Ground, imaging: Imaging, read: Callable[[Image], NDArray[np.float64]]
) -> NDArray[np.float64]:
    return np.stack([read(prepare(read_image(e), imaging)) for e in ground.examples])


def _corner_pixels(image: Image) -> NDArray[np.float64]:
    """Return the pixels of the corner, float64, at the size it has in an image of 224 pixels."""
    cut = cv2.resize(corner(image), (34, 24), interpolation=cv2.INTER_AREA)
    return np.asarray(cut, dtype=np.float64).ravel()


def write_sheet(file: Path, ground: Ground, imaging: Imaging) -> None:
    """Draw six images of all classes as they are, their parts, and these parts prepared."""
    images = [ground.examples[i] for i in np.linspace(0, len(ground.examples) - 1, 6).astype(int)]
    plain = Imaging(size=imaging.size, contrast="none")
    rows = [
        np.hstack([
            _picture(example, region=region, imaging=how, nuclei=imaging.nuclei)
            for example in images
        ])
        for how in (plain, imaging)
        for region in REGIONS
    ]  # fmt: skip
    cv2.imwrite(str(file), np.vstack(rows)[..., ::-1])


def _parser() -> argparse.ArgumentParser:
    parser = screening_parser(__doc__.splitlines()[0])
    add = parser.add_argument
    add("--sheet", type=Path, metavar="FILE.png", help="only draw the parts of some images")
    return parser


if __name__ == "__main__":
    main()
