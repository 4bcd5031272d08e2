"""What the log says when the hospital had data forgotten: counts, and not whose they were."""

from typing import Literal

from common.study.strict import Strict


class Forgotten(Strict):
    """A line of the egress log for data that were removed from the site's own records."""

    event: Literal["forgotten"] = "forgotten"
    time: str
    """UTC, ISO 8601."""
    site: str
    images: int
    """Images that were asked to be forgotten."""
    records: int
    """Records of the cache that were removed: pixels, activations, features."""
    findings: int
    """Remembered digests and verdicts that were removed."""
    replies: int
    """Replies whose bytes were removed from the outbox, and what compression left out of them."""
    runs: int
    """Runs in which these images may have taken part, and whose releases hold what they taught."""
