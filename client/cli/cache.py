"""`leukofed-site cache`: what the cache holds, for whom, and since when it was not used."""

import time
from pathlib import Path

import click

from client.cli.options import SITE, SITE_FILE
from common.commands import plain_errors
from common.durations import duration
from common.plain_text import plain

_HEAD = ("what", "studies", "records", "MB", "last used")


@click.command()
@SITE
@SITE_FILE
@click.option(
    "--clear", is_flag=True, help="Remove all of it; what is needed again is computed anew."
)
@plain_errors
def cache(site: Path, site_file: Path | None, clear: bool) -> None:
    """Show what this site's cache holds: prepared images, activations and features.

    When the cache reaches its limit (`cache.limit_gb` of the site file), records of studies that
    are not approved any more are removed first, then those unused for longest; what the work in
    progress needs stays. The worker's log tells what was removed.

    --clear removes all records, and the digests and verdicts that were remembered, while no worker
    runs. Nothing is lost but time: images are read, decoded and passed through the fronts again.
    What was not written by this software stays where it is.

    Example: leukofed-site cache --site /var/lib/leukofed

    Example: leukofed-site cache --clear
    """
    from client.data.cache import ActivationCache
    from client.data.remnants import EVERYTHING, remove_remnants
    from client.site_config import load_site_config
    from client.site_folder import SiteFolder
    from client.state_lock import as_owner

    config = load_site_config(site_file or SiteFolder(site).site_file)
    folder, limit = config.cache.folder, config.cache.limit_gb
    with as_owner(folder):
        if clear:
            held = ActivationCache(folder, 0)
            try:
                removed = remove_remnants(folder, EVERYTHING)
            finally:
                held.close()
            click.echo(
                f"Removed {removed.records} records ({removed.bytes / 1e6:.1f} MB) and "
                f"{removed.findings} remembered findings."
            )
            return
        rows = _rows(folder)
    if len(rows) == 1:
        click.echo("The cache is empty.")
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
    total = sum(float(row[3]) for row in rows[1:])
    click.echo(f"{total:.1f} MB of {limit:g} GB")


def _rows(folder: Path) -> list[tuple[str, ...]]:
    """Return the table's rows, what was used last first."""
    from client.data.shelf import keys_of, last_used, read_card, shelves_below, size_of

    rows: list[tuple[str, ...]] = [_HEAD]
    for place in sorted(shelves_below(folder), key=last_used, reverse=True):
        card = read_card(place)
        studies = "" if card is None else ", ".join(sorted(set(card.studies.values())))
        rows.append((
            "of an older version" if card is None else plain(card.holds), plain(studies) or "-",
            str(len(keys_of(place))), f"{size_of(place) / 1e6:.1f}",
            f"{duration(max(0.0, time.time() - last_used(place) / 1e9))} ago",
        ))  # fmt: skip
    return rows
