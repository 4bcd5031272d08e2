"""`leukofed-server renew`: new certificates from the same root."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION


@click.command()
@FEDERATION
@plain_errors
def renew(federation: Path) -> None:
    """Make new certificates for the front and the SuperLink.

    Both last for 397 days, and every command warns 30 days before. The root stays the same, so no
    site needs a new kit and no site is dropped. Do this too after you changed the hosts in
    federation.yaml.

    Example: leukofed-server renew --federation /srv/leukofed
    """
    from common.errors import ConfigError
    from server.certificates import lifetimes
    from server.certificates import renew as renew_certificates
    from server.federation import Federation

    folder = Federation(federation)
    try:
        renew_certificates(folder)
    except OSError as error:
        raise ConfigError(
            f"a certificate cannot be written: {error.strerror}",
            fix="work as the federation's owner, on a disk with room; then repeat this command",
            local_detail=str(error),
        ) from error
    for one in lifetimes(folder):
        click.echo(f"{one.name} ends on {one.ends:%Y-%m-%d}")
    click.echo(
        "`leukofed-server start` takes them by itself: the front within seconds, the SuperLink as "
        "soon as no run is active."
    )
