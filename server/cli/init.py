"""`leukofed-server init`: a new federation."""

from pathlib import Path

import click

from common.commands import plain_errors


@click.command()
@click.option(
    "--federation",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    metavar="DIR",
    help="The folder to make.",
)
@click.option(
    "--host",
    "hosts",
    required=True,
    multiple=True,
    metavar="HOST",
    help="Name or address by which sites reach you; repeat it. They dial the first.",
)
@click.option("--name", default="federation", show_default=True, help="The federation's name.")
@click.option(
    "--port", default=8443, show_default=True, type=click.IntRange(1, 65535),
    help="Where the front listens for sites.",
)  # fmt: skip
@click.option(
    "--link-port", default=8000, show_default=True, type=click.IntRange(1, 65535),
    help="Where the SuperLink listens, for this host alone.",
)  # fmt: skip
@click.option("--contact", default="", help="Whom a hospital calls; stands in every kit.")
@click.option("--terms", default="", help="What the parties agreed on; stands in every kit.")
@plain_errors
def init(
    federation: Path,
    hosts: tuple[str, ...],
    name: str,
    port: int,
    link_port: int,
    contact: str,
    terms: str,
) -> None:
    """Make a federation: its folder, root certificate, signing key and settings.

    Everything lies in one folder that you alone may read. Two files in it cannot be replaced:
    tls/ca.key, the root certificate's key, and signing.pem, with which you sign. Keep copies of
    both where nobody else finds them.

    Example: leukofed-server init --federation /srv/leukofed --host leukofed.example.org
    --name trial --contact "Trial office, +49 1 2345"
    """
    from pydantic import ValidationError

    from common.kit import fingerprint
    from common.signing import public_half, read_key
    from server.federation import Settings
    from server.founding import found

    try:
        settings = Settings(
            name=name, hosts=hosts, port=port, link_port=link_port, contact=contact, terms=terms
        )
    except ValidationError as error:
        told = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise click.UsageError(told) from error
    made = found(federation, settings)
    key = public_half(read_key(made.signing_key))
    named = "" if federation == Path() else f" --federation {federation}"
    click.echo(
        f"The federation {name} is made in {made.path.resolve()}\n"
        f"  Sites will reach it at   {settings.address}\n"
        f"  Your fingerprint         {fingerprint(key)}\n"
        "\nNext:\n"
        "  1. Copy tls/ca.key and signing.pem to a safe place: nobody can make them again.\n"
        f"  2. leukofed-server start{named}\n"
        f"  3. For each hospital's request: leukofed-server admit REQUEST{named}\n"
        "Hospitals compare your fingerprint with you by telephone when they join."
    )
