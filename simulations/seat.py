"""What answers in a process that serves any site: nothing of a site stays there between requests.

What a site must keep lies on its disk: its log, its answers, its cached activations. So a request
may be answered by whichever process is free, and there may be more sites than memory holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.holdings import Holdings, examine
from client.part_store import PartStore
from client.phases import handle
from client.pulse import Pulse
from client.site import Site
from client.site_config import SiteConfig
from common.study.schema import Study
from simulations.engines.process import Answer
from simulations.virtual_sites import SharedBranches


class Seat:
    """Sites that are opened for one request and closed after it.

    Kept is what would only be found again: the frozen front, which is the same for all, the arrays
    that came down last, and which images a site has.

    Args:
        configs: the site files, by name.
        studies: approved by every site.
    """

    def __init__(self, configs: Mapping[str, SiteConfig], studies: Sequence[Study]) -> None:
        self._configs = configs
        self._approved = {study.digest: study for study in studies}
        self._build = SharedBranches()
        self._parts = PartStore()
        self._found: dict[tuple[str, str], Holdings] = {}

    def answer(self, name: str, data: bytes) -> bytes:
        """Answer a request to a site; as `client.phases.handle`."""
        site = Site(
            self._configs[name], self._approved, self._build, find=self._find, parts=self._parts
        )
        try:
            return handle(data, site)
        finally:
            site.close()

    def _find(self, config: SiteConfig, study: Study, pulse: Pulse) -> Holdings:
        key = (config.name, study.digest)
        if key not in self._found:
            self._found[key] = examine(config, study, pulse)
        return self._found[key]


@dataclass(frozen=True)
class VirtualSeat:
    """What a process is sent to become a seat."""

    configs: Mapping[str, SiteConfig]
    studies: tuple[Study, ...]

    def __call__(self) -> Answer:
        """Return what answers there."""
        return Seat(self.configs, self.studies).answer
