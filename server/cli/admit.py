"""`leukofed-server admit`: a hospital's request, and the kit that answers it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION

if TYPE_CHECKING:
    from common.kit import EnrolmentRequest


@click.command()
@click.argument("request", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="The site's name in studies.  [default: as in the request]")
@click.option(
    "--fingerprint",
    metavar="DIGITS",
    help="What the hospital told you by telephone; without it, you are asked.",
)
@FEDERATION
@plain_errors
def admit(request: Path, name: str | None, fingerprint: str | None, federation: Path) -> None:
    """Admit the hospital that sent a REQUEST, and write its kit.

    Call the hospital on a number that you know, not on the one in the request, and let it read
    the fingerprint that `leukofed-site init` showed. Only the right digits tell that the
    request is the hospital's. Then its key is registered under its name, and kits/NAME.kit.yaml
    is written; it holds no secret. The SuperLink must run.

    The same request again only writes the kit anew, for example after you changed the address.

    Example: leukofed-server admit north.request.yaml --federation /srv/leukofed
    """
    from rich.console import Console

    from common.kit import fingerprint as fingerprint_of
    from common.kit import read_kit, read_request
    from server.federation import Federation
    from server.kits import write_kit
    from server.sites import admit as admit_site
    from server.sites import known_entry

    found, folder = read_request(request), Federation(federation)
    _ = folder.settings  # says so if this is no federation
    _check(found, name)
    chosen = name or found.site
    entry = known_entry(folder, found, chosen)
    click.echo(
        f"  Site         {chosen}{f' (asked for {found.site})' if chosen != found.site else ''}\n"
        f"  Contact      {found.contact or '-'}\n"
        f"  Version      leukofed {found.leukofed}\n"
        f"  Made         {found.made:%Y-%m-%d %H:%M}\n"
        f"  Fingerprint  {fingerprint_of(found.public_key)}"
    )
    if entry is None:
        _compare(found, fingerprint)
    if entry is None or entry.node_id is None:
        with Console(stderr=True).status("Registering the key with the SuperLink"):
            entry = admit_site(folder, found, chosen)
        click.echo(f"{chosen} is admitted.")
    else:
        click.echo(f"{chosen} was admitted on {entry.admitted:%Y-%m-%d}; its kit is written anew.")
    kit = write_kit(folder, entry)
    click.echo(
        f"Send this file to the hospital, which takes it with `leukofed-site join`:\n  {kit}\n"
        f"Read your own fingerprint to the hospital: {fingerprint_of(read_kit(kit).coordinator)}"
    )


def _check(request: "EnrolmentRequest", name: str | None) -> None:
    """Check what the proof does not tell.

    Raises:
        ConfigError: the site speaks another protocol, or the name cannot be one.
    """
    from pydantic import TypeAdapter, ValidationError

    from common.errors import ConfigError
    from common.study.schema import PROTOCOL, SiteName

    if request.protocol != PROTOCOL:
        raise ConfigError(
            f"the site speaks version {request.protocol} of the exchange, here it is {PROTOCOL}",
            fix="install the same version of leukofed at both ends, then let the hospital make a "
            "new request",
        )
    try:
        TypeAdapter(SiteName).validate_python(name or request.site)
    except ValidationError as error:
        raise click.UsageError(
            "--name: lower-case letters, digits and hyphens, at most 32"
        ) from error


def _compare(request: "EnrolmentRequest", told: str | None) -> None:
    """Compare the fingerprint with the one that the hospital told.

    Raises:
        ConfigError: they differ.
    """
    from common.errors import ConfigError
    from common.kit import is_fingerprint

    if told is None:
        same = click.confirm("Is this what the hospital reads to you by telephone?")
    else:
        same = is_fingerprint(told, request.public_key)
    if not same:
        raise ConfigError(
            "the fingerprint is not the hospital's, so nothing was admitted",
            fix="get the request from the hospital again, by another way, and compare once more",
        )
