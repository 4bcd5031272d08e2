"""Images per second from file to model input, and the memory it takes, against plain OpenCV.

Plain: `cv2.imread`, resize, CLAHE on lightness, one image after another; OpenCV uses the cores as
it likes. Ours: decoded and checked, prepared with the default settings of a study, and a varied
view made; every core works on an image of its own, in order. Each way runs in a process of its own,
pinned to one core and then to two, one after another: only ratios of one run mean anything, and
those of CPU time (on one core) where other work went on beside it.

    python -m benchmarks.images [--data DIR]

The small images are those of DIR, or else generated; the larger ones are generated smears, saved as
JPEG. `kept` reads prepared images from the cache, as a second study does, and makes the view.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import peak_bytes
from benchmarks.ledger import Figure, enter, parser
from client.data.manifest import Example
from client.data.parallel import cores, in_order
from client.data.shelf import Shelf
from client.preparing import prepared, prepared_views
from client.training.augment import view
from common.digests import digest_file
from common.imaging.decode import IMAGE_SUFFIXES
from common.imaging.synthetic import calibration_smears
from common.study.schema import LabelSet, Study

STUDY = Study(
    name="benchmark", sites=("a",), quorum=1,
    labels=LabelSet(name="all", classes=("Benign", "Early", "Pre", "Pro")),
)  # fmt: skip
SIZE = STUDY.imaging.size
SIZES = {"small": (224, 224), "2 megapixels": (1224, 1632), "20 megapixels": (3648, 5472)}
COUNTS = {"small": 300, "2 megapixels": 30, "20 megapixels": 6}
Image = NDArray[np.uint8]


def main() -> None:
    """Print, for every size and way, images per second on one and two cores, and the peak."""
    made = parser(__doc__)
    made.add_argument("--data", type=Path, help="a folder of images, for the small ones")
    made.add_argument("--fewer", type=int, default=1, help="only 1/N of the images")
    made.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    wanted = made.parse_args()
    if wanted.child:
        way, number, folder = wanted.child
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(number)])
        cv2.setNumThreads(int(number))
        print(*_measured(WAYS[way], Path(folder)))
        return
    most, figures = min(2, cores()), []
    print(f"{'':14} {'':22} {'1 core':>10} {f'{most} cores':>10}   of plain  CPU/image      peak")
    with tempfile.TemporaryDirectory() as scratch:
        for kind in SIZES:
            folder = Path(scratch) / kind.replace(" ", "-")
            data = wanted.data if kind == "small" else None
            _filled(folder, kind, max(2, COUNTS[kind] // wanted.fewer), data)
            plain = 0.0
            for way in WAYS:
                (one, spent, _), (more, _, peak) = (
                    _child(way, number, folder) for number in (1, most)
                )
                plain = plain or more
                print(f"{kind:14} {way:22} {one:8.1f}/s {more:8.1f}/s {more / plain:8.2f} x"
                      f"{1000 * spent:8.1f} ms {peak / 1e6:6.0f} MB", flush=True)  # fmt: skip
                figures.append(Figure(name=f"{kind}, {way}, one core", value=one, unit="images/s"))
    enter(wanted, figures, "real" if wanted.data else "generated")


def _filled(folder: Path, kind: str, count: int, data: Path | None) -> None:
    folder.mkdir()
    if data is not None:
        files = sorted(p for p in data.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        for path in files[:: max(1, len(files) // count)][:count]:
            (folder / path.name).symlink_to(path.resolve())
        return
    height, width = SIZES[kind]
    for number, smear in enumerate(calibration_smears(3, count, 224)):
        large = cv2.resize(smear, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:04}.jpg"), large[..., ::-1])


def _child(way: str, number: int, folder: Path) -> tuple[float, ...]:
    command = [sys.executable, "-m", "benchmarks.images", "--child", way, str(number), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def _measured(way: Callable[[Sequence[Example]], object], folder: Path) -> tuple[float, ...]:
    """Return images per second, seconds of CPU per image, and the most memory held, in bytes."""
    examples = [
        Example(path, 0, path.name, digest=digest_file(path)) for path in sorted(folder.iterdir())
    ]
    begin = _prepared_before if way is _kept else _nothing_before
    begin(examples)
    way(examples[:1])  # the first one pays for what is loaded once
    start, cpu = time.perf_counter(), time.process_time()
    way(examples)
    spent, cpu = time.perf_counter() - start, time.process_time() - cpu
    return len(examples) / spent, cpu / len(examples), peak_bytes()


def _plain(examples: Sequence[Example]) -> None:
    clahe = cv2.createCLAHE(2.0, (8, 8))
    for example in examples:
        read = cv2.imread(str(example.image))
        if read is None:
            raise ValueError(f"OpenCV cannot read {example.image}")
        image = cv2.resize(read, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
        lab[:, :, 0] = clahe.apply(np.ascontiguousarray(lab[:, :, 0]))
        cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _ours(contrast: str, *, with_view: bool) -> Callable[[Sequence[Example]], None]:
    imaging = STUDY.imaging.model_copy(update={"contrast": contrast})

    def made(example: Example) -> Image:
        image = prepared(example, imaging)
        if with_view:
            return view(image, 1, STUDY.augmentation, STUDY.seed, example.digest)
        return image

    def work(examples: Sequence[Example]) -> None:
        for _ in in_order(made, examples):
            pass

    return work


def _shelf(examples: Sequence[Example]) -> Shelf:
    folder = examples[0].image.parent.with_suffix(".kept")
    return Shelf(folder, (SIZE, SIZE, 3), np.uint8)


def _nothing_before(examples: Sequence[Example]) -> None:
    """Nothing has to be there."""


def _prepared_before(examples: Sequence[Example]) -> None:
    shelf = _shelf(examples)
    wanted = [(example, 0) for example in examples if example.digest not in shelf]
    for _ in prepared_views(wanted, STUDY, shelf, 16, keep=True):
        pass


def _kept(examples: Sequence[Example]) -> None:
    wanted = [(example, 1) for example in examples]
    for _ in prepared_views(wanted, STUDY, _shelf(examples), 16, keep=False):
        pass


WAYS: dict[str, Callable[[Sequence[Example]], None]] = {
    "plain OpenCV: CLAHE": _plain,
    "ours: no contrast": _ours("none", with_view=False),
    "ours: CLAHE": _ours("clahe", with_view=False),
    "ours: CAMSR": _ours("camsr", with_view=False),
    "ours: CAMSR, a view": _ours("camsr", with_view=True),
    "ours: kept, a view": _kept,
}


if __name__ == "__main__":
    main()
