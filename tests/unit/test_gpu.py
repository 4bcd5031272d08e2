"""A GPU computes what the processor computes, and nothing of the model stays on it."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from client.activations import Extractor
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.doctor.machine import chains, device_line, pace
from client.site_config import Cache, Images, Numerics, SiteConfig
from client.training.fit import fit_tail
from client.training.numerics import measured
from common.model.initial import build_branches
from common.model.network import Branch, trained_arrays
from common.seeds import stream
from common.study.methods import FedProx
from common.study.schedule import Schedule
from tests.support.small import PAIR, small_study, write_smears

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")

STUDY = small_study(backbones=PAIR)
CPU = Numerics()
GPUS = [Numerics(device="cuda"), Numerics(device="cuda", channels_last=True),
        Numerics(device="cuda", precision="bfloat16", channels_last=True)]  # fmt: skip
gpus = pytest.mark.parametrize("numerics", GPUS, ids=["float32", "last", "bfloat16"])
VIEWS = 2


@pytest.fixture
def branches() -> list[Branch]:
    return build_branches(STUDY, None)


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    return write_smears(tmp_path / "images", 20)


def features(
    branches: list[Branch], examples: list[Example], folder: Path, numerics: Numerics
) -> NDArray[np.float32]:
    cache = ActivationCache(folder, 10**8)
    try:
        return Extractor(STUDY, branches, cache, numerics).features(examples, VIEWS, "tails")
    finally:
        cache.close()


def apart(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@gpus
def test_features_are_those_of_the_processor(
    branches: list[Branch], examples: list[Example], tmp_path: Path, numerics: Numerics
) -> None:
    expected = features(branches, examples, tmp_path / "cpu", CPU)
    found = features(branches, examples, tmp_path / "gpu", numerics)
    # Activations are kept as float16, so equal ones may round to neighbours.
    assert apart(found, expected) < (2e-2 if numerics.precision == "bfloat16" else 1e-3)
    again = features(branches, examples, tmp_path / "again", numerics)
    assert np.array_equal(found, again)
    assert all(p.device.type == "cpu" for branch in branches for p in branch.parameters())


def trained(
    examples: list[Example], folder: Path, numerics: Numerics
) -> tuple[float, NDArray[np.float32]]:
    """Train the first backbone's tail; return its loss, and how its weights moved."""
    branches = build_branches(STUDY, None)
    before = trained_arrays(branches[:1], "tails")
    cache = ActivationCache(folder, 10**8)
    extractor = Extractor(STUDY, branches, cache, numerics)
    extractor.fill(examples, VIEWS)
    labels = np.array([example.label for example in examples])
    schedule = Schedule(
        3, 8, learning_rate=1e-3, weight_decay=1e-3, balance="weights", label_smoothing=0.1,
        method=FedProx(name="fedprox", mu=0.1),
    )  # fmt: skip
    steering = {p: torch.full_like(p, 1e-4) for p in branches[0].head.parameters()}
    try:
        loss = fit_tail(
            branches[0], partial(extractor.draw, 0, examples), VIEWS, labels, schedule,
            stream(1, "gpu"), numerics, steering=steering,
        )  # fmt: skip
    finally:
        cache.close()
    after = trained_arrays(branches[:1], "tails")
    assert all(p.device.type == "cpu" for p in branches[0].parameters())
    return loss, np.concatenate([(after[n] - before[n]).ravel() for n in sorted(after)])


@gpus
def test_a_tail_learns_the_same_and_again_to_the_bit(
    examples: list[Example], tmp_path: Path, numerics: Numerics
) -> None:
    expected_loss, expected = trained(examples, tmp_path / "cpu", CPU)
    loss, moved = trained(examples, tmp_path / "gpu", numerics)
    assert loss == pytest.approx(expected_loss, rel=2e-2)
    # Adam divides by a gradient's own size: where that is nearly nothing, its sign is chance.
    close = 0.5 if numerics.precision == "bfloat16" else 0.1
    assert apart(moved, expected) < close
    again, moved_again = trained(examples, tmp_path / "again", numerics)
    assert (again, moved_again.tobytes()) == (loss, moved.tobytes())


def test_a_gpu_is_chosen_where_it_is_faster_and_named_to_the_hospital(tmp_path: Path) -> None:
    study = small_study(backbones=PAIR)
    found = measured(build_branches(study, None), 299)
    assert found.device == "cuda"
    config = SiteConfig(
        name="north", images=Images(manifest=tmp_path / "none.csv"), state=tmp_path / "state",
        cache=Cache(folder=tmp_path / "cache"), numerics=GPUS[0],
    )  # fmt: skip
    timed = pace(study, config, chains(study))
    assert timed.front > 0
    assert timed.tail > 0
    assert torch.cuda.get_device_name() in device_line(timed).text
