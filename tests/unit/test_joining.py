"""`leukofed-site join`: which kits a site takes, and what it changes for them."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.cli.main import main
from client.enrolment import Owners, hand_over
from client.site_config import load_site_config
from client.site_folder import SiteFolder
from common.kit import Kit, fingerprint, kit_text, read_kit, read_request
from common.signing import new_key, public_half
from common.study.schema import PROTOCOL
from server.certificates import new_root
from tests.support.keys import node_public_key

COORDINATOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TOLD = fingerprint(public_half(COORDINATOR))
ROOT = new_root("trial").certificate.decode()
MADE = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    words = ["init", "--site", str(tmp_path / "north"), "--name", "north", "--yes"]
    result = CliRunner().invoke(main, [*words, "--data", str(tmp_path)])
    assert result.exit_code == 0, result.output
    return SiteFolder(tmp_path / "north")


def kit_for(
    folder: SiteFolder, key: Ed25519PrivateKey = COORDINATOR, file: str = "kit", **other: Any
) -> Path:
    """Write a kit, as `admit` would."""
    facts = {
        "federation": "trial", "site": "north", "address": "leukofed.example.org:8443",
        "authority": ROOT, "coordinator": public_half(key),
        "public_key": read_request(folder.request).public_key, "contact": "the office",
        "terms": "as signed", "leukofed": "0.1.0", "protocol": PROTOCOL, "made": MADE,
    }  # fmt: skip
    path = folder.path.parent / f"{file}.yaml"
    path.write_text(kit_text(Kit(**{**facts, **other}), key), encoding="utf-8")
    return path


def join(site: SiteFolder, kit: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["join", str(kit), "--site", str(site.path), *words], typed)


def state(site: SiteFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in site.path.rglob("*") if path.is_file()}


def test_a_kit_is_put_in_place_and_comments_stay(site: SiteFolder) -> None:
    before = site.site_file.read_text(encoding="utf-8")
    kit = kit_for(site)
    result = join(site, kit, "--fingerprint", TOLD)
    assert result.exit_code == 0, result.output
    assert load_site_config(site.site_file).coordinator == public_half(COORDINATOR)
    assert SiteFolder(site.path).link_settings.address == "leukofed.example.org:8443"
    assert site.authority.read_text(encoding="ascii") == ROOT
    assert read_kit(site.kit) == read_kit(kit)
    after = site.site_file.read_text(encoding="utf-8")
    changed = [
        pair for pair in zip(before.splitlines(), after.splitlines(), strict=True)
        if pair[0] != pair[1]
    ]  # fmt: skip
    assert changed == [("coordinator: null", f"coordinator: {public_half(COORDINATOR)}")]
    modes = {path.name: path.stat().st_mode & 0o777 for path in state(site)}
    assert (modes["kit.yaml"], modes["ca.crt"]) == (0o644, 0o644)
    assert (modes["site.yaml"], modes["link.yaml"], modes["node.key"]) == (0o600, 0o600, 0o600)


def test_what_there_is_to_know_is_shown_before_the_question(site: SiteFolder) -> None:
    before = state(site)
    result = join(site, kit_for(site), typed="n\n")
    assert result.exit_code == 1
    for words in ("trial", "leukofed.example.org:8443", "the office", "as signed", TOLD):
        assert words in result.output
    assert state(site) == before
    assert join(site, kit_for(site), typed="y\n").exit_code == 0


def refused(site: SiteFolder, kit: Path, problem: str, *words: str) -> None:
    before = state(site)
    result = join(site, kit, "--fingerprint", TOLD, *words)
    assert result.exit_code == 1
    assert problem in result.output
    assert state(site) == before


def test_a_kit_cannot_write_over_what_the_command_shows(site: SiteFolder) -> None:
    terms = "None.\n  Fingerprint  11111 of the coordinator\x1b[8m"
    path = kit_for(site, contact="IT\r\x1b[2A\n  Fingerprint  22222", terms=terms)
    shown = join(site, path, typed="n\n").output
    assert "\x1b" not in shown
    assert "\n  Contact      IT \\x1b[2A Fingerprint 22222\n" in shown
    assert [line for line in shown.splitlines() if line.startswith("  Fingerprint")] == [
        f"  Fingerprint  {TOLD} of the coordinator"
    ]


def test_another_fingerprint_than_the_one_told_changes_nothing(site: SiteFolder) -> None:
    refused(site, kit_for(site, new_key()), "the fingerprint is not the coordinator's")


def test_a_kit_for_another_key_is_refused(site: SiteFolder) -> None:
    other = node_public_key(5, "ssh").decode()
    refused(site, kit_for(site, public_key=other), "for another key than this site's")


def test_another_protocol_is_refused(site: SiteFolder) -> None:
    refused(site, kit_for(site, protocol=PROTOCOL + 1), f"speaks version {PROTOCOL + 1}")


def test_a_forged_kit_is_refused(site: SiteFolder) -> None:
    kit = kit_for(site)
    kit.write_text(kit.read_text().replace("leukofed.example.org", "leukofed.example.com"))
    refused(site, kit, "not signed by the coordinator named in it")


def test_a_site_admitted_under_another_name_takes_it(site: SiteFolder) -> None:
    result = join(site, kit_for(site, site="north-2"), "--fingerprint", TOLD)
    assert "north-2 (it asked for north)" in result.output
    assert load_site_config(site.site_file).name == "north-2"


def test_a_later_kit_of_the_same_coordinator_needs_no_comparison(site: SiteFolder) -> None:
    assert join(site, kit_for(site), "--fingerprint", TOLD).exit_code == 0
    later = kit_for(site, address="[2001:db8::7]:9443", made=MADE + timedelta(days=9))
    result = join(site, later)
    assert result.exit_code == 0, result.output
    assert SiteFolder(site.path).link_settings.address == "[2001:db8::7]:9443"
    refused(site, kit_for(site, file="old"), "older than the one in use")


def test_another_coordinator_must_be_asked_for(site: SiteFolder) -> None:
    assert join(site, kit_for(site), "--fingerprint", TOLD).exit_code == 0
    other = new_key()
    kit = kit_for(site, other)
    refused(site, kit, "of another coordinator")
    refused(site, kit, "the fingerprint is not the coordinator's", "--new-coordinator")
    told = fingerprint(public_half(other))
    assert join(site, kit, "--new-coordinator", "--fingerprint", told).exit_code == 0
    assert load_site_config(site.site_file).coordinator == public_half(other)


def test_settings_of_the_hospital_stay(site: SiteFolder) -> None:
    link = site.link / "link.yaml"
    mine = link.read_text().replace("proxy: null", "proxy: http://proxy.hospital:3128")
    link.write_text(mine)
    assert join(site, kit_for(site), "--fingerprint", TOLD).exit_code == 0
    settings = SiteFolder(site.path).link_settings
    assert (settings.proxy, settings.address) == (
        "http://proxy.hospital:3128",
        "leukofed.example.org:8443",
    )


def test_a_broken_link_file_stops_it_before_anything_is_changed(site: SiteFolder) -> None:
    with (site.link / "link.yaml").open("a") as file:
        file.write("bandwith_mbit: 3\n")
    refused(site, kit_for(site), "bandwith_mbit")


def test_a_folder_without_a_site_is_said_to_hold_none(site: SiteFolder, tmp_path: Path) -> None:
    result = join(SiteFolder(tmp_path), kit_for(site))
    assert result.exit_code == 1
    assert "holds no site" in result.output


def test_a_node_key_that_is_broken_is_named(site: SiteFolder) -> None:
    kit = kit_for(site)
    site.node_key.write_text("no key")
    refused(site, kit, "no key that Flower takes")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files to other users")
def test_what_root_changes_stays_with_the_two_users(site: SiteFolder) -> None:
    worker, carrier, group = 12001, 12002, 12000
    kit = kit_for(site)
    hand_over(site, Owners(worker, group, carrier), [])
    assert join(site, kit, "--fingerprint", TOLD).exit_code == 0
    for path in (site.site_file, site.kit, site.authority, site.link / "link.yaml", site.node_key):
        found = path.stat()
        owner = carrier if path.parent == site.link else worker
        assert (found.st_uid, found.st_gid) == (owner, group), path.name
