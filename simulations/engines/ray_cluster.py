"""Ray itself: started for one run and stopped with it, or a cluster that is running already."""

import logging
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from client.data.parallel import cores
from common.errors import ConfigError
from simulations.engines.settings import OnRay

_QUIET = {"logging_level": logging.ERROR, "log_to_driver": False}
# Ray tells its makers how it is used, and tests how GPUs are hidden, unless it is told not to.
_SILENCE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@contextmanager
def cluster(settings: OnRay) -> Iterator[int]:
    """Let Ray run within this context; a cluster that was running before runs on.

    Yields:
        How many sites have room to compute at once.

    Raises:
        ConfigError: the cluster cannot be reached, or no machine of it has room for one site.
    """
    os.environ.update(_SILENCE)
    # Short, for Unix sockets lie in it; removed at the end, with Ray's own logs.
    folder = tempfile.mkdtemp(prefix="lkf-ray-")
    try:
        if settings.address is None:
            # Whoever reaches Ray's ports, which are open to the network, could run anything here.
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            ray.init(num_cpus=cores(), include_dashboard=False, _temp_dir=folder, **_QUIET)
        else:
            _join(settings.address)
        yield _room(settings)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _join(address: str) -> None:
    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"there is no Ray cluster to be reached at {address}",
            fix="start one (`ray start --head`), let this machine join it "
            "(`ray start --address HOST:PORT`), or set engine.address to null",
            local_detail=str(error),
        ) from error


def _room(settings: OnRay) -> int:
    """Count the sites that fit on each machine, and add up."""
    room = 0
    for machine in ray.nodes():
        held = machine["Resources"] if machine["Alive"] else {}
        shares = [held.get("CPU", 0) / settings.cpus_per_site]
        if settings.gpus_per_site:
            shares.append(held.get("GPU", 0) / settings.gpus_per_site)
        room += math.floor(min(shares) + 1e-9)
    if not room:
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
    return room
