"""`leukofed-site run`: the hospital's two processes, kept running."""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.cli.options import SITE
from common.commands import plain_errors
from common.stopping import stopped_by

if TYPE_CHECKING:
    from client.site_folder import SiteFolder


@click.command()
@SITE
@click.option(
    "--only",
    type=click.Choice(["worker", "carrier"]),
    help="Keep only this one running; the other is kept by another service.",
)
@click.option(
    "--worker-user", metavar="USER", help="Run the worker as this user, without a network."
)
@click.option("--carrier-user", metavar="USER", help="Run the SuperNode as this user.")
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the logs.  [default: SITE/logs; with --only carrier SITE/link/logs]",
)
@plain_errors
def run(
    site: Path,
    only: str | None,
    worker_user: str | None,
    carrier_user: str | None,
    logs: Path | None,
) -> None:
    """Take part: keep this site's worker and its SuperNode running.

    Both are started again whenever they end, and when they live but do nothing. It runs until
    SIGTERM or Ctrl-C, and shows one line for every change; what the two print is in the folder
    of the logs. The SuperNode reaches the address in link/link.yaml and no other; the same file
    has the proxy, the bandwidth and the working hours. `leukofed-site status` tells how it goes,
    and so does http://127.0.0.1:9190/health, with 200 if all is well and 503 otherwise (not with
    --only worker).

    Start it as root with --worker-user and --carrier-user: then the worker, which sees the
    images, has no network, and the SuperNode, which has one, is a user who may not read them.
    USER is a name, or numbers as USER:GROUP; both get the worker's group. Without them there is
    no wall between the two, which is said at every start.

    Example: leukofed-site run --site /var/lib/leukofed --worker-user leukofed-worker
    --carrier-user leukofed-carrier --logs /var/log/leukofed
    """
    from client.site_config import load_site_config
    from client.site_folder import SiteFolder
    from client.supervisor import Supervisor

    folder = SiteFolder(site)
    if only == "worker":  # who may not read how the link is
        load_site_config(folder.site_file)
    else:
        folder.link_settings  # noqa: B018 - says so if there is no site, before anything starts
    is_walled = bool(worker_user or carrier_user)
    worker, carrier = _walls(only, worker_user, carrier_user, folder)
    place = logs or (folder.carrier_logs if only == "carrier" else folder.logs)
    if is_walled:
        from client.walls import check_can_run, check_only_roots

        check_only_roots(place)
        for before, user in ((worker, worker_user), (carrier, carrier_user)):
            if before is not None:
                check_can_run(before, f"the user {user}")
    log = _logging(place)
    supervisor = Supervisor(folder, place, worker=worker, carrier=carrier)
    if not is_walled and only is None:
        log.warning(
            "there is no wall between worker and SuperNode: whoever breaks into the SuperNode can "
            "read the images; start as root with --worker-user and --carrier-user, or use the "
            "systemd units"
        )
    supervisor.run(stopped_by(signal.SIGTERM, signal.SIGINT))


def _walls(
    only: str | None, worker_user: str | None, carrier_user: str | None, folder: "SiteFolder"
) -> tuple[list[str] | None, list[str] | None]:
    """Return what stands before each command; None for one that is not kept here."""
    from client.walls import as_user, check_walls, found_user, make_room

    if not worker_user and not carrier_user:
        if only != "carrier":
            (folder.path / "run").mkdir(exist_ok=True)
        return (None if only == "carrier" else [], None if only == "worker" else [])
    if not worker_user or (not carrier_user and only != "worker"):
        raise click.UsageError("give both --worker-user and --carrier-user")
    check_walls()
    owner = found_user(worker_user)
    worker = as_user(owner, group=owner.group, network=False)
    if only != "carrier":
        make_room(folder.path / "run", owner)
    if not carrier_user or only == "worker":
        return worker, None
    other = found_user(carrier_user)
    if other.number == owner.number:
        raise click.UsageError("worker and SuperNode must be two users")
    carrier = as_user(other, group=owner.group, network=True)
    return (None if only == "carrier" else worker), carrier


def _logging(folder: Path) -> logging.Logger:
    """Log to the terminal and to `run.log`.

    Raises:
        ConfigError: this user may not write there.
    """
    from common.errors import ConfigError
    from common.supervision import rotated

    os.umask(0o077)
    try:
        kept = rotated(folder / "run.log")
        may_write = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        may_write = False
    if not may_write:
        raise ConfigError(
            "this user may not write into the folder of the logs",
            fix="start it as the user whose part it keeps, or name another folder with --logs",
            local_detail=str(folder),
        )
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log = logging.getLogger("leukofed")
    log.setLevel(logging.INFO)
    log.handlers = [shown, kept]
    return log
