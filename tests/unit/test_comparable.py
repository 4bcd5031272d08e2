"""What folds cannot be made of is said before anything is read."""

from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from simulations.comparing.material import read_material
from simulations.scenario import Scenario, load_scenario


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shifts": {"north": {"blur": 1.0}}}, "shifts"),
        ({"label_noise": {"south": {"share": 0.1}}}, "label_noise"),
        ({"partition": {"by": "file", "file": "partition.csv"}}, "partition.by: file"),
    ],
)
def test_what_a_comparison_cannot_do_is_refused(
    change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    scenario, study = load_scenario("synthetic")
    changed = Scenario.model_validate({**scenario.model_dump(mode="json"), **change})
    with pytest.raises(ConfigError, match=named):
        read_material(changed, study, tmp_path / "none.csv", tmp_path)
