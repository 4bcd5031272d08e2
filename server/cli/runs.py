"""`leukofed-server runs`: every run of a federation."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects instead.")
@FEDERATION
@plain_errors
def runs(as_json: bool, federation: Path) -> None:
    """List the runs of a federation, oldest first: what became of each, and of how many sites.

    `took` is the time at work, all launches of a run together. `sites` tells how many of the
    study's sites have given a reply that counted.

    Example: leukofed-server runs --federation /srv/leukofed
    """
    import json

    from rich.table import Table
    from rich.text import Text

    from common.durations import duration
    from server.federation import Federation
    from server.operations import all_standings
    from server.run_list import run_rows
    from server.status_view import open_console

    folder = Federation(federation)
    _ = folder.settings
    rows = run_rows(all_standings(folder))
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows], indent=2))
        return
    if not rows:
        click.echo("No run was launched yet.")
        return
    table = Table("run", "study", "state", "began", "took", "macro-F1", "sites")
    for row in rows:
        table.add_row(
            row.run + (" (rehearsal)" if row.rehearsal else ""),
            row.study,
            Text(f"{row.state}: {row.why}" if row.why else row.state),
            "-" if row.began is None else f"{row.began.astimezone():%Y-%m-%d %H:%M}",
            duration(row.worked_s),
            "-" if row.macro_f1 is None else f"{row.macro_f1:.3f}",
            f"{len(row.took_part)} of {row.invited}",
        )
    open_console().print(table)
