"""Image files as few programs write them: encoded here, byte for byte where it must be."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from common.imaging.synthetic import calibration_smears

HEIGHT, WIDTH = 48, 64
PIXELS = calibration_smears(11, 1, WIDTH)[0][:HEIGHT]
SMEAR = Image.fromarray(PIXELS)
GREY = np.array(SMEAR.convert("L"))
ALPHA = np.array(Image.linear_gradient("L").resize(SMEAR.size))
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image's file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(depth: int, colours: int, lines: bytes, *, passes: int = 0, between: bytes = b"") -> bytes:
    """Write a PNG of the smear's size.

    Args:
        depth: bits a channel.
        colours: PNG's colour type, 2 for RGB.
        lines: filtered, not compressed.
        passes: 1 if they are interlaced.
        between: chunks before the pixels.
    """
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colours, 0, 0, passes)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + between
        + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    )  # fmt: skip


def chunk(kind: bytes, body: bytes) -> bytes:
    """Write one chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png() -> bytes:
    """Write 16 bits a channel."""
    deep = (PIXELS.astype(np.uint16) * 256 + 77).astype(">u2")
    return png(16, 2, b"".join(b"\0" + line.tobytes() for line in deep))


def interlaced_png() -> bytes:
    """Write the seven passes of Adam7 (PNG specification, section 8.2)."""
    lines = []
    for left, top, across, down in _ADAM7:
        lines += [b"\0" + line.tobytes() for line in PIXELS[top::down, left::across]]
    return png(8, 2, b"".join(lines), passes=1)


def profiled_png(size: int) -> bytes:
    """Write a PNG with a colour profile that unfolds to so many bytes."""
    lines = b"".join(b"\0" + line.tobytes() for line in PIXELS)
    return png(8, 2, lines, between=chunk(b"iCCP", b"big\0\0" + zlib.compress(bytes(size))))


def deep_tiff() -> bytes:
    """Write 16 bits a channel, not compressed."""
    body = (PIXELS.astype("<u2") * 256 + 77).astype("<u2").tobytes()
    at = 8 + 2 + 11 * 12 + 4
    tags = [
        (256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (258, 3, 3, at), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, at + 6), (277, 3, 1, 3), (278, 4, 1, HEIGHT), (279, 4, 1, len(body)),
        (284, 3, 1, 1), (339, 3, 1, 1),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (
        b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries
        + struct.pack("<IHHH", 0, 16, 16, 16) + body
    )  # fmt: skip


def vast_png(side: int) -> bytes:
    """Write a PNG whose header claims so many pixels a side, and which holds hardly any."""
    data = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def turned(orientation: int, kind: str) -> bytes:
    """Write the smear with a camera's note of how it was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    return encoded(SMEAR, kind, exif=exif, **options)


def frames(kind: str) -> bytes:
    """Write the smear as the first of three frames or pages."""
    others = [Image.new("RGB", SMEAR.size, colour) for colour in ("red", "green")]
    return encoded(SMEAR, kind, save_all=True, append_images=others)


def see_through() -> bytes:
    """Write the smear ever more transparent towards its upper edge."""
    above = SMEAR.convert("RGBA")
    above.putalpha(Image.fromarray(ALPHA))
    return encoded(above, "PNG")
