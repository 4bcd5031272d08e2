"""The booster's modes between real processes, over TLS: exchanges, seconds and bytes.

    python -m benchmarks.booster_tls [--modes ...]

The tests' small scenario runs as a federation, once per mode but the collective: a worker without a
network has nobody to meet.
"""

import argparse
import tempfile
from pathlib import Path

import yaml
from rich.console import Console

from client.site_config import Numerics
from common.record import read_record
from common.study.phases import BoosterMode
from simulations.prepare import Places
from tests.support.run_federation import conduct, end_by_signal, federation_of, prepared_run
from tests.support.small_scenario import write_scenario

MODES: tuple[BoosterMode, ...] = ("histogram", "bagging", "cyclic")


def main() -> None:
    """Run the small scenario as a federation, once per mode, and print a row for its booster."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    modes = parser.parse_args().modes
    end_by_signal()
    print(f"{'over TLS':<24}{'exchanges':>10}{'s each':>9}{'seconds':>9}{'kB up':>9}{'kB down':>9}")
    for mode in modes:
        with tempfile.TemporaryDirectory(prefix="lkf-run-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            scenario = write_scenario(folder)
            document = yaml.safe_load(scenario.read_text(encoding="utf-8"))
            document["settings"]["phases"]["booster"] = {"rounds": 6, "depth": 4, "mode": mode}
            scenario.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
            numerics = folder / "numerics.json"
            numerics.write_text(Numerics(threads=1).model_dump_json(), encoding="utf-8")
            places = Places(None, None, folder / "runs", folder / "cache", numerics=numerics)
            console = Console(stderr=True)
            found, prepared, run = prepared_run(scenario, places, console)
            federation = federation_of(found, prepared, run)
            with federation:
                ended = conduct(federation, console)
            if ended != "finished:completed":
                raise SystemExit(f"the run ended as {ended}")
            events = [
                event
                for event in read_record(run.path / "record.jsonl")
                if event["event"] == "exchange" and event["phase"] == "booster"
            ]
        seconds = sum(float(event["seconds"]) for event in events)
        up, down = (
            sum(sum(event[way].values()) for event in events) / len(prepared.study.sites) / 1e3
            for way in ("bytes_up", "bytes_down")
        )
        print(
            f"{mode:<24}{len(events):>10}{seconds / len(events):>9.2f}{seconds:>9.1f}"
            f"{up:>9.1f}{down:>9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
