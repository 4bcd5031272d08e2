"""`leukofed-server revoke`: a site, cut off for good."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION, SITES


@click.command()
@click.argument("name", shell_complete=SITES)
@click.option("--yes", is_flag=True, help="Do not ask.")
@FEDERATION
@plain_errors
def revoke(name: str, yes: bool, federation: Path) -> None:
    """Cut the site NAME off, within ten seconds, and burn its key.

    Its next poll is refused, in the middle of a run too; the run goes on without it as long as
    its quorum holds. The key can never be admitted again: a hospital that comes back makes a new
    site, with a new key, and sends a new request. What the site has contributed to models stays
    in them.

    Example: leukofed-server revoke north --federation /srv/leukofed
    """
    from rich.console import Console

    from common.errors import LeukofedError
    from server.control import LinkError
    from server.federation import Federation
    from server.sites import revoke as revoke_site

    folder = Federation(federation)
    _ = folder.settings
    if not yes:
        click.confirm(f"Cut {name} off for good, and burn its key?", abort=True)
    try:
        with Console(stderr=True).status("Telling the SuperLink"):
            site = revoke_site(folder, name)
    except LinkError as error:
        raise LeukofedError(
            f"{name} is marked as revoked, but is not cut off yet: {error.problem}",
            fix="run `leukofed-server start`, which cuts it off when it begins; if it is running "
            f"already, repeat this command for {name}",
            local_detail=error.local_detail,
        ) from error
    click.echo(
        f"{name} is cut off; its key is burnt. Revoked on {site.revoked:%Y-%m-%d %H:%M} UTC.\n"
        "To come back, the hospital makes a new site with `leukofed-site init`, with a new key."
    )
