"""`leukofed-site join`: the coordinator's kit, verified and put in place."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.cli.options import SITE
from common.commands import plain_errors

if TYPE_CHECKING:
    from client.joining import Offer


@click.command()
@click.argument("kit", type=click.Path(dir_okay=False, path_type=Path))
@SITE
@click.option(
    "--fingerprint",
    metavar="DIGITS",
    help="What the coordinator told you by telephone; without it, you are asked.",
)
@click.option(
    "--new-coordinator", is_flag=True, help="Take another coordinator than the one joined so far."
)
@plain_errors
def join(kit: Path, site: Path, fingerprint: str | None, new_coordinator: bool) -> None:
    """Join the federation whose coordinator sent the KIT.

    Call the coordinator on a number that you know, not on the one in the kit, and let it read its
    fingerprint. Only the right digits tell that the kit is the coordinator's: from then on,
    the worker takes requests and studies that its key signed, and no others. A later kit of the
    same coordinator, for example with a new address, needs no comparison.

    Example: leukofed-site join north.kit.yaml --site /var/lib/leukofed
    """
    from client.joining import read_offer, take
    from client.site_folder import SiteFolder
    from common.kit import fingerprint as fingerprint_of

    folder = SiteFolder(site)
    offer = read_offer(folder, kit, new_coordinator=new_coordinator)
    found = offer.kit
    renamed = f" (it asked for {offer.name})" if found.site != offer.name else ""
    click.echo(
        f"  Federation   {found.federation}\n"
        f"  This site    {found.site}{renamed}\n"
        f"  Address      {found.address}\n"
        f"  Contact      {found.contact or '-'}\n"
        f"  Terms        {_indented(found.terms) or '-'}\n"
        f"  Version      leukofed {found.leukofed} at the coordinator\n"
        f"  Fingerprint  {fingerprint_of(found.coordinator)} of the coordinator"
    )
    if offer.is_known:
        click.echo("This is the coordinator that this site joined.")
    else:
        _compare(offer, fingerprint)
    take(folder, offer)
    click.echo(
        f"This site has joined {found.federation}; no study runs here before you approve it.\n"
        "Next: leukofed-site check, then leukofed-site run. If it runs already, start it again."
    )


def _indented(text: str) -> str:
    """Keep the further lines of a text from passing for lines of this command's own."""
    return text.strip().replace("\n", f"\n{' ' * 15}")


def _compare(offer: "Offer", told: str | None) -> None:
    """Compare the coordinator's fingerprint with the one that it told.

    Raises:
        ConfigError: they differ.
    """
    from common.errors import ConfigError
    from common.kit import is_fingerprint

    if told is None:
        same = click.confirm("Is this what the coordinator reads to you by telephone?")
    else:
        same = is_fingerprint(told, offer.kit.coordinator)
    if not same:
        raise ConfigError(
            "the fingerprint is not the coordinator's, so nothing was changed",
            fix="get the kit from the coordinator again, by another way, and compare once more",
        )
