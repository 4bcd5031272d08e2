"""`leukofed-server sites`: the register, and who is there."""

import json
from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION

_HALF = 17  # characters: a fingerprint in two lines


@click.command()
@FEDERATION
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects instead.")
@plain_errors
def sites(federation: Path, as_json: bool) -> None:
    """List the sites that were admitted, and who of them is there.

    A site that lost its connection counts as online until its lease is over, for up to a minute.
    The version is what the site told in the census of the newest run; before the first run, what
    its request told.

    Example: leukofed-server sites --federation /srv/leukofed
    """
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from server.federation import Federation
    from server.site_list import ago, site_states
    from server.status_view import open_console

    folder = Federation(federation)
    _ = folder.settings  # says so if this is no federation
    with Console(stderr=True).status("Asking the SuperLink"):
        found, failure = site_states(folder)
    if failure is not None:
        click.echo(f"Warning: {failure.problem}; who is online is not known.", err=True)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=2))
        return
    if not found:
        click.echo("No site was admitted yet.")
        return
    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False)
    for head in ("site", "state", "last seen", "version", "admitted", "revoked"):
        table.add_column(head, no_wrap=True)
    table.add_column("fingerprint", width=_HALF)
    for one in found:
        table.add_row(
            one.name,
            one.state,
            "-" if one.last_seen is None else ago(one.last_seen, now),
            Text(one.version or "-"),
            f"{one.admitted:%Y-%m-%d}",
            "-" if one.revoked is None else f"{one.revoked:%Y-%m-%d}",
            one.fingerprint,
        )
    open_console().print(table)
