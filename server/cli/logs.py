"""`leukofed-server logs`: what a run's process said."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION, RUNS


@click.command()
@click.argument("run", required=False, shell_complete=RUNS)
@click.option("--follow", is_flag=True, help="Go on until the run ends, or Ctrl-C.")
@click.option("--flower", is_flag=True, help="Show Flower's own log of the newest launch instead.")
@FEDERATION
@plain_errors
def logs(run: str | None, follow: bool, flower: bool, federation: Path) -> None:
    """Show the log of a RUN, by default of the one at work or the newest.

    It holds a line for every round, and one for everything that went wrong with a site. The
    record, record.jsonl in the run's folder, holds every exchange in full. Flower's log shows
    what Python said where a run did not even begin.

    Example: leukofed-server logs trial-1 --follow
    """
    from server.control import SUPERLINK, flwr_text
    from server.federation import Federation
    from server.following import log_lines
    from server.operations import all_standings, named
    from server.status import chosen

    if follow and flower:
        raise click.UsageError("--follow shows the run's own log: leave out --flower")
    folder = Federation(federation)
    _ = folder.settings
    one = chosen(all_standings(folder)) if run is None else named(folder, run)
    if one is None:
        click.echo("No run was launched yet.")
    elif flower:
        if not one.flower_run:
            click.echo(f"{one.run} was never submitted to Flower.")
        else:
            click.echo(flwr_text(folder, "log", one.flower_run, SUPERLINK, "--show"))
    else:
        try:
            for text in log_lines(one.path, follow=follow):
                click.echo(text, nl=False)
        except KeyboardInterrupt:
            return
