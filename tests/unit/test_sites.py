"""The register of admitted sites: names bound to keys. What needs a SuperLink is a slow test."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.errors import ConfigError
from common.kit import EnrolmentRequest, fingerprint
from common.study.schema import PROTOCOL
from common.yaml_file import dump_yaml
from server.cli.main import main
from server.control import LinkError
from server.federation import Federation, Settings
from server.founding import found
from server.locks import held
from server.site_list import ago, presence
from server.sites import AdmittedSite, admitted_sites, known_entry, register, revoke
from tests.support.keys import node_public_key
from tests.support.processes import free_port

DAY = datetime(2026, 11, 1, 8, tzinfo=UTC)


def key(number: int) -> str:
    return node_public_key(number, "ssh").decode()


def asked(number: int, site: str = "north") -> EnrolmentRequest:
    return EnrolmentRequest(
        site=site, public_key=key(number), contact="IT", leukofed="0.1.0", protocol=PROTOCOL,
        made=DAY,
    )  # fmt: skip


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """A federation whose SuperLink does not run, with four sites."""
    made = found(
        tmp_path / "one", Settings(name="trial", hosts=("localhost",), link_port=free_port())
    )
    entries = {
        "north": AdmittedSite(
            name="north", public_key=key(1), node_id=11, version="0.1.0", admitted=DAY
        ),
        "west": AdmittedSite(name="west", public_key=key(2), admitted=DAY),
        "east": AdmittedSite(
            name="east", public_key=key(3), node_id=13, admitted=DAY,
            revoked=DAY + timedelta(days=1),
        ),
        "east.revoked-1": AdmittedSite(
            name="east", public_key=key(4), node_id=14, admitted=DAY - timedelta(days=9),
            revoked=DAY - timedelta(days=1),
        ),
    }  # fmt: skip
    for file, entry in entries.items():
        (made.sites / f"{file}.yaml").write_text(dump_yaml(entry), encoding="utf-8")
    return made


def test_the_register_holds_all_and_only_some_may_take_part(federation: Federation) -> None:
    assert [one.name for one in register(federation)] == ["east", "east", "north", "west"]
    assert list(admitted_sites(federation)) == ["north"]  # west: not registered; east: revoked


def test_the_same_request_finds_its_entry_whole_or_half_done(federation: Federation) -> None:
    whole, half = (
        known_entry(federation, asked(1), "north"),
        known_entry(federation, asked(2), "west"),
    )
    assert whole is not None
    assert whole.node_id == 11
    assert half is not None
    assert half.node_id is None
    assert known_entry(federation, asked(5), "south") is None


@pytest.mark.parametrize("number", [3, 4])
def test_a_burnt_key_is_never_admitted_again(number: int, federation: Federation) -> None:
    with pytest.raises(ConfigError, match=r"was revoked on 2026-1\S+ and is burnt"):
        known_entry(federation, asked(number), "east")


def test_a_name_has_one_key_and_a_key_one_name(federation: Federation) -> None:
    with pytest.raises(ConfigError, match="there is a site north already, with another key"):
        known_entry(federation, asked(5), "north")
    with pytest.raises(ConfigError, match="this key was admitted under the name north"):
        known_entry(federation, asked(1), "south")


def test_a_revoked_sites_name_is_free_for_a_new_key(federation: Federation) -> None:
    assert known_entry(federation, asked(5), "east") is None


@pytest.mark.slow
def test_a_site_is_revoked_in_the_register_even_if_the_superlink_is_away(
    federation: Federation,
) -> None:
    with pytest.raises(LinkError):
        revoke(federation, "north")
    assert admitted_sites(federation) == {}
    with pytest.raises(ConfigError, match="burnt"):
        known_entry(federation, asked(1), "north")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["[/nothing]", "\x1b[2J" + 95 * "x"])
def test_what_a_site_tells_of_itself_is_shown_as_text(version: str, federation: Federation) -> None:
    run = federation.runs / "trial-1"
    run.mkdir()
    told = {"event": "round", "phase": "census",
            "census": {"north": {"software": {"leukofed": version}}}}  # fmt: skip
    (run / "record.jsonl").write_text(f"{json.dumps(told)}\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["sites", "--federation", str(federation.path)])
    assert result.exit_code == 0
    assert version.replace("\x1b", " ").strip()[:9] in result.stdout
    assert "\x1b" not in result.stdout


def test_the_register_is_changed_by_one_command_at_a_time(federation: Federation) -> None:
    with ThreadPoolExecutor(1) as other:
        with held(federation.sites):
            waiting = other.submit(revoke, federation, "nobody")
            time.sleep(0.1)
            assert not waiting.done()
        with pytest.raises(ConfigError, match="no site nobody"):
            waiting.result()


def test_an_unknown_site_cannot_be_revoked(federation: Federation) -> None:
    with pytest.raises(ConfigError, match="no site south"):
        revoke(federation, "south")


@pytest.mark.slow
def test_the_list_says_what_is_known_without_a_superlink(federation: Federation) -> None:
    (federation.runs / "trial-1").mkdir()
    (federation.runs / "trial-1" / "record.jsonl").write_text(
        '{"event": "round", "phase": "census", "round": 1, '
        '"census": {"north": {"software": {"leukofed": "0.2.0"}}}}\n',
        encoding="utf-8",
    )
    result = CliRunner().invoke(main, ["sites", "--json", "--federation", str(federation.path)])
    assert result.exit_code == 0
    assert "Warning: the SuperLink does not answer; who is online is not known." in result.stderr
    told = json.loads(result.stdout)
    assert [(one["name"], one["state"], one["version"]) for one in told] == [
        ("east", "revoked", ""),
        ("east", "revoked", ""),
        ("north", "unknown", "0.2.0"),
        ("west", "unknown", ""),
    ]
    assert told[2] == {
        "name": "north", "fingerprint": fingerprint(key(1)), "state": "unknown",
        "last_seen": None, "version": "0.2.0", "contact": "",
        "admitted": "2026-11-01T08:00:00+00:00", "revoked": None,
    }  # fmt: skip


NODE = {"status": "offline", "offline-at": "2026-11-02 09:30:00Z"}


@pytest.mark.parametrize(
    ("there", "state", "seen"),
    [
        ({11: {**NODE, "status": "registered"}}, "never seen", None),
        ({11: NODE}, "offline", datetime(2026, 11, 2, 9, 30, tzinfo=UTC)),
        ({}, "not registered", None),
        (None, "unknown", None),
    ],
)
def test_a_sites_state_follows_from_what_flower_lists(
    there: dict[int, dict[str, str]] | None, state: str, seen: datetime | None
) -> None:
    site = AdmittedSite(name="north", public_key=key(1), node_id=11, admitted=DAY)
    assert presence(site, there) == (state, seen)
    burnt = site.model_copy(update={"revoked": DAY})
    assert presence(burnt, there)[0] == ("revoked, still registered" if there else "revoked")


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=9), "now"),
        (timedelta(seconds=70), "1 min 10 s ago"),
        (timedelta(hours=30), "30 h 0 min ago"),
        (timedelta(days=2), "2 days ago"),
    ],
)
def test_how_long_ago_is_said_in_words(passed: timedelta, words: str) -> None:
    assert ago(DAY, DAY + passed) == words
