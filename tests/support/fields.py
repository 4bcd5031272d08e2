"""Fields of one generated laboratory, and the ways in which they can be spoilt."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.synthetic import PROFILES, SiteStyle, draw_patient, smear_field
from common.seeds import stream

Image = NDArray[np.uint8]
STYLE = SiteStyle(
    stains=((0.72, 1.10, 0.42), (0.36, 0.28, 0.08), (0.10, 0.34, 0.26)),
    light=(0.93, 0.92, 0.93),
    vignette=0.05,
    scale=1.0,
    blur=0.5,
    noise=2.0,
    jpeg=92,
    red_cells=12,
)


def draw(number: int, *, dye: tuple[float, float, float] = (1, 1, 1), scale: float = 1.0) -> Image:
    """Draw a field, uint8 (224, 224, 3); `dye` scales that of nucleus, cytoplasm, red cell."""
    generator = stream(1, "quality", number)
    patient = draw_patient(generator, PROFILES[0])
    stain = tuple(own * factor for own, factor in zip(patient.stain, dye, strict=True))
    patient = replace(patient, stain=(stain[0], stain[1], stain[2]))
    return smear_field(generator, patient, replace(STYLE, scale=scale), 224)


def blurred(number: int) -> Image:
    return np.asarray(cv2.GaussianBlur(draw(number), (0, 0), 2.5), np.uint8)


def gained(number: int, *factors: float) -> Image:
    return np.asarray(np.clip(draw(number) * np.array(factors), 0, 255), np.uint8)


def barred(number: int) -> Image:
    """Draw a field with a black bar near its lower edge."""
    image = draw(number)
    cv2.rectangle(image, (170, 208), (210, 211), (0, 0, 0), cv2.FILLED)
    return image


def lettered(number: int, colour: tuple[int, int, int] = (0, 0, 0)) -> Image:
    """Draw a field with a line of text near its upper edge."""
    image = draw(number)
    cv2.putText(image, "20 um", (8, 16), cv2.FONT_HERSHEY_PLAIN, 0.8, colour, 1, cv2.LINE_8)
    return image


def packed(image: Image, quality: int = 90) -> Image:
    """Pass an image through JPEG."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()


SPOILT: dict[str, tuple[str, Callable[[int], Image]]] = {
    "blur": ("out of focus", blurred),
    "half the light": ("under-exposed", lambda number: gained(number, 0.5, 0.5, 0.5)),
    "half as much light again": ("over-exposed", lambda number: gained(number, 1.5, 1.5, 1.5)),
    "a twelfth of the dye": (
        "hardly stained", lambda number: draw(number, dye=(0.08, 0.08, 0.08))
    ),
    "another dye": ("stain of another hue", lambda number: turned(number)),
    "red cells only": ("empty field", lambda number: draw(number, dye=(0, 0, 1))),
    "bar": ("burnt-in mark", barred),
    "text": ("burnt-in mark", lettered),
    "text, as JPEG": ("burnt-in mark", lambda number: packed(lettered(number))),
    "red text, as JPEG": (
        "burnt-in mark", lambda number: packed(lettered(number, (200, 40, 40)))
    ),
    "yellow light": ("colour cast", lambda number: gained(number, 1.02, 0.97, 0.8)),
    "twice the magnification": ("other magnification", lambda number: draw(number, scale=2.0)),
    "half the magnification": ("other magnification", lambda number: draw(number, scale=0.5)),
}  # fmt: skip


def turned(number: int) -> Image:
    """Turn the hue of what is purple towards magenta, by 40 degrees."""
    image = draw(number)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    purple = (hsv[..., 0] > 115) & (hsv[..., 0] < 150)
    hsv[..., 0][purple] += 20
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
