"""The SuperLink's control interface, by Flower's own command: nodes and runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from common.errors import LeukofedError
from server.federation import Federation
from server.health import link_answers
from server.sole_service import is_served

T = TypeVar("T")
SUPERLINK = "own"
"""The name of the SuperLink in `config.toml` of Flower's folder."""
_PATIENCE_S = 120.0
_STARTING_S = 30.0
_ABSENT = "Connection to the SuperLink is unavailable"  # in Flower's words


class LinkError(LeukofedError):
    """The SuperLink does not answer, or refuses what it was asked."""


class LinkAbsentError(LinkError):
    """The SuperLink does not answer."""


def flower_environment(home: Path) -> dict[str, str]:
    """Return the environment for a process of Flower's.

    It calls nobody, through no proxy either, for all that it reaches is on the loopback; and it
    finds its children, which Flower starts by name, in this very installation.

    Args:
        home: the party's folder for Flower (`FLWR_HOME`).
    """
    here = str(Path(sys.executable).parent)
    kept = {name: text for name, text in os.environ.items() if not _is_proxy(name)}
    return {
        **kept,
        "FLWR_HOME": str(home.resolve()),  # those processes run in other folders
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def _is_proxy(name: str) -> bool:
    return name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def write_connection(federation: Federation) -> None:
    """Write the file by which Flower's command finds the SuperLink."""
    settings = federation.settings
    federation.flower_home.mkdir(parents=True, exist_ok=True)
    (federation.flower_home / "config.toml").write_text(
        f'[superlink]\ndefault = "{SUPERLINK}"\n\n[superlink.{SUPERLINK}]\n'
        f'address = "127.0.0.1:{settings.link_port}"\n'
        f"root-certificates = {json.dumps(str(federation.authority.resolve()))}\n",
        encoding="utf-8",
    )


def flwr(federation: Federation, *words: object) -> Mapping[str, Any]:
    """Run one of Flower's commands against the SuperLink; a second or two of processor time.

    Args:
        federation: whose SuperLink.
        words: the command's, the SuperLink's name (`SUPERLINK`) among them.

    Returns:
        What it answered.

    Raises:
        LinkError: the SuperLink does not answer, or refuses; Flower's own text is the detail.
    """

    def told() -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = json.loads(_run(federation, *words, "--format", "json"))
        except ValueError as error:
            raise LinkError(
                f"Flower's command `{words[0]}` gave an answer that cannot be read",
                fix="compare the installed flwr with constraints.txt",
            ) from error
        if found.get("success") is False:  # with JSON, Flower's command ends with 0 all the same
            raise _undone(words[0], str(found.get("error-message", "")))
        return found

    return _patiently(federation, told)


def flwr_text(federation: Federation, *words: object) -> str:
    """Run one of Flower's commands and return what it printed.

    Raises:
        LinkError: as `flwr` says.
    """
    return _patiently(federation, lambda: _run(federation, *words))


def _patiently(federation: Federation, ask: Callable[[], T]) -> T:
    """Ask again, not for ever, while `leukofed-server start` runs and its SuperLink does not.

    It may be starting, or be started anew with a renewed certificate.
    """
    end = time.monotonic() + _STARTING_S
    while True:
        try:
            return ask()
        except LinkAbsentError:
            if time.monotonic() > end or not is_served(federation):
                raise
        while not link_answers(federation) and time.monotonic() < end:
            time.sleep(0.2)


def _run(federation: Federation, *words: object) -> str:
    command = [str(Path(sys.executable).parent / "flwr"), *map(str, words)]
    try:
        done = subprocess.run(
            command, env=flower_environment(federation.flower_home), cwd=federation.path,
            capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LinkError(
            f"the SuperLink did not answer `{words[0]}` within {_PATIENCE_S:g} s", fix=_START
        ) from error
    if done.returncode:
        raise _undone(words[0], (done.stdout + done.stderr).strip())
    return done.stdout


def _undone(command: object, told: str) -> LinkError:
    if _ABSENT in told:
        return LinkAbsentError("the SuperLink does not answer", fix=_START, local_detail=told)
    return LinkError(
        f"the SuperLink did not do what Flower's command `{command}` asked",
        fix=_START,
        local_detail=told,
    )


_START = "see that `leukofed-server start` is running, and what its log says"
