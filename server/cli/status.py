"""`leukofed-server status`: the run, its sites, and what needs attention."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION, RUNS


@click.command()
@click.option(
    "--run",
    metavar="NAME",
    shell_complete=RUNS,
    help="Of this run.  [default: the one at work, or newest]",
)
@click.option("--watch", is_flag=True, help="Show it live, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print every field, for monitoring.")
@FEDERATION
@plain_errors
def status(run: str | None, watch: bool, as_json: bool, federation: Path) -> None:
    """Show how the run at work stands, or how the newest one ended.

    Per site: whether it is connected, what it was asked in this round and how long ago, how long
    rounds of this kind took before, when it was last seen, replies and bytes, and how often it
    refused or was lost. How far a site is within a round only its own `leukofed-site status`
    tells. Estimates are made from rounds that are over, in this run or in others of the same
    study.

    Exit code 1: something needs attention. The last lines say what; with --json, `attention`
    does. docs/status.md explains every field.

    Example: leukofed-server status --watch --federation /srv/leukofed

    Example: leukofed-server status --json
    """
    import sys

    from rich.console import Console

    from server.federation import Federation
    from server.following import watch as watch_status
    from server.lookout import Lookout
    from server.operations import named
    from server.status_view import open_console, page

    if watch and as_json:
        raise click.UsageError("--watch shows a table: leave out --json")
    folder = Federation(federation)
    _ = folder.settings
    if run is not None:
        named(folder, run)
    console = open_console()
    with Lookout(folder, run) as lookout:
        if watch:
            try:
                watch_status(lookout, console)
            except KeyboardInterrupt:
                return
        with Console(stderr=True).status("Asking the SuperLink"):
            found = lookout.status(complete=True)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        console.print(page(found))
    sys.exit(1 if found.attention else 0)
