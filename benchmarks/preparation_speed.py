"""Milliseconds of every step from an encoded image to a view, for a small and a large image.

A generated smear is saved as JPEG at 224 x 224 and, enlarged, at 5472 x 3648 (20 megapixels), and
each step is timed on one thread, in milliseconds of the processor: the median of several calls.
Below stands the whole preparation with the default settings and with everything switched on, and
the most memory that it took for the large image, besides the image (Linux alone tells it).

    python -m benchmarks.preparation_speed
"""

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import forget_peak, peak_bytes, resident_bytes
from benchmarks.ledger import Figure, enter, parser
from client.training.augment import view
from common.imaging.contrast import camsr, clahe
from common.imaging.decode import decode
from common.imaging.field import box_of_nuclei, lit_field
from common.imaging.mask import inpainted, painted_over
from common.imaging.pipeline import prepare
from common.imaging.scale_bar import scale_bar
from common.imaging.specks import without_specks
from common.imaging.stain import macenko, reinhard, white_balance
from common.imaging.synthetic import calibration_smears
from common.study.augmentation import Augmentation
from common.study.imaging import Crop, Imaging

Image = NDArray[np.uint8]
SIZES = ((224, 224), (3648, 5472))
DEFAULT = Imaging()
ALL = Imaging(
    clean="specks", crop=Crop(bottom=0.05, to="field"), scale_bar="inpaint", stain="macenko"
)
VARIED = Augmentation(rotation=180, panning=0.1, zoom=0.2, emboss=0.3)


def main() -> None:
    """Time the steps and print them."""
    asked = parser(__doc__).parse_args()
    cv2.setNumThreads(1)
    figures = []
    images = {size: _photograph(*size) for size in SIZES}
    print(f"{'processor ms per image':32}" + "".join(f"{w} x {h:>6}".rjust(16) for h, w in SIZES))
    for name in _ways(images[SIZES[0]]):
        spent = [_milliseconds(_ways(images[size])[name], size) for size in SIZES]
        print(f"{name:32}" + "".join(f"{ms:16.2f}" for ms in spent))
        figures += [
            Figure(name=f"{name}, {width} x {height}", value=ms, unit="ms")
            for (height, width), ms in zip(SIZES, spent, strict=True)
            if name.startswith("prepare")
        ]
    for name, settings in (("default", DEFAULT), ("all steps", ALL)):
        grown = _megabytes(settings, images[SIZES[1]])
        figures.append(Figure(name=f"20 megapixels, memory, {name}", value=grown, unit="MB"))
    enter(asked, figures)


def _photograph(height: int, width: int) -> Image:
    smear = calibration_smears(1, 1, 448)[0]
    bar = cv2.resize(smear, (width, height), interpolation=cv2.INTER_CUBIC)
    line = max(1, height // 100)
    cv2.line(bar, (width // 2, height - 6 * line), (width - 20, height - 6 * line), (0, 0, 0), line)
    return np.asarray(bar, dtype=np.uint8)


def _ways(image: Image) -> dict[str, Callable[[], object]]:
    encoded = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
    bar = scale_bar(image)
    prepared = prepare(image, DEFAULT)
    return {
        "decode a JPEG": lambda: decode(encoded),
        "clean: specks": lambda: without_specks(image),
        "crop: field": lambda: lit_field(image),
        "crop: nuclei": lambda: box_of_nuclei(image, DEFAULT.nuclei, DEFAULT.size),
        "scale bar, found": lambda: scale_bar(image),
        "scale bar, painted": lambda: painted_over(image, bar),
        "scale bar, inpainted": lambda: inpainted(image, bar),
        "stain: white_balance": lambda: white_balance(image),
        "stain: reinhard": lambda: reinhard(image, DEFAULT.reinhard),
        "stain: macenko": lambda: macenko(image, DEFAULT.macenko),
        "contrast: clahe": lambda: clahe(image),
        "contrast: camsr": lambda: camsr(image),
        "a view, default": lambda: view(prepared, 1, Augmentation(), 1, "a"),
        "a view, every variation": lambda: view(prepared, 1, VARIED, 1, "a"),
        "prepare, default": lambda: prepare(image, DEFAULT),
        "prepare, all steps": lambda: prepare(image, ALL),
    }


def _milliseconds(work: Callable[[], object], size: tuple[int, int]) -> float:
    work()
    spent = []
    for _ in range(3 if size == SIZES[1] else 20):
        start = time.process_time()
        work()
        spent.append(1e3 * (time.process_time() - start))
    return statistics.median(spent)


def _megabytes(settings: Imaging, image: Image) -> float:
    """Prepare an image; return by how many MiB the process grew at most meanwhile."""
    prepare(image[:64, :64], settings)
    forget_peak()
    before = resident_bytes()
    prepare(image, settings)
    return (peak_bytes() - before) / 2**20


if __name__ == "__main__":
    main()
