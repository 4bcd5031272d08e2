"""`leukofed-server key`: the key with which the coordinator signs."""

from pathlib import Path

import click

from common.commands import plain_errors
from common.errors import ConfigError


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@plain_errors
def key(file: Path) -> None:
    """Make the coordinator's signing key in FILE, or show the public half of the one there.

    The public half is what every hospital puts into its site file, under `coordinator`: tell it
    by telephone, or by another way than the one on which you send studies. Keep FILE to yourself,
    and keep a copy: a worker takes requests and studies that this key signed, and no others.

    Example: leukofed-server key /etc/leukofed/signing.pem
    """
    from common.signing import new_key, public_half, read_key, write_key

    if not file.exists():
        try:
            write_key(file, new_key())
        except OSError as error:
            raise ConfigError(
                f"the key cannot be written: {error.strerror}",
                fix="name a file in a folder that exists and that you may write to",
                local_detail=str(file),
            ) from error
    click.echo(public_half(read_key(file)))
