"""The environment of Flower's processes at the coordinator."""

from pathlib import Path

import pytest

from server.control import flower_environment
from server.sole_service import alone, is_served
from tests.support.coordinator_folder import write_folder


def test_flowers_folder_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = flower_environment(Path("federation") / "flower")
    assert found["FLWR_HOME"] == str(tmp_path / "federation" / "flower")


def test_no_proxy_stands_before_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("HTTPS_PROXY", "http_proxy", "ALL_PROXY")
    for name in names:
        monkeypatch.setenv(name, "http://proxy.example.org:3128")
    monkeypatch.setenv("LANG", "C.UTF-8")
    found = flower_environment(Path("/srv/leukofed/flower"))
    assert not found.keys() & set(names)
    assert found["LANG"] == "C.UTF-8"


def test_it_is_seen_whether_a_federation_is_served(tmp_path: Path) -> None:
    federation = write_folder(tmp_path / "federation", "localhost")
    assert not is_served(federation)
    with alone(federation):
        assert is_served(federation)
    assert not is_served(federation)
