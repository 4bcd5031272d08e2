"""Ray itself: started for one run and stopped with it, or a cluster that is running already."""

import logging
import math
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from client.data.parallel import cores
from common.errors import ConfigError
from simulations.engines.settings import OnRay

if "ray" not in sys.modules:  # which reads these once, when it is imported
    # Ray's ports are open to the network, and whoever reaches them could run anything here.
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    # It tells its makers how it is used, and warns of a later version, unless told not to.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")

import ray

_ANSWERS_S = 10.0  # within which a cluster's port must answer
_QUIET = {"logging_level": logging.ERROR, "log_to_driver": False}


@contextmanager
def cluster(settings: OnRay) -> Iterator[int]:
    """Let Ray run within this context; a cluster that was running before runs on.

    Yields:
        How many sites have room to compute at once.

    Raises:
        ConfigError: the cluster cannot be reached, or no machine of it has room for one site.
    """
    # Short, for Unix sockets lie in it; removed at the end, with Ray's own logs.
    folder = tempfile.mkdtemp(prefix="lkf-ray-")
    try:
        if settings.address is None:
            _start(folder)
        else:
            _join(settings.address)
        yield room(settings)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: str) -> None:
    try:
        ray.init(num_cpus=cores(), include_dashboard=False, _temp_dir=folder, **_QUIET)
    except Exception as error:  # what Ray raises, plainly, if its own processes took 30 s to start
        raise ConfigError(
            "Ray could not be started on this machine",
            fix="see what else runs here: on a busy machine it starts too slowly, and gives up",
            local_detail=str(error),
        ) from error


def _join(address: str) -> None:
    try:
        if address != "auto":  # Ray itself tries for three minutes, and then ends the process
            host, port = address.rsplit(":", 1)
            socket.create_connection((host, int(port)), _ANSWERS_S).close()
        ray.init(address=address, **_QUIET)
    except (OSError, ValueError, RuntimeError, SystemExit) as error:
        raise ConfigError(
            f"there is no Ray cluster to be reached at {address}",
            fix="start one (`ray start --head`), let this machine join it "
            "(`ray start --address HOST:PORT`), or set engine.address to null",
            local_detail=str(error),
        ) from error


def room(settings: OnRay) -> int:
    """Return how many sites have room at once: so many on each machine, added up.

    Raises:
        ConfigError: none has.
    """
    fitting = 0
    for machine in ray.nodes():
        held = machine["Resources"] if machine["Alive"] else {}
        shares = [held.get("CPU", 0) / settings.cpus_per_site]
        if settings.gpus_per_site:
            shares.append(held.get("GPU", 0) / settings.gpus_per_site)
        fitting += math.floor(min(shares) + 1e-9)
    if not fitting:
        most = {
            kind: max((machine["Resources"].get(kind, 0) for machine in ray.nodes()), default=0)
            for kind in ("CPU", "GPU")
        }
        raise ConfigError(
            f"a site is to have {settings.cpus_per_site:g} cores and {settings.gpus_per_site:g} "
            f"GPUs, and no machine of Ray's has both: the most are {most['CPU']:g} cores and "
            f"{most['GPU']:g} GPUs",
            fix="lower engine.cpus_per_site or engine.gpus_per_site, or add a machine",
        )
    return fitting
