"""A federation of real processes against the same run in one process: seconds, bytes, memory.

    python -m benchmarks.federation FEDERATION SIMULATION

Both are run folders: of `make federation`, and of `leukofed-sim run` of the same scenario. Read
from their records, in which every exchange stands with its seconds and bytes, and from the memory
that the federation's processes were seen to hold.
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from common.metrics import load_metrics
from common.record import read_record

_OURS = re.compile(r"(?<!local_only)\.federated(\.\d+)?$")
Event = Mapping[str, Any]


def main() -> None:
    """Print a row per phase, then a row per kind of process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("federation", type=Path)
    parser.add_argument("simulation", type=Path)
    asked = parser.parse_args()
    wired, single = _exchanges(asked.federation), _exchanges(asked.simulation)
    print(
        "phase        exchanges  over the wire  in process  s per exchange     MB down       MB up"
    )
    for phase, events in wired.items():
        there, here = _sum(events, "seconds"), _sum(single.get(phase, []), "seconds")
        down, up = (
            sum(sum(event[way].values()) for event in events) / 1e6
            for way in ("bytes_down", "bytes_up")
        )
        print(
            f"{phase:<12} {len(events):>9}  {there:>11.1f} s  {here:>8.1f} s"
            f"  {mean(float(e['seconds']) for e in events):>12.1f} s  {down:>10.2f}  {up:>10.2f}"
        )
    everything = [[e for events in run.values() for e in events] for run in (wired, single)]
    there, here = (_sum(events, "seconds") for events in everything)
    print(f"all                     {there:>11.1f} s  {here:>8.1f} s   {there / here:.2f} x")
    facts = json.loads((asked.federation / "federation" / "facts.json").read_bytes())
    for kind, peak in facts["peak_bytes"].items():
        print(f"most memory held by a {kind}: {peak / 1e6:.0f} MB")
    digests = [load_metrics(run / "metrics.json").digests for run in vars(asked).values()]
    print("the same bits" if digests[0] == digests[1] else "the models differ")


def _exchanges(run: Path) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in read_record(run / "record.jsonl"):
        if event["event"] == "exchange" and _OURS.search(event["run"]):
            found[str(event["phase"])].append(event)
    return found


def _sum(events: Sequence[Event], key: str) -> float:
    return sum(float(event[key]) for event in events)


if __name__ == "__main__":
    main()
