"""What answers in a process that serves any site: nothing of a site stays there between requests.

What a site must keep lies on its disk: its log, its answers, its cached activations. So a request
may be answered by whichever process is free, and there may be more sites than memory holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from client.holdings import Holdings, examine
from client.part_store import PartStore
from client.phases import handle
from client.pulse import Pulse
from client.site import Site
from client.site_config import SiteConfig
from common.study.schema import Study
from common.wire import decode_request, encode_request
from simulations.engines.process import Answer
from simulations.virtual_sites import SharedBranches


class Seat:
    """Sites that are opened for one request and closed after it.

    Kept is what would only be found again: the frozen front, which is the same for all, and which
    images a site has.

    Args:
        configs: the site files, by name.
        studies: approved by every site.
    """

    def __init__(self, configs: Mapping[str, SiteConfig], studies: Sequence[Study]) -> None:
        self._configs = configs
        self._approved = {study.digest: study for study in studies}
        self._build = SharedBranches()
        self._found: dict[tuple[str, str], Holdings] = {}

    def answer(self, name: str, data: bytes) -> bytes:
        """Answer a request to a site; as `client.phases.handle`."""
        site = Site(self._configs[name], self._approved, self._build, find=self._find)
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


class WholeRequests:
    """Puts the parts back that the coordinator left out, since the site had been sent them.

    A hospital keeps them in its memory. Here another process may answer next, so they are kept
    once, beside the coordinator, and every request is handed on whole.
    """

    def __init__(self) -> None:
        self._parts = PartStore()

    def __call__(self, data: bytes) -> bytes:
        """Return the same request with all its parts, or as it is if some were never sent."""
        request = decode_request(data)
        if self._parts.take(request):
            return data  # the site calls for them
        arrays = {name: self._parts[name] for name in request.parts}
        return encode_request(replace(request, arrays=arrays))
