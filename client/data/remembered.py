"""What was found out about images, kept between runs in one file of the site's cache folder."""

import json
from pathlib import Path
from typing import Any

from common.digests import digest_bytes
from common.whole_file import write_whole


def load(store: Path | None) -> dict[str, Any]:
    """Read what was remembered; what is missing or damaged is forgotten."""
    try:
        wrapped = json.loads(store.read_bytes()) if store is not None else {}
        value = wrapped["remembered"]
        if wrapped["sha256"] == digest_bytes(json.dumps(value).encode()):
            return dict(value)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}


def save(store: Path | None, value: dict[str, Any]) -> None:
    """Put what was found out in its file; None: it is remembered nowhere."""
    if store is None:
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    wrapped = {"sha256": digest_bytes(json.dumps(value).encode()), "remembered": value}
    write_whole(store, json.dumps(wrapped).encode())
