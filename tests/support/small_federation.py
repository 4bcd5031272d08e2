"""The small scenario twice: in one process, and prepared to be run by real processes."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from client.site_config import Numerics
from common.metrics import RunMetrics, load_metrics
from server.progress import PlainProgress
from simulations.prepare import Places
from tests.support.federation import Federation
from tests.support.run_federation import federation_of, prepared_run
from tests.support.small_scenario import run_small, write_scenario

BITWISE = ("backbones.safetensors", "fusion.safetensors", "booster.ubj", "study.yaml")
"""Files of a release that are the same, byte for byte, in runs that computed the same model."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that other users may enter, which pytest's own may not be."""
    with tempfile.TemporaryDirectory(prefix="lkf-run-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def in_process(folder: Path, **scenario: Any) -> Path:
    """Run the scenario in this process; return the run's folder."""
    with PlainProgress(Console(stderr=True)) as watch:
        return run_small(write_scenario(folder, **scenario), folder / "single", watch).path


def federation(
    folder: Path, settings: Mapping[str, Any] | None = None, /, **scenario: Any
) -> Federation:
    """Prepare the scenario as `make federation` does, computing as `in_process` does.

    Args:
        folder: of all that is kept.
        settings: of `tests.support.federation.Federation`.
        scenario: of `tests.support.small_scenario.write_scenario`.
    """
    numerics = folder / "numerics.json"
    numerics.write_text(Numerics(threads=1).model_dump_json(), encoding="utf-8")
    places = Places(None, None, folder / "runs", folder / "cache", numerics=numerics)
    path = write_scenario(folder, **scenario)
    return federation_of(*prepared_run(path, places, Console(stderr=True)), **(settings or {}))


def digests(run: Path) -> dict[str, str]:
    """Return what two runs have in common if they computed the same: files, arrays, figures."""
    metrics: RunMetrics = load_metrics(run / "metrics.json")
    lines = (run / "release" / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    return {
        **{name: sums[name] for name in BITWISE},
        **metrics.digests,
        "figures": metrics.arms.federated.model_dump_json(),
    }
