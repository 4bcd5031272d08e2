"""Keyed hashes of how images look, by which two hospitals' copies of one image can be counted.

A signature is the HMAC-SHA256 of a perceptual hash, under a key that the hospitals share and the
coordinator does not have: without the key nobody can work out from a signature what an image looks
like, nor look a known image up. What equality alone tells stands in docs/privacy.md.
"""

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from client.data.fields.copies import hashes
from client.data.fields.features import THUMBNAIL
from client.data.manifest import Example
from client.pulse import Pulse, no_pulse
from common.asks import SIGNATURE_BYTES
from common.errors import ConfigError
from common.imaging.decode import decode

_PURPOSE = b"leukofed overlap 1\n"
_SHORTEST_KEY = 32  # bytes of the file: 16 random bytes, in hex
_FLAT = 4.0  # deviation of a thumbnail's grey below which it looks like any other empty field


def signatures(examples: Sequence[Example], key: bytes, pulse: Pulse = no_pulse) -> tuple[str, ...]:
    """Return the signatures of images, sorted, each once: neither order nor number tells which.

    An image and its copies turned by quarters or mirrored have the same one, copies resized or
    saved again mostly. Empty fields, which all look alike, have none.
    """
    found: set[str] = set()
    for example in examples:
        pulse()
        thumbnail = _thumbnail(example.image.read_bytes())
        if thumbnail.std() >= _FLAT:
            found.add(signature(thumbnail, key))
    return tuple(sorted(found))


def signature(thumbnail: NDArray[np.uint8], key: bytes) -> str:
    """Return the signature of a thumbnail, uint8 (32, 32)."""
    lowest = int(hashes(thumbnail[None])[0].min())  # the same, whichever way it was turned
    message = _PURPOSE + lowest.to_bytes(8, "big")
    return hmac.new(key, message, hashlib.sha256).digest()[:SIGNATURE_BYTES].hex()


def read_key(path: Path | None) -> bytes:
    """Read the key that hospitals share.

    Raises:
        ConfigError: none is named, it cannot be read, or it is too short.
    """
    fix = "agree on a key with the other sites, not with the coordinator (docs/privacy.md)"
    if path is None:
        raise ConfigError("limits.overlap is set, and overlap_key_file names no key", fix=fix)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"the key for counting overlap cannot be read ({type(error).__name__})",
            fix="see that the worker's user may read the file that overlap_key_file names",
            local_detail=str(error),
        ) from error
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(
            f"the key for counting overlap has {len(key)} characters, fewer than {_SHORTEST_KEY}",
            fix="make one with `openssl rand -hex 32`, and give it to the other sites only",
        )
    return key


def _thumbnail(data: bytes) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
