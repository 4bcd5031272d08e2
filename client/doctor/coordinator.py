"""Checks of the way to the coordinator: reach, TLS, clock, health, versions."""

import datetime as dt
import os
from collections.abc import Iterator
from importlib.metadata import version

from cryptography import x509

from client.doctor.dial import (
    Address,
    NotTls,
    Unreachable,
    connect,
    health,
    is_issued_by,
    parsed,
    shown_certificate,
)
from client.doctor.finding import Finding, failed, ok, problem, warning
from client.site_folder import SiteFolder
from common.errors import ConfigError
from common.expiry import WARNED_BEFORE
from common.kit import Kit, read_kit
from common.plain_text import one_line
from common.study.schema import PROTOCOL

_MOST_SKEW_S = 60.0
_JOIN = "get the kit from the coordinator, then `leukofed-site join KIT`"


def kit_lines(folder: SiteFolder) -> list[Finding]:
    """Read the kit, and compare the coordinator's version with what is installed here."""
    if not folder.kit.is_file():
        return [problem("kit", "this site has no kit: it has not joined a federation", _JOIN)]
    try:
        kit = read_kit(folder.kit)
    except ConfigError as error:
        return [failed("kit", error)]
    return [ok("kit", f"site {kit.site} of federation {kit.federation}"), versions_line(kit)]


def versions_line(kit: Kit) -> Finding:
    """Compare protocol and version at both ends; only the former must agree."""
    here = version("leukofed")
    if kit.protocol != PROTOCOL:
        return problem(
            "versions",
            f"the coordinator speaks protocol {kit.protocol} (leukofed {kit.leukofed}), this site "
            f"{PROTOCOL} (leukofed {here})",
            f"install leukofed {kit.leukofed}, or ask the coordinator to update",
        )
    if kit.leukofed != here:
        return warning(
            "versions",
            f"leukofed {here} here, {kit.leukofed} at the coordinator when the kit was made; "
            f"protocol {PROTOCOL} at both",
            "nothing must be done; update when the coordinator asks for it",
        )
    return ok("versions", f"leukofed {here}, protocol {PROTOCOL}, as at the coordinator")


def authority_line(folder: SiteFolder, now: dt.datetime) -> Finding:
    """Look at the federation's root certificate as it lies here."""
    found = _authorities(folder)
    if not found:
        return problem("root certificate", f"{folder.authority.name} is missing or damaged", _JOIN)
    # While a root is replaced there are two; the one that lasts longer is what counts.
    return _expiry("root certificate", max(found, key=lambda c: c.not_valid_after_utc), now)


def network_lines(folder: SiteFolder, now: dt.datetime) -> Iterator[Finding]:
    """Reach out to the coordinator's front, as the carrier does."""
    file = folder.link / "link.yaml"
    if not os.access(folder.link, os.X_OK) or (file.exists() and not os.access(file, os.R_OK)):
        yield warning(
            "address",
            "this user may not read the carrier's link.yaml, so nothing was tried",
            "run this check once more as root",
        )
        return
    try:
        settings = folder.link_settings
    except ConfigError as error:
        yield failed("address", error)
        return
    if not settings.address:
        yield problem("address", "this site knows no address of a coordinator", _JOIN)
        return
    address = parsed(settings.address, settings.proxy)
    reached = _reach(address)
    yield reached
    if reached.verdict == "problem":
        return
    authorities = _authorities(folder)
    if not authorities:
        return  # `authority_line` has said so
    try:
        shown = shown_certificate(address)
    except (Unreachable, NotTls) as error:
        yield failed("TLS", error)
        return
    if not any(is_issued_by(shown, authority) for authority in authorities):
        yield _intercepted(address, shown)
        return
    try:
        found = health(address, folder.authority)
    except NotTls as error:
        yield _untrusted(address, shown, error.local_detail, now)
        return
    except Unreachable as error:
        yield ok("TLS", "the federation's root certificate vouches for the front")
        yield failed("SuperLink", error)
        return
    yield ok("TLS", "the federation's root certificate vouches for the front; nothing intercepts")
    yield _expiry("front certificate", shown, now)
    yield _health(found.status)
    yield _clock(found.skew_s)


def _reach(address: Address) -> Finding:
    way = "directly" if address.proxy is None else "through the proxy"
    try:
        connect(address).close()
    except Unreachable as error:
        return failed("address", error)
    return ok("address", f"{address} can be reached {way}")


def _intercepted(address: Address, shown: x509.Certificate) -> Finding:
    return problem(
        "TLS",
        f"the certificate shown for {address} is not the federation's; its issuer is "
        f"{issuer(shown)}: TLS is intercepted on the way, or another server answers",
        f"ask your network department to except {address} from TLS inspection: a TLS-inspecting "
        "proxy must let this address pass unopened. If nothing inspects, compare the address with "
        "the coordinator's",
    )


def issuer(certificate: x509.Certificate) -> str:
    """Name who issued a certificate, on one line."""
    return one_line(certificate.issuer.rfc4514_string()) or "not named"


def _untrusted(address: Address, shown: x509.Certificate, why: str, now: dt.datetime) -> Finding:
    if now > shown.not_valid_after_utc:
        return problem(
            "TLS",
            f"the front's certificate expired on {shown.not_valid_after_utc:%Y-%m-%d}",
            "tell the coordinator, who renews it; no new kit is needed",
        )
    if now < shown.not_valid_before_utc:
        return problem(
            "TLS",
            f"the front's certificate begins on {shown.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, "
            f"and here it is {now:%Y-%m-%d %H:%M}",
            "set this machine's clock",
        )
    return problem(
        "TLS",
        f"the front's certificate is the federation's, but not good for {address}: {why}",
        "compare the address in link/link.yaml with the kit, or ask the coordinator for a "
        "certificate with this name",
    )


def _health(status: int) -> Finding:
    if status == 200:
        return ok("SuperLink", "it answers through the front")
    return problem(
        "SuperLink",
        f"the front answers, the SuperLink behind it does not (status {status})",
        "tell the coordinator; `leukofed-server start` runs both",
    )


def _clock(skew_s: float | None) -> Finding:
    if skew_s is None:
        return ok("clock", "the front tells no time to compare with")
    if abs(skew_s) > _MOST_SKEW_S:
        way = "ahead of" if skew_s > 0 else "behind"
        return warning(
            "clock",
            f"this machine's clock is {abs(skew_s):.0f} s {way} the coordinator's",
            "have the clock set over the network (NTP); certificates and logs depend on it",
        )
    return ok("clock", f"within {max(abs(skew_s), 1):.0f} s of the coordinator's")


def _expiry(check: str, certificate: x509.Certificate, now: dt.datetime) -> Finding:
    until = certificate.not_valid_after_utc
    if now > until:
        return problem(check, f"it expired on {until:%Y-%m-%d}", "tell the coordinator")
    text = f"good until {until:%Y-%m-%d}, for {(until - now).days} days"
    if until - now <= WARNED_BEFORE:
        return warning(check, text, "ask the coordinator to renew it in time")
    return ok(check, text)


def _authorities(folder: SiteFolder) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(folder.authority.read_bytes())
    except (OSError, ValueError):
        return []
