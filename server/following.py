"""A run followed on a terminal, live, or line by line where the output is no terminal."""

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from common.errors import RunStopped
from server.federation import Federation
from server.lookout import Lookout
from server.standing import standing
from server.status import Status
from server.status_view import page

_LOOK_EVERY_S = 2.0


def follow(federation: Federation, run: str, console: Console) -> Status:
    """Show a run until it ends; return how it stood last.

    Raises:
        RunStopped: it stopped by itself.
    """
    with Lookout(federation, run) as lookout:
        status = (_live if console.is_terminal else _lines)(federation.runs / run, lookout, console)
    found = status.run
    if found is not None and found.state == "stopped" and status.attention:
        raise RunStopped(f"{run} stopped: {found.why}", fix=found.fix)
    return status


def watch(lookout: Lookout, console: Console) -> None:
    """Show the status of a federation until Ctrl-C."""
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            live.update(page(lookout.status()), refresh=True)
            time.sleep(_LOOK_EVERY_S)


def log_lines(run: Path, *, follow: bool) -> Iterator[str]:
    """Yield what a run's process logged, and with `follow` what it adds until it ends."""
    file, position = run / "progress.log", 0
    while True:
        is_over = not follow or not standing(run).is_active  # before the last look
        if file.exists():
            with file.open(encoding="utf-8", errors="replace") as log:
                log.seek(position)
                if text := log.read():
                    yield text
                position = log.tell()
        if is_over:
            return
        time.sleep(_LOOK_EVERY_S / 2)


def _live(run: Path, lookout: Lookout, console: Console) -> Status:
    with Live(console=console, auto_refresh=False) as live:
        while True:
            status = lookout.status()
            live.update(page(status), refresh=True)
            if status.run is not None and status.run.state in ("finished", "stopped"):
                return status
            time.sleep(_LOOK_EVERY_S)


def _lines(run: Path, lookout: Lookout, console: Console) -> Status:
    for text in log_lines(run, follow=True):
        console.print(text, end="", markup=False, highlight=False, soft_wrap=True)
    return lookout.status()
