"""A whole scenario that runs in seconds: generated smears, the bundled pair, few rounds."""

from pathlib import Path

from client.site_config import Numerics
from server.progress import Watch
from server.run_folder import RunFolder
from simulations.prepare import Places
from simulations.run import simulate
from simulations.scenario import load_scenario

PHASES = ("census", "backbones", "fusion", "booster", "calibration", "evaluation")
SITES = ("north", "south", "west")
ONE_THREAD = Numerics(threads=1)
_SCENARIO = """\
name: small
study: {study}
settings:
  name: small
  quorum: {quorum}
  imaging: {{size: 64}}
  phases:
    backbones: {{head_rounds: 1, tail_rounds: 1, head_epochs: {head_epochs}}}
    fusion: {{rounds: 2, local_epochs: 3}}
    booster: {{rounds: 2, depth: 2}}
    evaluation: {{replicates: 40}}
data:
  kind: synthetic
  settings:
    seed: 4
    sites:
      - {{name: north, train: [3, 3, 1, 1]}}
      - {{name: south, train: [1, 1, 3, 3]}}
      - {{name: west, train: [2, 2, 2, 2]}}
    validation: 1
    test: 1
    fields: 2
    size: 64
partition:
  by: column
  column: site
  together: [patient]
arms: [{arms}]
"""


def write_scenario(folder: Path, *arms: str, head_epochs: int = 3, quorum: int = 2) -> Path:
    """Write the scenario file into a folder; many `head_epochs` make a round of seconds."""
    study = Path(__file__).parents[2] / "configs" / "studies" / "synthetic.yaml"
    path = folder / "small.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(
        _SCENARIO.format(
            study=study,
            arms=", ".join(arms or ("federated",)),
            head_epochs=head_epochs,
            quorum=quorum,
        ),
        encoding="utf-8",
    )
    return path


def run_small(
    scenario: Path,
    folder: Path,
    watch: Watch,
    *,
    cache: Path | None = None,
    numerics: Numerics = ONE_THREAD,
) -> RunFolder:
    """Run it, or go on with it, below a folder; with fixed numerics, so that bits repeat."""
    file = folder / "numerics.json"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(numerics.model_dump_json(), encoding="utf-8")
    places = Places(None, None, folder / "runs", cache or folder / "cache", numerics=file)
    found, study = load_scenario(scenario)
    return simulate(found, study, places, watch, fresh=False)
