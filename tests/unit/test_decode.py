import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from common.errors import DataError
from common.imaging.decode import LARGEST_PIXELS, decode


def pixels(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    """A smooth picture, which JPEG keeps within a few levels."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([4 * x, 8 * y, 2 * x + 4 * y], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "tolerance"), [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("JPEG", 6)])
def test_every_format_gives_rgb(kind: str, tolerance: int) -> None:
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    image = decode(encoded(Image.fromarray(pixels()), kind, **options))
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.astype(int), pixels().astype(int), atol=tolerance)


def test_grey_is_repeated() -> None:
    grey = pixels()[:, :, 0]
    image = decode(encoded(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=-1))


def test_sixteen_bit_grey_keeps_its_higher_byte() -> None:
    grey = pixels()[:, :, 0]
    image = decode(encoded(Image.fromarray(grey.astype(np.uint16) * 256 + 99), "TIFF"))
    np.testing.assert_array_equal(image[:, :, 1], grey)


def test_a_palette_is_looked_up() -> None:
    image = Image.fromarray(pixels()).quantize(16)
    np.testing.assert_array_equal(decode(encoded(image, "PNG")), np.array(image.convert("RGB")))


def test_transparency_lies_on_white() -> None:
    alpha = np.dstack([pixels(), np.full(pixels().shape[:2], 255, np.uint8)])
    alpha[:12, :, 3] = 0
    image = decode(encoded(Image.fromarray(alpha), "PNG"))
    assert (image[:12] == 255).all()
    np.testing.assert_array_equal(image[12:], pixels()[12:])


def test_the_camera_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the picture a quarter turn clockwise
    image = decode(encoded(Image.fromarray(pixels()), "PNG", exif=exif))
    np.testing.assert_array_equal(image, np.rot90(pixels(), -1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF"])
def test_a_file_that_ends_early_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"not an image", b"\xff\xd8\xff", b"GIF89a" + bytes(99)])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(data)


def test_flipped_bytes_never_escape() -> None:
    generator = np.random.default_rng(1)
    sound = np.frombuffer(encoded(Image.fromarray(pixels()), "PNG"), np.uint8)
    refused = 0
    for _ in range(300):
        damaged = sound.copy()
        damaged[generator.integers(len(sound), size=3)] = generator.integers(256, size=3)
        try:
            decode(damaged.tobytes())
        except DataError:
            refused += 1
    assert refused > 250


@pytest.mark.parametrize("side", [9_000, 12_000, 20_000])
def test_a_bomb_is_refused_before_it_unfolds(side: int) -> None:
    assert side * side > LARGEST_PIXELS
    data = bytearray(encoded(Image.new("L", (8, 8)), "BMP"))
    data[18:26] = side.to_bytes(4, "little") * 2
    with pytest.raises(DataError, match="has more than 67108864 pixels"):
        decode(bytes(data))


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"))


def test_the_text_that_travels_names_nothing() -> None:
    with pytest.raises(DataError) as caught:
        decode(b"patient 4711")
    assert "4711" not in str(caught.value)
