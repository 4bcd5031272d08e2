from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from common.errors import ConfigError
from simulations.engines.settings import Engine, InProcess, OnRay, with_engine
from simulations.scenario import load_scenario
from tests.support.small_scenario import write_scenario

ENGINE: TypeAdapter[Engine] = TypeAdapter(Engine)


def on_ray(**settings: object) -> Engine:
    return ENGINE.validate_python({"name": "ray", **settings})


def test_a_scenario_runs_in_this_process_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = write_scenario(tmp_path)
    plain, _ = load_scenario(path)
    assert plain.engine == InProcess()
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}engine: {{name: ray, gpus_per_site: 0.25, address: auto}}\n")
    other, _ = load_scenario(path)
    assert other.engine == on_ray(gpus_per_site=0.25, address="auto", cpus_per_site=1)
    assert other.digest == plain.digest  # a run may go on with another engine


def test_a_misspelt_setting_of_the_engine_is_named_by_its_line(tmp_path: Path) -> None:
    path = write_scenario(tmp_path)
    lines = path.read_text(encoding="utf-8").count("\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("engine:\n  name: ray\n  gpu_per_site: 0.25\n")
    with pytest.raises(ConfigError, match="gpu_per_site") as found:
        load_scenario(path)
    assert f"line {lines + 3}" in str(found.value)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0, 2.0])
def test_a_site_has_a_part_of_a_core_or_whole_ones(share: float) -> None:
    engine = on_ray(cpus_per_site=share, gpus_per_site=share)
    assert isinstance(engine, OnRay)
    assert engine.threads == max(1, int(share))


@pytest.mark.parametrize(
    "settings",
    [
        {"cpus_per_site": 1.5}, {"gpus_per_site": 2.5}, {"cpus_per_site": 0},
        {"gpus_per_site": -1}, {"deadline_s": 0}, {"address": "head"}, {"address": "ray://h:1"},
    ],
    ids=str,
)  # fmt: skip
def test_what_ray_cannot_share_out_or_reach_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        on_ray(**settings)


@pytest.mark.parametrize("address", ["auto", "10.0.0.7:6379", "head.lab:6379", None])
def test_an_address_is_auto_or_host_and_port(address: str | None) -> None:
    engine = on_ray(address=address)
    assert isinstance(engine, OnRay)
    assert engine.address == address


def test_the_engine_that_is_asked_for_by_name_keeps_its_own_settings() -> None:
    own = on_ray(cpus_per_site=2)
    assert with_engine(own, None) == with_engine(own, "ray") == own
    assert with_engine(own, "inprocess") == InProcess()
    assert with_engine(InProcess(), "ray") == on_ray()
