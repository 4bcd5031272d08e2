"""When certificates end, and the sentence that warns of it in time."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

WARNED_BEFORE = timedelta(days=30)
"""How long before its end a certificate is warned of."""


@dataclass(frozen=True)
class Lifetime:
    """A certificate's end, and what to do about it."""

    name: str
    """What it is, for example `the front's certificate`."""
    ends: datetime
    """When it ends."""
    remedy: str
    """One sentence that begins with a verb."""


def lifetime(name: str, certificate: bytes, remedy: str) -> Lifetime:
    """Read a certificate's end; of several in one file, that of the first to end.

    Args:
        name: what it is.
        certificate: in PEM, as a file holds it, or in DER, as it comes over the wire.
        remedy: what to do about its end.

    Raises:
        ValueError: it is no certificate.
    """
    found = (
        x509.load_pem_x509_certificates(certificate)
        if certificate.lstrip()[:1] in (b"-", b"#")
        else [x509.load_der_x509_certificate(certificate)]
    )
    return Lifetime(name, min(one.not_valid_after_utc for one in found), remedy)


def warn_of_expiry(lifetimes: Iterable[Lifetime], now: datetime | None = None) -> list[str]:
    """Return a sentence for each certificate that has ended, or ends within 30 days.

    Args:
        lifetimes: of the certificates that were looked at.
        now: the time; None: this machine's clock.
    """
    here = datetime.now(UTC) if now is None else now
    return [
        f"{one.name} {_when(one.ends, here)}: {one.remedy}"
        for one in lifetimes
        if one.ends - here <= WARNED_BEFORE
    ]


def _when(ends: datetime, now: datetime) -> str:
    day = ends.strftime("%Y-%m-%d")
    if ends <= now:
        return f"ended on {day}"
    days = math.floor((ends - now) / timedelta(days=1))
    return f"ends on {day}, " + (
        "within a day" if days == 0 else "in 1 day" if days == 1 else f"in {days} days"
    )
