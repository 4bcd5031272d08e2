"""Hospitals on one machine: each with a site file of its own, all sharing one cache and one CPU."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.part_store import PartStore
from client.phases import handle
from client.site import Site, unwitnessed
from client.site_config import Cache, Images, Limits, Numerics, SiteConfig
from common.asks import ClassifierName, Part
from common.digests import digest_value
from common.model.initial import build_branches
from common.model.network import Branch
from common.study.phases import BoosterMode
from common.study.schema import Study
from common.yaml_file import dump_yaml
from simulations.engines.inprocess import Handle
from simulations.scenario import POOLED

SiteWitness = Callable[
    [str, Part, Sequence[Example], Mapping[ClassifierName, NDArray[np.float64]]], None
]
"""Told a site's name, and what `client.site.Witness` is told."""
WatchWork = Callable[[str, int, int], None]
"""Told who does what, how much of it is done, and of how much."""


class SharedBranches:
    """Builds a study's backbones, once for all studies that differ in nothing they need."""

    def __init__(self) -> None:
        self._built: dict[str, list[Branch]] = {}

    def __call__(self, study: Study, weights: Path | None) -> list[Branch]:
        """Return the backbones, from a folder of weights or the user's."""
        needed = (study.network, study.imaging, study.seed, study.labels)
        key = digest_value([part if isinstance(part, int) else part.model_dump(mode="json")
                            for part in needed])  # fmt: skip
        if key not in self._built:
            self._built[key] = build_branches(study, weights)
        return self._built[key]


class VirtualSites:
    """The sites of a simulation, and one more that holds all their images.

    Args:
        folder: the run's; every site keeps its state below it.
        manifest: with a `site` and a `split` column.
        images: folder that image paths start at.
        weights: folder of pre-trained weights; None: the user's.
        cache: shared by all sites and arms.
        numerics: of this machine.
        watch: shows what a site is at.
        apart: sites that may compute in different processes, all of them or none: each has a
            cache folder of its own below the shared one, and a part of its size. The pooled site
            has half.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Path,
        images: Path,
        weights: Path | None,
        cache: ActivationCache,
        numerics: Numerics,
        watch: WatchWork,
        *,
        apart: Collection[str] = (),
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.images = images
        self.weights = weights
        self.cache = cache
        self.numerics = numerics
        self._watch = watch
        self._apart = tuple(apart)
        self._parts = PartStore()  # one for all: what they are sent is mostly the same
        self.branches = SharedBranches()

    @staticmethod
    def nodes(sites: Mapping[str, Site]) -> dict[str, Handle]:
        """Return each site's side of the exchange."""
        return {name: partial(handle, site=site) for name, site in sites.items()}

    def config(self, name: str) -> SiteConfig:
        """Write and return the site file of a site, or of the pooled one.

        It lies beside the site's log, for `leukofed-site log`.
        """
        only = {} if name == POOLED else {"site": name}
        config = SiteConfig(
            name=name,
            images=Images(manifest=self.manifest.resolve(), root=self.images.resolve(), only=only),
            state=(self.folder / "sites" / name).resolve(),
            cache=self._cache(name),
            weights=None if self.weights is None else self.weights.resolve(),
            numerics=self.numerics,
            # Public images: nothing to withhold, and every arm must be asked.
            limits=Limits(
                fewest_examples=0, most_rounds=10**6, most_runs=10**6, booster=get_args(BoosterMode)
            ),
        )
        config.state.mkdir(parents=True, exist_ok=True)
        (config.state / "site.yaml").write_text(dump_yaml(config), encoding="utf-8")
        return config

    def site(self, name: str, studies: Sequence[Study], witness: SiteWitness | None = None) -> Site:
        """Return a site, or the pooled one, with these studies approved.

        One of the sites apart is to be closed: its cache is open. A witness is told of what it
        predicts when it is evaluated.
        """
        approved = {study.digest: study for study in studies}
        cache = None if self._apart else self.cache
        watch = partial(self._watch, f"{name}'s views")
        return Site(
            self.config(name), approved, self.branches, cache, watch, parts=self._parts,
            witness=unwitnessed if witness is None else partial(witness, name),
        )  # fmt: skip

    def _cache(self, name: str) -> Cache:
        folder, limit_gb = self.cache.folder.resolve(), self.cache.limit_bytes / 1e9
        if not self._apart:
            return Cache(folder=folder, limit_gb=limit_gb)
        share = 2 if name == POOLED else 2 * len(self._apart)
        return Cache(folder=folder / "sites" / name, limit_gb=limit_gb / share)
