"""`leukofed-server stop`: a run, stopped; it can be resumed."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION, RUNS


@click.command()
@click.argument("run", shell_complete=RUNS)
@click.option("--yes", is_flag=True, help="Do not ask.")
@FEDERATION
@plain_errors
def stop(run: str, yes: bool, federation: Path) -> None:
    """Stop a RUN. What its finished rounds gave is kept, and `resume` goes on from there.

    A site that is at work finishes what it was asked, and keeps its reply for when the run is
    resumed.

    Example: leukofed-server stop trial-1 --federation /srv/leukofed
    """
    from rich.console import Console

    from server.federation import Federation
    from server.operations import named
    from server.operations import stop as stop_run

    folder = Federation(federation)
    _ = folder.settings
    one = named(folder, run)
    if not yes:
        where = f" in {one.phase}, round {one.round}" if one.phase else ""
        click.confirm(f"Stop {run}{where}? The round under way will be done again", abort=True)
    with Console(stderr=True).status(f"Stopping {run}"):
        has_ended = stop_run(folder, one)
    click.echo(
        f"{run} has stopped. To go on: `leukofed-server resume {run}`"
        if has_ended
        else f"{run} was told to stop, and its process has not ended yet: see "
        "`leukofed-server status`"
    )
