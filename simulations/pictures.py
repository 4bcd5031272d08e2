"""What an arm shows its backbones: images prepared in one way, or nothing but a part of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from client.data.manifest import Example
from client.training.augment import augmentation_digest, view
from common.errors import DataError
from common.imaging.decode import decode
from common.imaging.pipeline import preparation_digest, prepare
from common.imaging.segmentation import nuclei
from common.study.augmentation import Augmentation
from common.study.imaging import Crop, Imaging, Nuclei, Rectangle
from common.study.phases import BackbonesPhase, Balance
from common.study.schema import Study

Image = NDArray[np.uint8]
Change = Callable[[Image], Image]

UNVARIED = Augmentation(quarter_turns=False, flips=False, stain_gain=0, stain_shift=0)
MOST_VIEWS = 8
# The lower right corner, where Taleqani's cameras burned in their scale bars, at 224 x 224 pixels:
# wide enough for the largest one.
SCALE_BAR = Rectangle(top=1 - 32 / 224, bottom=1, left=1 - 38 / 224, right=1)


@dataclass(frozen=True)
class Arm:
    """One way to prepare images, to vary further views of them, and to balance the classes."""

    imaging: Imaging
    augmentation: Augmentation = UNVARIED
    views: int = 1
    balance: Balance = "none"

    def settings(self) -> dict[str, JsonValue]:
        """Return the arm as plain data, with digests that change when its pictures do."""
        return {
            "imaging": self.imaging.model_dump(mode="json"),
            "augmentation": self.augmentation.model_dump(mode="json"),
            "views": self.views,
            "balance": self.balance,
            "pictures": [preparation_digest(self.imaging), augmentation_digest(self.augmentation)],
        }

    def picture(self, number: int, seed: int) -> Callable[[Example], Image]:
        """Return what draws view `number` of an image."""

        def draw(example: Example) -> Image:
            image = prepare(read_image(example), self.imaging)
            return view(image, number, self.augmentation, seed, example.digest)

        return draw

    def name_of(self, number: int, seed: int) -> list[JsonValue]:
        """Return what identifies view `number` of an image, beside the image."""
        prepared = preparation_digest(self.imaging)
        if number == 0:
            return [prepared]
        return [prepared, augmentation_digest(self.augmentation), seed, number]


def arms(study: Study) -> dict[str, Arm]:
    """List the arms of an ablation: each changes one thing of `plain`; `default` is the study."""
    plain = Imaging(size=study.imaging.size, contrast="none")
    views = study.phase(BackbonesPhase).views
    usual = study.augmentation
    return {
        "plain": Arm(plain),
        **{name: Arm(_changed(plain, **changes)) for name, changes in _preparations().items()},
        **{
            name: Arm(plain, _varied(**changes), views=2)
            for name, changes in _augmentations(usual).items()
        },
        **{f"all usual, {n} views": Arm(plain, usual, n) for n in (2, 4, MOST_VIEWS)},
        "balanced by weights": Arm(plain, balance="weights"),
        "balanced by augmentation": Arm(plain, usual, MOST_VIEWS, "augmentation"),
        "default, 1 view": Arm(study.imaging),
        "default with reinhard, 1 view": Arm(_changed(study.imaging, stain="reinhard")),
        "default": Arm(study.imaging, usual, views),
    }


def _preparations() -> dict[str, dict[str, Any]]:
    return {
        "crop": {"crop": Crop(bottom=0.143)},
        "mask": {"mask": (SCALE_BAR,)},
        "scale bar found": {"scale_bar": "inpaint"},
        "cleaned": {"clean": "specks"},
        "white balance": {"stain": "white_balance"},
        "reinhard": {"stain": "reinhard"},
        "macenko": {"stain": "macenko"},
        "clahe": {"contrast": "clahe"},
        "camsr": {"contrast": "camsr"},
        "white balance, camsr": {"stain": "white_balance", "contrast": "camsr"},
        "reinhard, camsr": {"stain": "reinhard", "contrast": "camsr"},
    }


def _augmentations(usual: Augmentation) -> dict[str, dict[str, Any]]:
    return {
        "quarter turns": {"quarter_turns": True},
        "flips": {"flips": True},
        "rotation": {"rotation": 20.0},
        "panning": {"panning": 0.1},
        "zoom": {"zoom": 0.2},
        "emboss": {"emboss": 0.5},
        "stain jitter": {
            "stain_gain": usual.stain_gain or 0.08, "stain_shift": usual.stain_shift or 0.02,
        },
    }  # fmt: skip


def _changed(imaging: Imaging, **changes: Any) -> Imaging:
    return Imaging.model_validate(dict(imaging) | changes)


def _varied(**changes: Any) -> Augmentation:
    return Augmentation.model_validate(dict(UNVARIED) | changes)


def read_image(example: Example) -> Image:
    """Decode an image as it is on disk, uint8 (height, width, 3), RGB.

    Raises:
        DataError: it is gone, or cannot be decoded.
    """
    try:
        data = example.image.read_bytes()
    except OSError as error:
        raise DataError(
            f"an image cannot be read from disk ({type(error).__name__})",
            fix="put it back, or remove it from the manifest",
            local_detail=str(error),
        ) from error
    return decode(data)


def background_only(image: Image, thresholds: Nuclei) -> Image:
    """Paint nuclei with the mean colour of all that is none: no nucleus is left to look at."""
    mask = nuclei(image, thresholds)
    rest = image[~mask] if not mask.all() else image.reshape(-1, 3)
    return _painted(image, mask, rest.mean(axis=0))


def nuclei_only(image: Image, thresholds: Nuclei) -> Image:
    """Paint everything but nuclei white."""
    return _painted(image, ~nuclei(image, thresholds), np.full(3, 255.0))


def corner(image: Image) -> Image:
    """Cut out the lower right corner, 24 x 34 of 224 x 224 pixels, where a scale bar lies."""
    height, width = image.shape[:2]
    return image[height - round(height * 24 / 224) :, width - round(width * 34 / 224) :]


def _painted(image: Image, where: NDArray[np.bool_], colour: NDArray[np.float64]) -> Image:
    painted = image.copy()
    painted[where] = np.rint(colour).astype(np.uint8)
    return painted
