"""A scenario's engine, opened for one run: the grid that its rounds use, and what goes with it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from client.site import Site
from common.errors import ConfigError
from common.study.schema import Study
from server.progress import Watch
from simulations.engines.inprocess import LoopbackGrid
from simulations.engines.nodes import NodeGrid
from simulations.engines.settings import Engine, InProcess
from simulations.seat import VirtualSeat, WholeRequests
from simulations.virtual_sites import VirtualSites


@dataclass(frozen=True)
class Opened:
    """An engine at work."""

    grid: NodeGrid
    site: Callable[[str], Site]
    """Returns a site in this process; not before a grid of other processes is closed."""
    poll_s: float = 0.5
    """Pause between two looks for replies, in seconds."""


@contextmanager
def opened(
    engine: Engine,
    virtual: VirtualSites,
    names: Sequence[str],
    studies: Sequence[Study],
    watch: Watch,
) -> Iterator[Opened]:
    """Open an engine; all its processes end with this context.

    Args:
        engine: the scenario's.
        virtual: makes the sites.
        names: of the sites that can be asked.
        studies: approved by all of them.
        watch: is told of what takes long.

    Raises:
        ConfigError: Ray is not installed, cannot be reached, or has no room for a site.
    """
    if isinstance(engine, InProcess):
        sites = {name: virtual.site(name, studies) for name in names}
        yield Opened(LoopbackGrid(virtual.nodes(sites)), sites.__getitem__)
        return
    if find_spec("ray") is None:
        raise ConfigError(
            "the engine ray needs Ray, which is not installed",
            fix="install leukofed with its extra `ray`, or use the engine inprocess",
        )
    # Ray is an extra, and takes a second to import.
    from simulations.engines.ray_grid import ray_grid

    watch.phase("starting Ray", 1)
    open_seat = VirtualSeat({name: virtual.config(name) for name in names}, tuple(studies))
    with ray_grid(engine, names, open_seat, WholeRequests()) as (grid, room):
        watch.note(f"Ray has room for {room} sites at once.")
        yield Opened(grid, lambda name: virtual.site(name, studies), poll_s=0.05)
