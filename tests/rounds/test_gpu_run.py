"""Whole runs on a GPU: nearly the processor's model, and the same again to the bit."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from rich.console import Console

from client.site_config import Numerics
from common.errors import ConfigError
from common.metrics import RunMetrics, load_metrics
from server.progress import PlainProgress
from tests.support.small_federation import digests
from tests.support.small_scenario import run_small, write_scenario

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")
GPU = Numerics(device="cuda", precision="bfloat16", channels_last=True)
CPU = GPU.model_copy(update={"device": "cpu"})
ON_RAY = "{name: ray, cpus_per_site: 1, gpus_per_site: 0.25}"


def ran(home: Path, numerics: Numerics, engine: str = "{name: inprocess}") -> Path:
    path = write_scenario(home, "federated", "pooled")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"engine: {engine}\n")
    with PlainProgress(Console(stderr=True)) as watch:
        return run_small(path, home, watch, numerics=numerics).path


def metrics(run: Path) -> RunMetrics:
    return load_metrics(run / "metrics.json")


def test_a_run_finds_what_the_processor_finds_and_repeats_its_bits(tmp_path: Path) -> None:
    plain = ran(tmp_path / "cpu", CPU)
    on_gpu = ran(tmp_path / "gpu", GPU)
    found, expected = metrics(on_gpu), metrics(plain)
    assert found.environment["device"] == "cuda"
    for arm in ("federated", "pooled"):
        mine, theirs = (getattr(told.arms, arm).log_loss for told in (found, expected))
        assert mine == pytest.approx(theirs, rel=0.1)  # float32 is that far from bfloat16
    assert digests(ran(tmp_path / "again", GPU)) == digests(on_gpu)


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_sites_on_ray_share_a_gpu_and_make_the_same_model(tmp_path: Path) -> None:
    assert digests(ran(tmp_path / "ray", GPU, ON_RAY)) == digests(ran(tmp_path / "gpu", GPU))


def test_sites_without_a_share_of_a_gpu_are_not_sent_to_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no share of a GPU\n.*engine\.gpus_per_site"):
        ran(tmp_path, GPU, "{name: ray}")
