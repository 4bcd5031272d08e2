"""One image at every step of its preparation, side by side: figure 4 of Khan et al. 2025."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from client.training.augment import view
from common.imaging.pipeline import Step, steps
from common.imaging.reduced import reduced
from common.imaging.segmentation import nuclei
from common.study.augmentation import Augmentation
from common.study.imaging import Crop, Imaging

EVERY_STEP = Imaging(
    clean="specks", crop=Crop(to="field"), scale_bar="inpaint", stain="white_balance"
)
"""Settings that show what each step does."""
EVERY_VARIATION = Augmentation(rotation=180, panning=0.08, zoom=0.15, emboss=0.25)
"""Settings that show what each variation does."""

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_COLUMNS = 5
_LONGEST = 900  # pixels of a panel, more than it is printed with
_INK, _MUTED, _OUTLINE = "#1b1b1b", "#6b6b6b", "#00a651"


@dataclass(frozen=True)
class Panel:
    """One picture of the figure.

    Args:
        title: what was done.
        note: what came of it, in a few words.
        image: uint8 (height, width, 3), RGB.
        outlined: bool (height, width): what is outlined in it; None: nothing.
        is_off: whether the study leaves this step out.
    """

    title: str
    note: str
    image: Image
    outlined: Mask | None = None
    is_off: bool = False


def panels(
    image: Image, imaging: Imaging, augmentation: Augmentation, seed: int, key: str
) -> list[Panel]:
    """Prepare an image and keep a picture of it at every step, then two augmented views.

    Args:
        image: as decoded, uint8 (height, width, 3), RGB.
        imaging: the study's.
        augmentation: the study's.
        seed: the study's.
        key: the image's digest; the views are those that training would see.
    """
    at: dict[Step, Image] = dict(steps(image, imaging))
    height, width = image.shape[:2]
    prepared = at["resize"]
    found = nuclei(at["mask"], imaging.nuclei)
    pieces = cv2.connectedComponents(found.astype(np.uint8))[0] - 1
    painted = (at["mask"] != at["crop"]).any(axis=2)
    lone = int((at["clean"] != at["original"]).any(axis=2).sum())
    cropped = at["crop"].shape[:2]
    return [
        Panel("Original", f"{width} x {height} pixels", image),
        Panel(
            "Cleaned", f"{lone} lone pixel{'' if lone == 1 else 's'} replaced", at["clean"],
            is_off=imaging.clean == "none",
        ),
        Panel(
            "Cropped", f"{cropped[1]} x {cropped[0]} pixels left", at["crop"],
            is_off=imaging.crop == Crop(),
        ),
        Panel(
            "Masked", f"{painted.mean():.1%} painted over", at["mask"], painted,
            is_off=not imaging.mask and imaging.scale_bar == "keep" and imaging.crop.to != "field",
        ),
        Panel(
            "Stain normalised", imaging.stain.replace("_", " "), at["stain"],
            is_off=imaging.stain == "none",
        ),
        Panel(
            "Contrast", {"camsr": "CAMSR", "clahe": "CLAHE"}.get(imaging.contrast, ""),
            at["contrast"], is_off=imaging.contrast == "none",
        ),
        Panel("The network's input", f"{imaging.size} x {imaging.size} pixels", prepared),
        *(
            Panel(f"Augmented view {number}", "training images only",
                  view(prepared, number, augmentation, seed, key))
            for number in (1, 2)
        ),
        Panel(
            "Nuclei by colour", f"{pieces} found, {found.mean():.0%} of the area; "
            "for inspection only", at["mask"], found,
        ),
    ]  # fmt: skip


def caption(imaging: Imaging, augmentation: Augmentation) -> str:
    """Say in one line which settings made the figure; what is at its usual value is left out."""
    told = {
        "clean": imaging.clean,
        "crop": _differing(imaging.crop, Crop()),
        "mask": f"{len(imaging.mask)} rectangles" if imaging.mask else "none",
        "scale_bar": imaging.scale_bar,
        "stain": imaging.stain,
        "contrast": imaging.contrast,
        "size": str(imaging.size),
        "augmentation": _differing(augmentation, Augmentation()),
    }
    return "   ".join(f"{name}: {value}" for name, value in told.items())


def draw(shown: Sequence[Panel], below: str) -> Figure:
    """Lay panels out in two rows, with one line below them.

    Args:
        shown: the panels, in order.
        below: the line.
    """
    rows = -(-len(shown) // _COLUMNS)
    figure = Figure(
        figsize=(2.75 * _COLUMNS, 3.2 * rows + 0.35),
        layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.09),
    )
    places = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for number, (place, panel) in enumerate(zip(places, shown, strict=False)):
        _show(place, panel, "abcdefghijklmnopqrstuvwxyz"[number])
    for place in places[len(shown) :]:
        place.set_axis_off()
    figure.supxlabel(below, fontsize=8, color=_MUTED)
    return figure


def _show(place: Axes, panel: Panel, letter: str) -> None:
    place.imshow(reduced(panel.image, _LONGEST), interpolation="lanczos")
    if panel.outlined is not None and panel.outlined.any():
        outlined = panel.outlined.astype(np.uint8) * 255
        levels = reduced(outlined[:, :, None], _LONGEST).reshape(
            reduced(panel.image, _LONGEST).shape[:2]
        )
        place.contour(levels, levels=[127], colors=_OUTLINE, linewidths=1.1)
    place.set_xticks([])
    place.set_yticks([])
    place.set_anchor("N")
    place.set_title(
        f"{letter}  {panel.title}", loc="left", fontsize=10.5, pad=4,
        color=_MUTED if panel.is_off else _INK, fontweight="normal" if panel.is_off else "bold",
    )  # fmt: skip
    place.set_xlabel("switched off" if panel.is_off else panel.note, fontsize=8.5, color=_MUTED)
    for spine in place.spines.values():
        spine.set(color="#c8c8c8", linewidth=0.6)


def _differing(settings: Crop | Augmentation, usual: Crop | Augmentation) -> str:
    before = usual.model_dump()
    told = [f"{k} {v}" for k, v in settings.model_dump().items() if v != before[k]]
    return ", ".join(told) or ("none" if isinstance(settings, Crop) else "usual")
