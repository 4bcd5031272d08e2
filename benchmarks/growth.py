"""How a run in one process grows: with sites, with images, with the booster's features.

Generated smears and the small pair of backbones that ships, the whole study from census to
release by `leukofed-sim run`, the federated arm alone, each in a process of its own; the smears are
drawn beforehand, and nothing else is cached. From the smallest on, one of sites, images of each
site and features (H2) is varied at a time. Seconds are of processor; how many of the clock's were
spent in exchanges is told by the run's own record.

    python -m benchmarks.growth
    python -m benchmarks.growth --engine ray --sites 3 20 100 --images --features

With Ray, memory is that of all its processes; what they share counts in each.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.clock import Spent, alone, median
from benchmarks.ledger import Figure, enter, parser
from client.site_config import Numerics
from common.record import read_record
from common.yaml_file import dump_yaml
from server.progress import Watches
from simulations.prepare import Places, dataset
from simulations.scenario import Scenario, SyntheticData, load_scenario, shipped_scenarios
from simulations.synthetic import SiteShare, SyntheticSettings

FIELDS = 4  # images of each patient
CLASSES = 4
SITES, IMAGES, FEATURES = 3, 16, 32


def main() -> None:
    """Print seconds and memory by sites, images and features."""
    made = parser(__doc__)
    made.add_argument("--sites", type=int, nargs="+", default=[SITES, 10, 30, 100])
    made.add_argument("--images", type=int, nargs="*", default=[64, 256], help="of each site")
    made.add_argument("--features", type=int, nargs="*", default=[128, 512], help="H2")
    made.add_argument("--engine", default="inprocess", choices=["inprocess", "ray"])
    made.add_argument("--repeats", type=int, default=1)
    asked = made.parse_args()
    cases = [
        *((f"{n} sites", n, IMAGES, FEATURES) for n in asked.sites),
        *((f"{n} images a site", SITES, n, FEATURES) for n in asked.images),
        *((f"{n} features", SITES, IMAGES, n) for n in asked.features),
    ]
    figures, peaks = [], []
    for what, sites, images, features in cases:
        spent = [_run(sites, images, features, asked.engine) for _ in range(asked.repeats)]
        one = median(lap for lap, _ in spent)
        peaks.append(one.peak_bytes)
        figures += [
            Figure(name=f"{what}: processor", value=one.cpu_s, unit="s"),
            Figure(name=f"{what}: in exchanges", value=min(s for _, s in spent), unit="s"),
            Figure(name=f"{what}: most memory", value=one.peak_bytes / 1e6, unit="MB"),
        ]
        print(f"{what}: {one.cpu_s:.1f} s, {one.peak_bytes / 1e6:.0f} MB", flush=True)
    few, many = asked.sites[0], asked.sites[-1]
    if many > few:
        more = peaks[len(asked.sites) - 1] / peaks[0]
        figures.append(Figure(name=f"memory, {many} sites over {few}", value=more, unit="x"))
    enter(asked, figures, "generated")


def _run(sites: int, images: int, features: int, engine: str) -> tuple[Spent, float]:
    """Run a scenario of this size; return what it took, and the seconds of its exchanges."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        numerics = folder / "numerics.json"
        numerics.write_text(Numerics(threads=1).model_dump_json(), encoding="utf-8")
        scenario = _scenario(sites, images, features)
        path = folder / "growth.yaml"
        path.write_text(dump_yaml(scenario), encoding="utf-8")
        runs = folder / "runs"
        dataset(scenario, Places(None, None, runs, runs / "cache"), Watches())
        command = [Path(sys.executable).with_name("leukofed-sim"), "run", path,
                   "--numerics", numerics, "--out", runs, "--engine", engine]  # fmt: skip
        lap = alone(command)
        events = read_record(runs / "latest" / "record.jsonl")
        return lap, sum(float(e["seconds"]) for e in events if e["event"] == "exchange")


def _scenario(sites: int, images: int, features: int) -> Scenario:
    """Make a scenario; every site has as many images of every class to train on."""
    base = load_scenario("synthetic")[0]
    names = [f"site-{number + 1:03}" for number in range(sites)]
    patients = max(1, images // (CLASSES * FIELDS))
    shares = tuple(SiteShare(name=name, train=(patients,) * CLASSES) for name in names)
    settings = SyntheticSettings(sites=shares, validation=1, test=1, fields=FIELDS, size=64)
    changes = {
        "name": "growth", "sites": names, "quorum": sites, "imaging": {"size": 64},
        "network": {"h2": features},
        "phases": {"fusion": {"rounds": 2}, "booster": {"rounds": 2},
                   "evaluation": {"replicates": 40}},
    }  # fmt: skip
    shipped = shipped_scenarios()["synthetic"]
    return Scenario.model_validate(
        base.model_dump(mode="json")
        | {
            "name": "growth", "settings": changes, "arms": ["federated"],
            "study": str((shipped.parent / base.study).resolve()),
            "data": SyntheticData(kind="synthetic", settings=settings).model_dump(mode="json"),
        }
    )  # fmt: skip


if __name__ == "__main__":
    main()
