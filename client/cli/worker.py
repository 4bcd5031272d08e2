"""`leukofed-site worker`: the process that sees the images."""

import logging
import sys
from pathlib import Path

import click

from client.cli.options import SITE, SITE_FILE
from common.commands import plain_errors


@click.command()
@SITE
@SITE_FILE
@click.option(
    "--approved",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the approved studies: files that the coordinator signed.  "
    "[default: SITE/approved]",
)
@click.option(
    "--socket",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the carrier finds this worker; its owner and group may use it.  "
    "[default: SITE/run/worker.sock]",
)
@click.option(
    "--desk",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where `leukofed-site status` finds it.  [default: desk.sock beside --socket]",
)
@plain_errors
def worker(
    site: Path,
    site_file: Path | None,
    approved: Path | None,
    socket: Path | None,
    desk: Path | None,
) -> None:
    """Answer the coordinator's requests from this site's images, without a network.

    The worker takes requests that the coordinator signed, for studies in the approved folder,
    and no others. Putting a signed study file into that folder approves it, taking it away
    withdraws it; the worker need not be restarted. What leaves passes the site file's limits and
    is written to the log that `leukofed-site log` shows.

    Start it where it has no network, as a user who may read the images; the carrier, which has
    the network, runs as another user who may not.

    Example: unshare --net leukofed-site worker --site /var/lib/leukofed
    """
    from client.site_config import load_site_config
    from client.site_folder import SiteFolder
    from client.worker import serve

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    folder = SiteFolder(site)
    carrier = socket or folder.socket
    serve(
        load_site_config(site_file or folder.site_file),
        approved or folder.approved,
        carrier,
        desk or carrier.with_name(folder.desk.name),
    )
