"""A run followed on a terminal, live, or line by line where the output is no terminal."""

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from common.errors import RunStopped
from server.federation import Federation
from server.lookout import Lookout
from server.operations import wait_until_begun
from server.standing import standing
from server.status import Status
from server.status_view import page

_LOOK_EVERY_S = 2.0
_AGAIN = "`leukofed-server status --watch`"


def logged(run: Path) -> int:
    """Return how many bytes a run's process has logged so far."""
    file = run / "progress.log"
    return file.stat().st_size if file.exists() else 0


def follow(federation: Federation, run: str, console: Console, since: int = 0) -> Status:
    """Show a run until it ends, its log from byte `since` on; return how it stood last.

    Raises:
        RunStopped: it stopped by itself.
    """
    with Lookout(federation, run) as lookout:
        if console.is_terminal:
            status = _live(lookout, console)
        else:
            status = _lines(federation.runs / run, since, lookout, console)
    found = status.run
    if found is not None and found.state == "stopped" and status.attention:
        raise RunStopped(f"{run} stopped: {found.why}", fix=found.fix)
    return status


def see_through(
    federation: Federation,
    path: Path,
    flower_run: str,
    console: Console,
    *,
    detach: bool,
    since: int = 0,
) -> None:
    """Wait until a run that was submitted has begun, and follow it; Ctrl-C ends the view.

    Args:
        federation: whose.
        path: the run's folder.
        flower_run: Flower's number for it.
        console: shows it.
        detach: return as soon as it has begun.
        since: where its log goes on; what stands before is an earlier attempt's.

    Raises:
        LinkError: the SuperLink does not answer.
        RunStopped: it did not begin, or stopped by itself.
    """
    aside = Console(stderr=True)
    try:
        with aside.status("Waiting for the run to begin"):
            wait_until_begun(federation, path, flower_run, lambda text: _say(aside, text))
        if detach:
            _say(console, f"It has begun. To follow it: {_AGAIN}")
            return
        _say(console, "It has begun. Ctrl-C ends this view, not the run.")
        ended = follow(federation, path.name, console, since).run
    except KeyboardInterrupt:
        _say(
            console,
            f"The run goes on. To see it again: {_AGAIN}; to stop it: `leukofed-server stop "
            f"{path.name}`",
        )
        return
    if ended is not None:
        _say(console, f"{path.name}: {ended.state}{f', {ended.why}' if ended.why else ''}")
        if ended.report:
            _say(console, f"Report: {ended.report}")


def watch(lookout: Lookout, console: Console) -> None:
    """Show the status of a federation until Ctrl-C."""
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            live.update(page(lookout.status()), refresh=True)
            time.sleep(_LOOK_EVERY_S)


def log_lines(run: Path, *, follow: bool, since: int = 0) -> Iterator[str]:
    """Yield what a run's process logged from byte `since` on; with `follow`, until it ends."""
    file, position = run / "progress.log", since
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


def _live(lookout: Lookout, console: Console) -> Status:
    with Live(console=console, auto_refresh=False) as live:
        while True:
            status = lookout.status()
            live.update(page(status), refresh=True)
            if status.run is not None and status.run.state in ("finished", "stopped"):
                return status
            time.sleep(_LOOK_EVERY_S)


def _lines(run: Path, since: int, lookout: Lookout, console: Console) -> Status:
    for text in log_lines(run, follow=True, since=since):
        console.print(text, end="", markup=False, highlight=False, soft_wrap=True)
    return lookout.status()


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
