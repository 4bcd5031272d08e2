"""A federation over a slow line against the same over the loopback: seconds, exchanges, turns.

    python -m benchmarks.slow_network [SCENARIO] [--mbit 20] [--round-trip-ms 50]

Each site has a line of its own, a userspace relay between its SuperNode and the SuperLink; it
stands above TCP, so neither lost packets nor TCP's slow start are in it. The loopback is measured
through the same relay without delay or limit. A turn is a request that waits for its answer: what
a site's node says and hears, its polls and heartbeats among them. By default the small scenario of
the tests is run; every run is a whole one, so a large scenario takes as long as twice itself.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from benchmarks.ledger import Figure, enter, parser
from client.site_config import Numerics
from common.metrics import load_metrics
from simulations.prepare import Places
from tests.support.federation import Federation
from tests.support.relay import Line, Traffic
from tests.support.run_federation import conduct, end_by_signal, federation_of, prepared_run
from tests.support.small_scenario import PHASES, write_scenario

_EVERY_S = 0.05
_NOTHING = Traffic(0, 0, 0, 0)


@dataclass
class Cost:
    """What the exchanges of one phase took."""

    exchanges: int = 0
    seconds: float = 0.0
    traffic: Traffic = _NOTHING  # of all sites


class Toll:
    """Watches what each phase of a federation carries, while it is entered."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.costs: dict[str, Cost] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = self._sum()
        self._seen = 0

    def __enter__(self) -> Self:
        """Begin at what was carried before."""
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
            self._look()
        self._look()

    def _look(self) -> None:
        events = [e for e in self.federation.record() if e["event"] == "exchange"]
        for event in events[self._seen :]:
            cost = self.costs.setdefault(str(event["phase"]), Cost())
            now = self._sum()
            cost.exchanges += 1
            cost.seconds += float(event["seconds"])
            cost.traffic += now - self._before
            self._before = now
        self._seen = len(events)

    def _sum(self) -> Traffic:
        return sum((relay.traffic for relay in self.federation.relays.values()), _NOTHING)


def main() -> None:
    """Run it twice, and print a row per phase."""
    end_by_signal()
    made = parser(__doc__)
    made.add_argument("scenario", nargs="?")
    made.add_argument("--data", type=Path)
    made.add_argument("--weights", type=Path)
    made.add_argument("--mbit", type=float, default=20.0, help="each way, in 10^6 bit/s")
    made.add_argument("--round-trip-ms", type=float, default=50.0)
    asked = made.parse_args()
    slow = Line(asked.round_trip_ms / 2000, asked.mbit, asked.mbit)
    with tempfile.TemporaryDirectory(prefix="lkf-run-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        numerics = folder / "numerics.json"
        numerics.write_text(Numerics(threads=1).model_dump_json(), encoding="utf-8")
        scenario = asked.scenario or write_scenario(folder)
        places = Places(
            asked.data, asked.weights, folder / "runs", folder / "cache", numerics=numerics
        )
        near, digests = _run(scenario, places, Line())
        far, others = _run(scenario, places, slow)
    sites = len(near.federation.sites)
    print(
        f"{sites} sites; {asked.mbit:g} Mbit/s each way, {asked.round_trip_ms:g} ms there and back"
    )
    print(
        f"{'phase':<12}{'exchanges':>10}{'loopback':>12}{'line':>10}{'ratio':>8}"
        f"{'s each':>10}{'s each':>9}{'turns':>8}{'kB up':>9}{'kB down':>9}"
    )
    rows = {phase: (near.costs[phase], far.costs[phase]) for phase in PHASES}
    for phase, (here, there) in {**rows, "all": _total(rows)}.items():
        each, number = sites * there.exchanges, there.exchanges
        print(
            f"{phase:<12}{number:>10}{here.seconds:>10.1f} s{there.seconds:>8.1f} s"
            f"{there.seconds / here.seconds:>8.2f}{here.seconds / number:>10.2f}"
            f"{there.seconds / number:>9.2f}{there.traffic.turns / each:>8.1f}"
            f"{there.traffic.up / each / 1e3:>9.1f}{there.traffic.down / each / 1e3:>9.1f}"
        )
    print("s each: seconds per exchange; turns and kB: per exchange and site, over the line")
    print("the same bits" if digests == others else "the models differ")
    here, there = _total(rows)
    enter(asked, [
        Figure(name="all exchanges, loopback", value=here.seconds, unit="s"),
        Figure(name="all exchanges, line", value=there.seconds, unit="s"),
        Figure(name="line over loopback", value=there.seconds / here.seconds, unit="x"),
    ], "real" if asked.data else "generated")  # fmt: skip


def _run(scenario: str | Path, places: Places, line: Line) -> tuple[Toll, Mapping[str, str]]:
    console = Console(stderr=True)
    found, prepared, run = prepared_run(scenario, places, console)
    federation = federation_of(found, prepared, run, line=line)
    with federation, Toll(federation) as toll:
        began = time.monotonic()
        ended = conduct(federation, console)
        console.print(f"{ended} after {time.monotonic() - began:.0f} s")
    if ended != "finished:completed":
        sys.exit(f"the run ended as {ended}")
    return toll, load_metrics(run.path / "metrics.json").digests


def _total(rows: Mapping[str, tuple[Cost, Cost]]) -> tuple[Cost, Cost]:
    totals = [Cost(), Cost()]
    for pair in rows.values():
        for total, cost in zip(totals, pair, strict=True):
            total.exchanges += cost.exchanges
            total.seconds += cost.seconds
            total.traffic += cost.traffic
    return totals[0], totals[1]


if __name__ == "__main__":
    main()
