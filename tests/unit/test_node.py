"""What a SuperNode is told, and what its endings mean."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from client.node import UNKNOWN_KEY, NodeVerdicts, carriers, node_environment, quiet_s
from client.site_folder import SiteFolder
from common.supervision import Ending
from tests.support.processes import wait_until

REFUSED = Ending(1, 4.0, ("Exit Code: 305", "[code: 2004] Failed to activate SuperNode."))
CUT_OFF = Ending(0, 900.0, ("SuperNode terminated gracefully.",))
DIED_OF_IT = Ending(
    1, 900.0, ("\tstatus = StatusCode.UNAUTHENTICATED", '\tdetails = "Invalid node ID"', ">")
)


def test_a_refusal_is_taken_for_a_lease_for_a_while() -> None:
    verdicts = NodeVerdicts()
    verdict = verdicts(REFUSED)
    assert verdict.pause_s == 10
    assert "for up to 60 s" in verdict.words == verdicts.words
    verdicts = NodeVerdicts(lease_s=0.0)
    assert verdicts(REFUSED).pause_s == 10
    verdict = verdicts(REFUSED)
    assert (verdict.words, verdict.pause_s) == (UNKNOWN_KEY, None)
    verdicts.forget()
    assert verdicts.words == ""


@pytest.mark.parametrize("cut_off", [CUT_OFF, DIED_OF_IT])
def test_a_key_that_was_revoked_is_told_at_once(cut_off: Ending) -> None:
    verdicts = NodeVerdicts()
    assert verdicts(cut_off).words == UNKNOWN_KEY
    assert (verdicts(REFUSED).words, verdicts.words) == (UNKNOWN_KEY, UNKNOWN_KEY)
    verdicts.forget()
    assert verdicts(REFUSED).pause_s == 10


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "certificate has expired"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer", "may intercept"),
        ("Exit Code: 302", "the site's key cannot be used"),
        ("something else", "exit code 1 after 4 s"),
    ],
)
def test_endings_in_words(line: str, words: str) -> None:
    assert words in NodeVerdicts()(Ending(1, 4.0, ("before", line, "after"))).words


def test_a_killed_node_was_not_cut_off() -> None:
    ending = Ending(-9, 4.0, ("SuperExec terminated gracefully.",))
    assert NodeVerdicts()(ending).words == "ended by SIGKILL after 4 s"


def test_every_proxy_but_the_tunnel_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "http://proxy.hospital:3128")
    found = node_environment(SiteFolder(tmp_path), "http://127.0.0.1:4")
    assert found["HTTPS_PROXY"] == found["HTTP_PROXY"] == "http://127.0.0.1:4"
    assert not {"https_proxy", "ALL_PROXY", "no_proxy"} & found.keys()
    assert not [value for value in found.values() if "proxy.hospital" in value]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_carriers_are_found_by_their_group() -> None:
    code = "import time; time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, "flwr-clientapp"], start_new_session=True
    ) as process:
        try:
            wait_until(lambda: carriers(process.pid), 5, "the process")
            (found,) = carriers(process.pid)
            assert found.pid == process.pid
            assert 0 <= found.age_s < 5
            assert not carriers(os.getpgid(0))
        finally:
            process.kill()


def test_how_long_there_was_no_sign_of_life(tmp_path: Path) -> None:
    assert quiet_s(tmp_path / "pulse") == float("inf")
    (tmp_path / "pulse").touch()
    assert quiet_s(tmp_path / "pulse") < 5
    os.utime(tmp_path / "pulse", (time.time() - 50,) * 2)
    assert 49 < quiet_s(tmp_path / "pulse") < 60
