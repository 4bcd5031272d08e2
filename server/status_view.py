"""A federation's status as a page of a terminal."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from common.durations import duration
from common.sizes import size
from server.now import ASKED
from server.progress import DONE
from server.site_list import ago
from server.status import RunStatus, SiteStatus, Status

_WIDTH = 120
_COLOURS = {DONE: "green", ASKED: "cyan", "waiting": "dim"}
_STATES = {"running": "cyan", "starting": "cyan", "finished": "green", "stopped": "yellow"}


def open_console() -> Console:
    """Return a console that is wide enough for the tables also where no terminal tells a width."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH)


def page(status: Status) -> RenderableType:
    """Lay out a status: the run, its sites, and what needs attention."""
    parts: list[RenderableType] = [
        Text(f"Federation {status.federation}; the SuperLink {_link(status)}{_services(status)}")
    ]
    if status.run is None:
        parts.append(Text("No run was launched yet."))
    else:
        parts += [*_head(status.run, status.time), _table(status.run, status.time)]
        parts += _problems(status.run)
    parts += [Text(f"! {text}", style="yellow") for text in status.attention]
    return Group(*parts)


def _link(status: Status) -> str:
    return "answers" if status.superlink == "answers" else "does not answer"


def _services(status: Status) -> str:
    if status.services is None:
        return ""
    begun = datetime.fromisoformat(status.services.since)
    return f"; services running since {begun.astimezone():%Y-%m-%d %H:%M}"


def _head(run: RunStatus, now: datetime) -> Iterator[Text]:
    kind = ", a rehearsal on generated images" if run.rehearsal else ""
    yield Text.assemble(
        ("Run ", ""), (run.run, "bold"), (f"{kind}: ", ""), (run.state, _STATES[run.state])
    )
    worked = f"{duration(run.worked_s)} at work" if run.worked_s else "not at work yet"
    yield Text(f"Study {run.study}, digest {run.digest[:12]}; {worked}")
    if run.state == "running" and run.phase:
        yield Text(_where(run))
    if run.state == "stopped":
        when = f", {ago(run.ended, now)}" if run.ended else ""
        yield Text(f"Stopped{when}: {run.why}\n  To fix: {run.fix}", style="yellow")
    if run.report:
        yield Text(f"Report: {run.report}")


def _where(run: RunStatus) -> str:
    of = f" of {run.rounds}" if run.rounds else ""
    exchange = f", exchange {run.exchange + 1}" if run.exchange else ""
    where = (
        f"Phase {run.phase_number} of {run.phases}: {run.phase}, round {run.round}{of}{exchange}"
    )
    if run.round_elapsed_s is not None:
        expected = run.round_expected_s
        where += f"; {duration(run.round_elapsed_s)}" + (
            f" of about {duration(expected)}" if expected is not None else ""
        )
    left = "not known yet" if run.left_s is None else f"about {duration(run.left_s)}"
    return f"{where}\nTime left: {left}"


def _table(run: RunStatus, now: datetime) -> Table:
    table = Table("site", "there", "this round", "for", "expected", "last seen")
    for name in ("replies", "down", "up", "refused", "lost"):
        table.add_column(name, justify="right")
    for name, site in run.sites.items():
        table.add_row(
            name,
            Text(site.node, style="" if site.node == "online" else "yellow"),
            Text(site.status, style=_COLOURS.get(site.status, "red")),
            "-" if site.elapsed_s is None else duration(site.elapsed_s),
            "-" if site.expected_s is None else duration(site.expected_s),
            _seen(site, now),
            str(site.replies),
            size(site.bytes_down),
            size(site.bytes_up),
            str(site.refused),
            str(site.lost),
        )
    return table


def _problems(run: RunStatus) -> Iterator[Text]:
    """Tell each site's newest trouble, unless a later reply of it has counted."""
    for name, site in run.sites.items():
        if site.problem_time is None:
            continue
        if site.last_reply is None or site.problem_time > site.last_reply:
            fix = f"\n  To fix: {site.fix}" if site.fix else ""
            yield Text(f"{name}, {site.problem_time.astimezone():%H:%M}: {site.problem}{fix}")


def _seen(site: SiteStatus, now: datetime) -> str:
    seen = [time for time in (site.last_seen, site.last_reply) if time is not None]
    return ago(max(seen), now) if seen else "-"
