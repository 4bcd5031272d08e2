"""Photographs of 20 megapixels, and headers that promise more than any camera gives."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from common.imaging.decode import decode, pixels_of
from common.imaging.synthetic import calibration_smears
from common.study.imaging import Crop, Imaging, Rectangle

ONE_GB = 10**9
SIDE = 30_000
# A child process tells the most memory that it held itself: `ru_maxrss` also counts its parent's.
CHILD = """
import sys
from pathlib import Path
from common.errors import DataError
from common.imaging.decode import decode
from common.imaging.pipeline import prepare
from common.study.imaging import Imaging

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

before = peak()
for path, settings in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        prepare(decode(Path(path).read_bytes()), Imaging.model_validate_json(settings))
    except DataError as error:
        print(error.problem, file=sys.stderr)
print(before, peak())
"""
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak"
)


def peaks(work: list[tuple[Path, Imaging]]) -> tuple[int, int, str]:
    """Decode and prepare in a process of its own; its bytes before, its peak, what it said."""
    arguments = [
        text for path, settings in work for text in (str(path), settings.model_dump_json())
    ]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    before, after = map(int, done.stdout.split())
    return before, after, done.stderr


@pytest.mark.slow
def test_twenty_megapixels_stay_below_a_gigabyte(tmp_path: Path) -> None:
    smear = cv2.resize(next(iter(calibration_smears(3, 1, 456))), (5472, 3648))
    options = {"photo.jpg": [], "photo.tif": [cv2.IMWRITE_TIFF_COMPRESSION, 1]}  # 1: none
    for name, encoding in options.items():
        assert cv2.imwrite(str(tmp_path / name), smear[..., ::-1], encoding)
    costliest = Imaging(
        clean="specks", crop=Crop(to="field"), scale_bar="inpaint", stain="macenko",
        mask=(Rectangle(top=0.9, bottom=1.0, left=0.0, right=0.2),),
    )  # fmt: skip
    settings = {"photo.jpg": costliest, "photo.tif": Imaging()}
    _, peak, said = peaks([(tmp_path / name, one) for name, one in settings.items()])
    assert said == ""
    assert peak < ONE_GB


def promised(kind: str) -> bytes:
    """A small image whose header says that it is 30,000 pixels wide and high."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(file, kind)
    data = bytearray(file.getvalue())
    if kind == "PNG":
        data[16:24] = struct.pack(">II", SIDE, SIDE)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", SIDE, SIDE)
    elif kind == "JPEG":
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", SIDE, SIDE)
    else:
        (first,) = struct.unpack_from("<I", data, 4)
        for entry in range(
            first + 2, first + 2 + 12 * struct.unpack_from("<H", data, first)[0], 12
        ):
            if struct.unpack_from("<H", data, entry)[0] in (256, 257):  # width, height
                struct.pack_into("<HII", data, entry + 2, 4, 1, SIDE)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG", "TIFF"])
def test_a_header_that_promises_too_much_is_refused(kind: str) -> None:
    data = promised(kind)
    with pytest.raises(DataError, match="more than 67108864 pixels"):
        decode(data)
    assert pixels_of(data) == 0


def test_nothing_is_allocated_for_such_a_header(tmp_path: Path) -> None:
    work = []
    for kind in ("PNG", "BMP", "JPEG", "TIFF"):
        path = tmp_path / kind
        path.write_bytes(promised(kind))
        work.append((path, Imaging()))
    before, after, said = peaks(work)
    assert said.count("more than 67108864 pixels") == 4
    assert after - before < 20 * 10**6
