"""`leukofed-server start`: what the sites reach, kept running."""

import logging
import signal
import sys
from pathlib import Path

import click

from common.commands import plain_errors
from common.stopping import stopped_by
from server.cli.options import FEDERATION


@click.command()
@FEDERATION
@plain_errors
def start(federation: Path) -> None:
    """Run the front and the SuperLink until Ctrl-C or SIGTERM.

    The front (nginx) is what sites reach, on the port of federation.yaml; it passes on what the
    nodes of admitted sites call, and nothing else. The SuperLink behind it listens on this machine
    alone, where whoever reaches it may start and stop runs: let no one work on this machine who
    may not.

    Both are started again whenever they end. A line is printed whenever something changes: a run
    that nothing begins, a disk that fills, a certificate that ends soon. Their own logs are
    front/front.log and logs/superlink.log. Admitted and revoked sites and a renewed certificate
    are taken up at once, and no site is dropped.

    For monitoring, GET https://HOST:PORT/health answers with 200 while sites can reach the
    SuperLink.

    Example: leukofed-server start --federation /srv/leukofed
    """
    from common.supervision import rotated
    from server.federation import Federation
    from server.services import Services

    folder = Federation(federation)
    _ = folder.settings  # a folder that is none gets no log
    stopping = stopped_by(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    kept = rotated(folder.logs / "start.log")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s",
        handlers=[logging.StreamHandler(sys.stderr), kept],
    )  # fmt: skip
    Services(folder).run(stopping)
