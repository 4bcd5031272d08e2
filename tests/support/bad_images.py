"""Image files that a hospital's folder may hold, and what becomes of each."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.bad_input import Case
from tests.support.odd_files import (
    ALPHA,
    GREY,
    PIXELS,
    SMEAR,
    deep_png,
    deep_tiff,
    encoded,
    frames,
    interlaced_png,
    profiled_png,
    see_through,
    turned,
    vast_png,
)

NAME = "odd.jpg"
_UNDECODED = "cannot be decoded"
_AS_GREY = np.repeat(GREY[:, :, None], 3, axis=2)
_ON_WHITE = np.round(255 - (255 - PIXELS) * (ALPHA[:, :, None] / 255)).astype(np.uint8)
_WELL = {"quality": 98, "subsampling": 0}
_JPEG_LEVELS = 8


def _holds(data: bytes, name: str = NAME) -> Callable[[Path], str]:
    """Make a file of these bytes."""

    def write(folder: Path) -> str:
        (folder / name).write_bytes(data)
        return name

    return write


def _links(target: str) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        (folder / NAME).symlink_to(target)
        return NAME

    return write


def _link_inside(folder: Path) -> str:
    (folder / "real.png").write_bytes(encoded(SMEAR, "PNG"))
    (folder / NAME).symlink_to("real.png")
    return NAME


def _link_outside(folder: Path) -> str:
    other = folder.with_name(f"{folder.name}-other")
    other.mkdir()
    (other / NAME).write_bytes(encoded(SMEAR, "PNG"))
    (folder / NAME).symlink_to(other / NAME)
    return NAME


def _loop(folder: Path) -> str:
    (folder / NAME).symlink_to("other.jpg")
    (folder / "other.jpg").symlink_to(NAME)
    return NAME


def _folder(folder: Path) -> str:
    (folder / NAME).mkdir()
    return NAME


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / NAME)
    return NAME


def _device(folder: Path) -> str:
    os.mknod(folder / NAME, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # what /dev/zero is
    return NAME


def _locked(folder: Path) -> str:
    (folder / NAME).write_bytes(encoded(SMEAR, "PNG"))
    (folder / NAME).chmod(0)
    return NAME


def _locked_folder(folder: Path) -> str:
    (folder / "closed").mkdir()
    (folder / "closed" / NAME).write_bytes(encoded(SMEAR, "PNG"))
    (folder / "closed").chmod(0)
    return f"closed/{NAME}"


def _refused(
    given: str, write: Callable[[Path], str], fault: str, *, needs_root: bool = False
) -> Case:
    problem = f"1 of 13 manifest lines are unusable (1 x {fault})"
    return Case(given, write, "refused", problem, needs_root=needs_root)


def _left_out(given: str, data: bytes) -> Case:
    return Case(given, _holds(data), "left out", _UNDECODED)


def _used(given: str, data: bytes, says: str = "as it is", within: int = 0) -> Case:
    return Case(given, _holds(data), "used", says, PIXELS, within)


def _turned() -> list[Case]:
    """Each of the eight ways in which a camera was held, as the EXIF standard numbers them."""
    undo = {
        1: PIXELS, 2: PIXELS[:, ::-1], 3: PIXELS[::-1, ::-1], 4: PIXELS[::-1],
        5: PIXELS.transpose(1, 0, 2), 6: np.rot90(PIXELS, -1),
        7: PIXELS[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(PIXELS, 1),
    }  # fmt: skip
    return [
        Case(
            f"{kind}, EXIF orientation {number}", _holds(turned(number, kind)), "used",
            "turned as the camera noted", shown, _JPEG_LEVELS if kind == "JPEG" else 0,
        )
        for kind in ("JPEG", "TIFF")
        for number, shown in undo.items()
    ]  # fmt: skip


def _deep(grey_bits: int, kind: str) -> bytes:
    shift = grey_bits - 8
    return encoded(Image.fromarray((GREY.astype(np.uint16) << shift) + 3), kind)


def _grey(given: str, data: bytes, says: str) -> Case:
    return Case(given, _holds(data), "used", says, _AS_GREY)


def _noted() -> bytes:
    notes = Image.Exif()
    notes[0x010E] = "x" * 10**7
    return encoded(SMEAR, "PNG", exif=notes)


def _sized(width: int, height: int) -> Case:
    pixels = PIXELS[:1, :1].repeat(height, axis=0).repeat(width, axis=1)
    return Case(
        f"{width} x {height} pixels", _holds(encoded(Image.fromarray(pixels), "PNG")), "used",
        "enlarged to the model's size; `check` warns", pixels,
    )  # fmt: skip


CASES = (
    _left_out("an empty file", b""),
    _left_out("a text file named .jpg", b"No image today.\n"),
    _left_out("zero bytes alone", bytes(4096)),
    *(
        _left_out(f"{kind} that ends early", encoded(SMEAR, kind)[:-900])
        for kind in ("JPEG", "PNG", "BMP", "TIFF")
    ),
    _left_out("JPEG whose last two bytes are missing", encoded(SMEAR, "JPEG")[:-2]),
    _left_out("GIF named .jpg, animated", frames("GIF")),
    _left_out("WebP named .jpg, animated", frames("WEBP")),
    _left_out("JPEG 2000 named .jpg", encoded(SMEAR, "JPEG2000")),
    _left_out("PNG whose header claims 30,000 x 30,000 pixels", vast_png(30_000)),
    _left_out("PNG whose header claims 9,000 x 9,000 pixels", vast_png(9_000)),
    _left_out("PNG whose header claims 0 x 0 pixels", vast_png(0)),
    _left_out("TIFF of 32-bit whole numbers", encoded(Image.fromarray(GREY.astype(np.int32)),
                                                      "TIFF")),
    _left_out("TIFF of floating-point numbers", encoded(Image.fromarray(GREY.astype(np.float32)),
                                                        "TIFF")),
    _left_out("PNG whose colour profile unfolds to 100 MB", profiled_png(10**8)),
    _used("PNG named .jpg", encoded(SMEAR, "PNG"), "by what it holds, not by its name"),
    _used("PNG, animated", frames("PNG"), "its first frame"),
    _used("TIFF of several pages", frames("TIFF"), "its first page"),
    _used("PNG, interlaced", interlaced_png()),
    _used("JPEG, progressive", encoded(SMEAR, "JPEG", progressive=True, **_WELL), within=8),
    _used("JPEG, CMYK", encoded(SMEAR.convert("CMYK"), "JPEG", **_WELL), "turned into RGB", 8),
    _used("TIFF, CMYK", encoded(SMEAR.convert("CMYK"), "TIFF"), "turned into RGB"),
    _used("PNG of 16 bits, RGB", deep_png(), "the higher byte of each channel"),
    _used("TIFF of 16 bits, RGB", deep_tiff(), "the higher byte of each channel"),
    _grey("PNG of 16 bits, grey", _deep(16, "PNG"), "the higher byte, three times"),
    _grey("TIFF of 16 bits, grey", _deep(16, "TIFF"), "the higher byte, three times"),
    Case("PNG of 16 bits, of which a camera fills 12", _holds(_deep(12, "PNG")), "used",
         "the higher byte: nearly black", (_AS_GREY >> 4).astype(np.uint8)),
    _grey("PNG, grey", encoded(SMEAR.convert("L"), "PNG"), "grey three times"),
    _grey("PNG, grey and opaque", encoded(SMEAR.convert("LA"), "PNG"), "grey three times"),
    Case("PNG, black and white", _holds(encoded(SMEAR.convert("1"), "PNG")), "used",
         "as black and white", np.array(SMEAR.convert("1").convert("RGB"))),
    Case("PNG, partly transparent", _holds(see_through()), "used", "laid on white", _ON_WHITE, 1),
    Case("PNG, a palette of partly transparent colours",
         _holds(encoded(SMEAR.quantize(16), "PNG", transparency=bytes([0] + [128] * 15))), "used",
         "laid on white"),
    _used("PNG with a colour profile of 1 MB", profiled_png(10**6), "the profile is not applied"),
    _used("PNG with EXIF of 10 MB", _noted(), "the notes are not read"),
    *_turned(),
    _sized(1, 1),
    _sized(1, 500),
    Case("a name with a line break", _holds(encoded(SMEAR, "PNG"), "a\nb.png"), "used", "as it is",
         PIXELS),
    Case("a name in another script", _holds(encoded(SMEAR, "PNG"), "мазок (1) [x].png"), "used",
         "as it is", PIXELS),
    Case("a link to an image of the same folder", _link_inside, "used", "as it is", PIXELS),
    _refused("a link out of the folder", _link_outside, "path not inside the manifest's folder"),
    _refused("a link to nothing", _links("nothing.jpg"), "image not found"),
    _refused("links in a circle", _loop, "image not found"),
    _refused("a folder named .jpg", _folder, "not a file"),
    _refused("a named pipe", _pipe, "not a file"),
    _refused("a device", _device, "not a file", needs_root=True),
    _refused("a name of more than 255 bytes", lambda folder: "x" * 300, "image not found"),
    _refused("an image in a folder that may not be entered", _locked_folder,
             "image that this user may not reach", needs_root=True),
    Case("an image that may not be read", _locked, "refused",
         "an image cannot be read from disk (PermissionError)", needs_root=True),
)  # fmt: skip
