"""The plain loop, which LeukoFed is measured against, does what it says: two sites by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.plain_study import PlainStudy, averaged, boosted
from common.model.network import Fusion

IMAGES = {"north": 6, "south": 10}
RATE = {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "weight_decay": 0.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = np.random.default_rng(1)
    torch.manual_seed(1)
    facts = {
        "sites": list(IMAGES), "views": 2, "classes": 2, "seed": 1,
        "numerics": {"precision": "float32", "channels_last": False, "threads": 1},
        "schedules": {stage: [RATE] for stage in ("heads", "tails", "fusion")},
        "booster_rounds": 2,
        "booster": {"objective": "multi:softprob", "num_class": 2, "max_depth": 2, "nthread": 1},
    }  # fmt: skip
    (tmp_path / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    modules: dict[str, Any] = {
        "names": ["one", "two"],
        "tails": [nn.Sequential(nn.Conv2d(2, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
                  for _ in range(2)],
        "heads": [nn.Linear(3, 2) for _ in range(2)],
        "fusion": Fusion(6, 4, 3, 2),
    }  # fmt: skip
    torch.save(modules, tmp_path / "modules.pt")
    for site, images in IMAGES.items():
        (tmp_path / site).mkdir()
        for part, views in (("train", 2), ("validation", 1), ("test", 1)):
            np.save(tmp_path / site / f"{part}-labels.npy", np.arange(images) % 2)
            for name in modules["names"]:
                drawn = chance.normal(size=(images * views, 2, 2, 2)).astype(np.float16)
                drawn += (np.repeat(np.arange(images) % 2, views) * 3)[:, None, None, None]
                np.save(tmp_path / site / f"{part}-{name}.npy", drawn)
    return tmp_path


@pytest.mark.parametrize("stage", ["heads", "tails", "fusion"])
def test_a_round_is_the_mean_over_all_images_of_what_each_site_trains(
    folder: Path, stage: str
) -> None:
    trained = {}
    for site in IMAGES:
        alone = PlainStudy(folder)
        alone.standardise()
        alone.fit(site, stage, 0)
        trained[site] = {name: t.clone() for name, t in alone.trained(stage).items()}
    study = PlainStudy(folder)
    study.standardise()
    before = {name: t.clone() for name, t in study.trained(stage).items()}
    averaged(study, stage, 0)
    for name, tensor in study.trained(stage).items():
        expected = (6 * trained["north"][name] + 10 * trained["south"][name]) / 16
        torch.testing.assert_close(tensor, expected)
    assert any(not torch.equal(t, before[name]) for name, t in study.trained(stage).items())


def test_the_trees_tell_classes_that_differ(folder: Path) -> None:
    study = PlainStudy(folder)
    study.standardise()
    assert boosted(study) > 0.9
