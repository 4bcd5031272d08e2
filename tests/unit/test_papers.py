"""The papers for a data-protection officer: what they must hold, and that they need nothing."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from client.cli.main import main
from client.egress.door import Door
from common.kit import Kit, fingerprint, kit_text, openssh
from common.privacy import LEAVES, THREATS
from common.signing import new_key, public_half
from common.study.schema import PROTOCOL
from tests.support.coordinator_folder import write_folder
from tests.support.exchanges import census_request, reply
from tests.support.site_folder import SiteOnDisk


@pytest.fixture
def site(tmp_path: Path) -> SiteOnDisk:
    return SiteOnDisk(tmp_path)


def call(site: SiteOnDisk, *words: object) -> Result:
    return CliRunner().invoke(
        main, [*map(str, words), "--site", str(site.folder)], catch_exceptions=False
    )


def page(site: SiteOnDisk, study: object) -> str:
    out = site.folder / "papers"
    result = call(site, "pack", study, "--out", out)
    assert result.exit_code == 0, result.output
    (place,) = out.iterdir()
    assert str(place) in result.output
    return place.read_text(encoding="utf-8")


def text_of(html: str) -> str:
    plain = re.sub(r"<[^>]+>", " ", html.partition("</style>")[2])
    return " ".join(plain.replace("&#39;", "'").replace("&amp;", "&").split())


def test_the_papers_of_an_approved_study(site: SiteOnDisk) -> None:
    path, study = site.propose()
    call(site, "approve", path, "--yes")
    door = Door(site.config.state, "north", site.config.limits)
    request = census_request(study=study.digest)
    door.admit(request, study)
    door.release(request, reply(request, arrays={}))
    html = page(site, "small")
    text = text_of(html)
    assert study.digest in text
    assert fingerprint(public_half(site.key)) in text
    assert "in all 6 6 6 6 24 24" in text  # images by class, images, groups
    assert "A group is one patient" in text
    assert re.search(r"census 1 1 0 \S+ \S+ 20\d\d-", text)
    assert "1 lines of all studies, chain intact" in text
    assert re.search(r"approved on 20\d\d-\d\d-\d\d \d\d:\d\d UTC by \w+", text)
    for leaving in LEAVES:
        assert leaving.what in text
    for threat in THREATS:
        assert threat.what.replace("`", " ").split("(")[0].split(" leukofed")[0].strip() in text
    for heading in ("Parties", "Purpose", "Data used here", "How long things are kept",
                    "Technical measures", "To be filled in by the hospital", "Words"):  # fmt: skip
        assert heading in text
    assert "Legal basis" in text


def test_the_page_needs_nothing_from_elsewhere(site: SiteOnDisk) -> None:
    html = page(site, site.propose()[0])
    assert not re.search(r"(src|href)=[\"'](?!#)", html)
    assert "url(" not in html
    assert "<script" not in html
    assert "default-src 'none'" in html


def test_a_proposal_has_papers_before_it_is_approved(site: SiteOnDisk) -> None:
    text = text_of(page(site, site.propose()[0]))
    assert "not approved: this is a proposal" in text
    assert "Nothing has left for this study." in text


def test_names_from_the_coordinator_cannot_become_markup(site: SiteOnDisk) -> None:
    labels = {"name": "four", "classes": ("<script>x</script>", "Early", "Pre", "Pro")}
    path, _ = site.propose(labels=labels)
    html = page(site, path)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "4 rows" not in html
    assert "The manifest could not be counted" in html


def test_the_parties_come_from_the_kit_of_the_coordinator_that_the_site_trusts(
    site: SiteOnDisk,
) -> None:
    key = openssh(ec.generate_private_key(ec.SECP384R1()).public_key())
    kit = Kit(
        federation="smears", site="north", address="front.example:8443",
        authority=write_folder(site.folder / "federation").authority.read_text(),
        coordinator=public_half(site.key), public_key=key, contact="Dr Ada, 555 01",
        terms="For research only.", leukofed="0.1", protocol=PROTOCOL, made=datetime.now(UTC),
    )  # fmt: skip
    (site.folder / "kit.yaml").write_text(kit_text(kit, site.key), encoding="utf-8")
    path, _ = site.propose()
    text = text_of(page(site, path))
    for words in ("smears", "front.example:8443", "Dr Ada, 555 01", "For research only."):
        assert words in text
    assert f"site north , key {fingerprint(key)}" in text
    assert "federation smears (Dr Ada, 555 01)" in " ".join(
        call(site, "approve", path).output.split()
    )

    other = kit.model_copy(update={"coordinator": public_half(new_key())})
    (site.folder / "kit.yaml").write_text(kit_text(other, site.key), encoding="utf-8")
    assert "is not signed by the coordinator" in call(site, "pack", path).output


def test_a_log_that_is_not_whole_is_said(site: SiteOnDisk) -> None:
    path, study = site.propose()
    door = Door(site.config.state, "north", site.config.limits)
    request = census_request(study=study.digest)
    door.admit(request, study)
    door.release(request, reply(request, arrays={}))
    log = site.config.state / "egress.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"round":1', b'"round":2'))
    assert "The log is not whole" in text_of(page(site, path))


def test_a_study_that_nobody_knows_is_an_operators_error(site: SiteOnDisk) -> None:
    result = call(site, "pack", "other")
    assert result.exit_code == 1
    assert "leukofed-site studies --all" in result.output
