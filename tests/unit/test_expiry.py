"""When a certificate is warned of, and in which words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from client.joining import expiry_warnings as site_warnings
from client.site_folder import SiteFolder
from common.expiry import Lifetime, lifetime, warn_of_expiry
from server.certificates import Issued, issue, new_root
from server.cli.main import main
from server.federation import Federation, Settings
from server.founding import found

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=31), None),
        (timedelta(days=30) + HOUR, None),
        (timedelta(days=30), "ends on 2026-12-25, in 30 days"),
        (timedelta(days=29), "ends on 2026-12-24, in 29 days"),
        (timedelta(days=1) + HOUR, "ends on 2026-11-26, in 1 day"),
        (HOUR, "ends on 2026-11-25, within a day"),
        (timedelta(0), "ended on 2026-11-25"),
        (timedelta(days=-3), "ended on 2026-11-22"),
    ],
)
def test_a_certificate_is_warned_of_from_30_days_before_its_end(
    left: timedelta, words: str | None
) -> None:
    told = warn_of_expiry([Lifetime("the front's certificate", NOW + left, "renew it")], NOW)
    assert told == ([] if words is None else [f"the front's certificate {words}: renew it"])


def test_a_certificate_is_read_as_a_file_holds_it_and_as_it_comes_over_the_wire() -> None:
    root = new_root("trial", days=100, now=NOW)
    leaf = issue(root, ["localhost"], days=40, now=NOW).certificate
    der = x509.load_pem_x509_certificate(leaf).public_bytes(Encoding.DER)
    for data in (leaf, der, b"# a comment\n" + leaf, root.certificate + leaf):
        assert lifetime("it", data, "").ends == NOW + timedelta(days=40)
    with pytest.raises(ValueError):
        lifetime("it", b"nothing", "")


def ending_in(days: int, federation: Federation) -> None:
    """Give the front a certificate that ends in so many days and an hour."""
    key = federation.authority.with_suffix(".key").read_bytes()
    root = Issued(federation.authority.read_bytes(), key)
    now = datetime.now(UTC) + HOUR
    issue(root, ["localhost"], days=days, now=now).write(federation.front_certificate)


def test_every_command_of_a_federation_warns_in_one_line_and_works(tmp_path: Path) -> None:
    folder = tmp_path / "federation"
    federation = found(folder, Settings(name="trial", hosts=("localhost",)))
    for days, warns in ((31, False), (29, True)):
        ending_in(days, federation)
        result = CliRunner().invoke(main, ["sites", "--federation", str(folder)])
        assert (result.exit_code, result.stdout) == (0, "No site was admitted yet.\n")
        assert ("front's certificate ends" in result.stderr) is warns
        assert result.stderr.count("Warning") == int(warns)


def test_a_site_warns_of_the_root_certificate(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path)
    assert site_warnings(site) == []  # it has not joined
    for days, warned in ((32, 0), (29, 1)):
        site.authority.write_bytes(new_root("trial", days=days).certificate)
        assert len(site_warnings(site)) == warned
    site.authority.write_bytes(b"cut off")
    assert site_warnings(site) == []
