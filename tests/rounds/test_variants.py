"""Settings away from the defaults, each through the whole line to a release that predicts."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from common.metrics import load_metrics
from common.release import read_release
from server.progress import PlainProgress
from tests.support.small_scenario import run_small, write_scenario

ONE = [{"architecture": "test_byobnet", "cut": "stages.2"}]
VARIANTS: dict[str, dict[str, Any]] = {
    "trees on concatenated features": {"phases": {"booster": {"input": "concat", "columns": 0.1}}},
    "columns by node, one tree": {
        "phases": {"booster": {"columns_by": "node", "parallel_trees": 1}}
    },
    "one backbone": {"network": {"backbones": ONE}},
    "random weights": {"network": {"weights": "random"}},
    "heads alone": {"phases": {"backbones": {"tail_rounds": 0, "views": 1}}},
    "no heads first": {"phases": {"backbones": {"head_rounds": 0}}},
    "plain pixels": {"imaging": {"contrast": "none", "stain": "white_balance"}},
    "every step and variation, rare classes balanced": {
        "imaging": {"clean": "specks", "crop": {"to": "field"}, "scale_bar": "inpaint",
                    "stain": "macenko"},
        "augmentation": {"rotation": 180, "panning": 0.1, "zoom": 0.1, "emboss": 0.2},
        "phases": {"backbones": {"balance": "augmentation"}, "fusion": {"balance": "weights"}},
    },
    "masked": {"imaging": {"mask": [{"top": 0.8, "bottom": 1.0, "left": 0.0, "right": 0.3}]}},
    "a class that nobody has": {"labels": {"name": "five", "classes": [
        "Benign", "Early", "Pre", "Pro", "Absent"]}},
}  # fmt: skip


def laid(document: Any, changes: Any) -> Any:
    if not isinstance(changes, dict) or not isinstance(document, dict):
        return changes
    return document | {key: laid(document.get(key), value) for key, value in changes.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_runs_to_its_release(tmp_path: Path, name: str) -> None:
    scenario = write_scenario(tmp_path)
    document = yaml.safe_load(scenario.read_text())
    document["settings"] = laid(document["settings"], VARIANTS[name])
    scenario.write_text(yaml.safe_dump(document, sort_keys=False))
    with PlainProgress(Console(file=io.StringIO())) as watch:
        folder = run_small(scenario, tmp_path, watch)
    metrics = load_metrics(folder.path / "metrics.json")
    release = read_release(folder.path / "release.zip")
    assert release.study.digest == metrics.study_digest
    assert metrics.arms.federated.examples == 24
    assert metrics.arms.federated.macro_auc is not None
    assert metrics.arms.federated.macro_auc > 0.4  # a class left out is left out of the mean
