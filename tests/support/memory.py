"""The most memory that each kind of process of a federation holds, watched while it runs."""

import threading
from types import TracebackType
from typing import Self

from tests.support.federation import Federation
from tests.support.processes import children, peak_bytes

_EVERY_S = 0.25  # a carrier lives for a second or more


class MemoryWatch:
    """Looks at the processes of a federation until it is left; `peaks` is in bytes, by kind."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peaks: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_S):
            link = self._federation.superlink.process
            if link.is_alive:
                self._take("SuperLink", [link.pid])
                self._take("ServerApp", children(link.pid, "flwr-serverapp"))
            for site in self._federation.sites.values():
                if site.worker.is_alive:
                    self._take("worker", [site.worker.pid])
                if site.node.is_alive:
                    self._take("SuperNode", [site.node.pid])
                    self._take("carrier", children(site.node.pid, "flwr-clientapp"))

    def _take(self, kind: str, pids: list[int]) -> None:
        for pid in pids:
            self.peaks[kind] = max(self.peaks.get(kind, 0), peak_bytes(pid))
