"""How the time and memory of field finding grow, and how many known overlaps it finds.

Photographs are cut from larger generated smears, ten from each, turned by quarters, mirrored, lit
otherwise and saved again as JPEG; which of them overlap by how much is known. With --data the
images of a folder with a manifest are taken instead, and compared with its `field` column.

    python -m benchmarks.fields --images 1000 2000 5000 20000
    python -m benchmarks.fields --data ../shared/data/taleqani-dev

Each number of images is worked on in a process of its own, so that its memory is its own.
"""

import argparse
import csv
import multiprocessing
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from client.data.fields.columns import fields_of
from client.data.fields.finding import Found, digested, find_pairs
from client.data.fields.store import FieldStore
from client.data.manifest import Example
from common.imaging.synthetic import draw_patient, random_traits, site_style, smear_field
from common.seeds import stream

SIDE, TILE, TILES = 224, 112, 4
FROM_ONE = 10  # photographs of a smear
OVERLAPS = (0.2, 0.4, 0.6, 1.01)  # shares of a photograph: recall is told for each span
Corners = Mapping[Path, tuple[int, int, int]]  # smear, row, column of each photograph


def main() -> None:
    """Measure, and print a line per number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--data", type=Path, help="a folder with a manifest.csv that has fields")
    parser.add_argument("--workers", type=int, help="threads; by default one per core")
    wanted = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")
    if wanted.data is not None:
        _alone(fresh, partial(_real, wanted.data, wanted.workers))
    else:
        for count in wanted.images:
            _alone(fresh, partial(_generated, count, wanted.workers))


def _alone(fresh: multiprocessing.context.SpawnContext, work: partial[None]) -> None:
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        pool.submit(work).result()


def _generated(count: int, workers: int | None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        corners: dict[Path, tuple[int, int, int]] = {}
        for number in range(0, count, FROM_ONE):
            taken = min(FROM_ONE, count - number)
            corners |= _photographs(Path(scratch), number // FROM_ONE, taken)
        made = time.perf_counter() - start
        found = _timed(list(corners), Path(scratch) / "store", workers)
        print(f"  drawn in {made:.0f} s; {_recall(corners, found)}", flush=True)


def _photographs(folder: Path, smear: int, count: int) -> Corners:
    generator = stream(5, "benchmark", "fields", smear)
    style, patient = site_style(generator), draw_patient(generator, random_traits(generator))
    tiles = [smear_field(generator, patient, style, TILE) for _ in range(TILES**2)]
    slide = np.vstack([np.hstack(tiles[at : at + TILES]) for at in range(0, TILES**2, TILES)])
    corners = {}
    for number in range(count):
        row, column = generator.integers(0, TILE * TILES - SIDE, 2).tolist()
        picture = slide[row : row + SIDE, column : column + SIDE]
        picture = np.rot90(picture, int(generator.integers(4)))
        picture = picture[:, ::-1] if generator.random() < 0.2 else picture
        lit = picture * generator.uniform(0.8, 1.1) + generator.uniform(-10, 10)
        path = folder / f"{smear:05}-{number}.jpg"
        bgr = np.clip(lit, 0, 255).astype(np.uint8)[..., ::-1]
        cv2.imwrite(str(path), bgr, [int(cv2.IMWRITE_JPEG_QUALITY), 85])
        corners[path] = (smear, row, column)
    return corners


def _timed(images: Sequence[Path], store: Path, workers: int | None) -> Found:
    """Find pairs; print the seconds of each stage, and the most memory."""
    began: dict[str, tuple[float, float]] = {}
    ended: dict[str, tuple[float, float]] = {}
    amount: dict[str, int] = {}

    def watch(what: str, done: int, of: int) -> None:
        now = (time.perf_counter(), time.process_time())
        began.setdefault(what, now)
        ended[what], amount[what] = now, of

    opened = FieldStore(store)
    start = (time.perf_counter(), time.process_time())
    found = find_pairs(digested(images, watch, workers), opened, watch, workers)
    end = (time.perf_counter(), time.process_time())
    opened.close()
    wall, work = end[0] - start[0], end[1] - start[1]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    disk = sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) / 1e6
    print(
        f"{len(images)} images: {wall:.1f} s ({work:.1f} s of processor, "
        f"{1000 * work / len(images):.1f} ms an image), {most:.0f} MiB of memory, {disk:.0f} MB "
        f"of cache, {len(found.pairs)} pairs"
    )
    for what, (at, used) in began.items():
        seconds, spent = ended[what][0] - at, ended[what][1] - used
        print(f"  {what:16} {amount[what]:8}  {seconds:7.1f} s ({spent:.1f} s of processor)")
    return found


def _recall(corners: Corners, found: Found) -> str:
    pairs = {(pair.first, pair.second) for pair in found.pairs}
    wrong = sum(corners[one][0] != corners[other][0] for one, other in pairs)
    of_smear: dict[int, list[Path]] = defaultdict(list)
    for path, (smear, _, _) in corners.items():
        of_smear[smear].append(path)
    there, got = np.zeros(len(OVERLAPS) - 1, int), np.zeros(len(OVERLAPS) - 1, int)
    for members in of_smear.values():
        for one, other in combinations(sorted(members), 2):
            span = int(np.searchsorted(OVERLAPS, _share(corners[one], corners[other]), "right")) - 1
            if span >= 0:
                there[span] += 1
                got[span] += (one, other) in pairs
    spans = ", ".join(
        f"{recall:.3f} of {n} that share {100 * low:.0f} to {min(100 * high, 100):.0f} %"
        for recall, n, low, high in zip(
            got / np.maximum(there, 1), there, OVERLAPS[:-1], OVERLAPS[1:], strict=True
        )
    )
    return f"found {spans}; {wrong} wrong pairs"


def _share(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    height = max(0, SIDE - abs(one[1] - other[1]))
    width = max(0, SIDE - abs(one[2] - other[2]))
    return height * width / SIDE**2


def _real(folder: Path, workers: int | None) -> None:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    images = [folder / row["path"] for row in rows]
    with tempfile.TemporaryDirectory() as scratch:
        found = _timed(images, Path(scratch), workers)
    joined = fields_of([Example(image, 0, "") for image in images], found.pairs).names
    theirs = _together([row["field"] for row in rows])
    ours = _together(joined)
    direct = {(pair.first, pair.second) for pair in found.pairs}
    both = sum((images[a], images[b]) in direct for a, b in theirs)
    print(
        f"  its fields join {len(theirs)} pairs: {len(theirs & ours)} joined by ours too, "
        f"{both} of them directly; ours join {len(ours)}, {len(ours - theirs)} of which its do not"
    )


def _together(names: Sequence[str]) -> set[tuple[int, int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        members[name].append(number)
    return {pair for found in members.values() for pair in combinations(found, 2)}


if __name__ == "__main__":
    main()
