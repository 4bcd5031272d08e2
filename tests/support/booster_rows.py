"""Rows for the booster's benchmark: generated, kept in a file, or those of a finished run."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from client.data.cache import ActivationCache
from client.part_store import PartStore
from client.site import Bench, Site
from client.site_config import load_site_config
from common.asks import Part
from common.model.network import build_fusion, load_branches, load_fusion
from common.parts import Arrays
from common.study.phases import BackbonesPhase
from common.study.schema import Study, load_study
from common.wire import Request
from server.checkpoints import Checkpoints

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """What is learned from, by site, and what is asked afterwards."""

    sites: Mapping[str, tuple[Floats, Labels]]
    test: tuple[Floats, Labels]

    @property
    def pooled(self) -> tuple[Floats, Labels]:
        """All sites' rows."""
        values, labels = zip(*self.sites.values(), strict=True)
        return np.concatenate(values), np.concatenate(labels)


def generated(seed: int, width: int = 128, classes: int = 4) -> Rows:
    """Draw points around a centre of each class, and pass them through a layer of ReLUs."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(0, 1.0, (classes, 12))
    layer = chance.normal(0, 1.0, (12, width))

    def draw(count: int, mixture: NDArray[np.float64]) -> tuple[Floats, Labels]:
        labels = chance.choice(classes, count, p=mixture)
        hidden = (centres[labels] + chance.normal(0, 0.9, (count, 12))) @ layer
        values = np.maximum(hidden + chance.normal(0, 1.0, hidden.shape), 0)
        return (values * chance.lognormal(-1.0, 0.5, (count, 1))).astype(np.float32), labels

    counts = {"north": 1500, "south": 900, "west": 600}
    sites = {site: draw(n, chance.dirichlet([1.0] * classes)) for site, n in counts.items()}
    return Rows(sites, draw(2000, np.full(classes, 1 / classes)))


def of_file(path: Path) -> Rows:
    """Read rows that somebody kept."""
    held = np.load(path, allow_pickle=False)
    names = held["train_site"].astype(str)
    values, labels = held["train_x"].astype(np.float32), held["train_y"].astype(np.int64)
    return Rows(
        {site: (values[names == site], labels[names == site]) for site in sorted(set(names))},
        (held["test_x"].astype(np.float32), held["test_y"].astype(np.int64)),
    )


def of_run(folder: Path) -> tuple[Rows, Study]:
    """Compute what the booster of a finished simulation read; its cache holds most of it."""
    study = load_study(folder / "study.yaml")
    state = Checkpoints(folder / "checkpoints" / "federated").latest(study.digest, note=print)
    if state is None:
        raise SystemExit(f"{folder} holds no checkpoint of a federated run")
    parts = {name: part.arrays for name, part in state.parts.items()}
    fusion = build_fusion(study, parts["fusion"]["h1.weight"].shape[1])
    load_fusion(fusion, parts["fusion"], parts["fusion-moments"])
    found: dict[str, dict[Part, tuple[Floats, Labels]]] = {}
    for name in study.sites:
        config = load_site_config(folder / "sites" / name / "site.yaml")
        site = Site(config, {study.digest: study})
        try:
            bench = site.bench(study)
            load_branches(
                bench.branches, {one: parts[one] for one in ("constants", "tails", "heads")}
            )
            digests = {one: state.parts[one].digest for one in ("constants", "tails")}
            views = {"train": study.phase(BackbonesPhase).views, "test": 1}
            found[name] = {}
            part: Part
            for part in ("train", "test"):
                features = bench.features(digests, part, views[part])
                with torch.inference_mode():
                    hidden = fusion.hidden(
                        torch.from_numpy(features.reshape(-1, features.shape[2]))
                    )
                labels = np.repeat(bench.labels(part), views[part])
                found[name][part] = (hidden.numpy(), labels)
        finally:
            site.close()
    tests = [parts["test"] for parts in found.values()]
    test = (np.concatenate([t[0] for t in tests]), np.concatenate([t[1] for t in tests]))
    return Rows({name: parts["train"] for name, parts in found.items()}, test), study


class RowsBench(Bench):
    """A bench whose images have been computed: it has their features at once."""

    def __init__(self, rows: tuple[Floats, Labels], *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._rows = rows

    def computing(self) -> AbstractContextManager[None]:
        """Leave torch alone: nothing is computed with it."""
        return nullcontext()

    def labels(self, part: Part) -> Labels:
        """Return the rows' labels, of every part."""
        return self._rows[1]

    def load(self, parts: PartStore | Mapping[str, Arrays], request: Request) -> None:
        """Leave the branches unbuilt."""

    def features(self, digests: Mapping[str, str], part: Part, views: int = 1) -> Floats:
        """Return the rows, one view each."""
        return self._rows[0][:, None, :]


class RowsSite(Site):
    """A site with gate, outbox and log, whose images have been computed."""

    def __init__(self, rows: tuple[Floats, Labels], *given: Any) -> None:
        super().__init__(*given)
        self._rows = rows
        self._bench: RowsBench | None = None

    def bench(self, study: Study) -> Bench:
        """Return what is kept of the one study."""
        if self._bench is None:
            cache = ActivationCache(self.config.cache.folder / "none", 10**6)
            cache.close()
            self._bench = RowsBench(
                self._rows, study, self.config, lambda *_: [], cache, numerics=Path("none")
            )
            self._benches[study.digest] = self._bench
        return self._bench
