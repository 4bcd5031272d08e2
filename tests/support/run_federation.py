"""A scenario as a federation of real processes on this machine: what `make federation` runs.

    python -m tests.support.run_federation [SCENARIO] [--data DIR] [--weights DIR] [--out DIR]

It ends in the same run folder as `leukofed-sim run` does, with the federated arm alone. Keys,
logs and the sites' own records lie in its folder `federation`. A run that was stopped goes on
with the same command.
"""

import argparse
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from client.data.cache import ActivationCache
from common.digests import digest_file, digest_value
from common.errors import LeukofedError
from server.progress import progress_for
from server.run_folder import RunFolder, open_run
from simulations.prepare import Places, Prepared, dataset, pinned, prepare
from simulations.scenario import Scenario, load_scenario
from tests.support.federation import Federation
from tests.support.memory import MemoryWatch


def prepared_run(
    scenario: str | Path, places: Places, console: Console
) -> tuple[Scenario, Prepared, RunFolder]:
    """Open the newest unfinished federation of a scenario, or a new one, with its initial model."""
    found, study = load_scenario(scenario)
    cache = ActivationCache(places.cache, int(places.cache_gb * 1e9))
    try:
        with progress_for(console) as watch:
            manifest = dataset(found, places, watch)
            study = pinned(study, places)
            identity = digest_value(
                ["federation", found.digest, study.digest, digest_file(manifest)]
            )
            run, resumed = open_run(places.out, f"{found.name}-federation", identity, fresh=False)
            if resumed:
                watch.note(f"Going on with {run.path}")
            prepared = prepare(found, study, places, run.path, manifest, cache, watch)
    finally:
        cache.close()
    return found, prepared, run


def federation_of(
    scenario: Scenario,
    prepared: Prepared,
    run: RunFolder,
    folder: Path | None = None,
    **settings: Any,
) -> Federation:
    """Return the federation that computes a run; what it keeps lies by default in its folder."""
    synthetic = scenario.data.kind == "synthetic"
    place = folder or run.path / "federation"
    return Federation(place, prepared, run, synthetic=synthetic, **settings)


def conduct(federation: Federation, console: Console) -> str:
    """Launch the run and show its progress; return how it ended."""
    seen = federation.run.path / "progress.log"
    start = seen.stat().st_size if seen.exists() else 0
    ended = threading.Event()

    def follow() -> None:
        position = start
        while True:
            is_last = ended.wait(0.5)
            if seen.exists():
                with seen.open(encoding="utf-8") as file:
                    file.seek(position)
                    text = file.read()
                    position = file.tell()
                console.print(text, end="", markup=False, highlight=False, soft_wrap=True)
            if is_last:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        flower_run = federation.launch()
        found = federation.wait(flower_run, 24 * 3600.0)
        if found != "finished:completed":
            console.print(federation.log(flower_run), markup=False, highlight=False)
        return found
    finally:
        ended.set()
        follower.join()


def _interrupt(*_: object) -> None:
    """Let SIGTERM end a run as Ctrl-C does; a second one must not keep the first from it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_by_signal() -> None:
    """Let SIGTERM, too, end what this process has started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def main() -> None:
    """Run it."""
    end_by_signal()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="?", default="synthetic")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--numerics", type=Path)
    asked = parser.parse_args()
    console = Console()
    out = asked.out.resolve()
    places = Places(asked.data, asked.weights, out, out / "cache", numerics=asked.numerics)
    began = time.monotonic()
    try:
        scenario, prepared, run = prepared_run(asked.scenario, places, console)
        federation = federation_of(scenario, prepared, run)
        console.print(
            f"Starting a SuperLink, and a worker and a SuperNode for each of "
            f"{', '.join(prepared.study.sites)}"
            + (
                "; workers without a network, carriers without images, as another user"
                if federation.walls
                else "; as one user, so there is no wall between images and network here"
            )
        )
        with federation, MemoryWatch(federation) as memory:
            console.print(f"All sites are online after {time.monotonic() - began:.0f} s")
            ended = conduct(federation, console)
    except LeukofedError as error:
        sys.exit(f"Error: {error}\n{error.local_detail}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing that was finished is lost. To go on: the same command again")
    facts = {"peak_bytes": memory.peaks, "seconds": time.monotonic() - began}
    (run.path / "federation" / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    if ended != "finished:completed":
        sys.exit(f"the run ended as {ended}; its logs are in {federation.folder}")
    console.print(f"report:  {run.report}", highlight=False, soft_wrap=True)
    console.print(f"release: {run.path / 'release.zip'}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
