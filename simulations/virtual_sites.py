"""Hospitals on one machine: each with a site file of its own, all sharing one cache and one CPU."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.phases import handle
from client.site import Site, unwitnessed
from client.site_config import Cache, Images, Limits, Numerics, SiteConfig
from common.asks import ClassifierName, Part
from common.digests import digest_value
from common.model.initial import build_branches
from common.model.network import Branch
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
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.images = images
        self.weights = weights
        self.cache = cache
        self.numerics = numerics
        self._watch = watch
        self._built: dict[str, list[Branch]] = {}

    def branches(self, study: Study, weights: Path | None) -> list[Branch]:
        """Build a study's backbones, once for all studies that differ in nothing they need."""
        needed = (study.network, study.imaging, study.seed, study.labels)
        key = digest_value([part if isinstance(part, int) else part.model_dump(mode="json")
                            for part in needed])  # fmt: skip
        if key not in self._built:
            self._built[key] = build_branches(study, weights)
        return self._built[key]

    @staticmethod
    def nodes(sites: Mapping[str, Site]) -> dict[str, Handle]:
        """Return each site's side of the exchange."""
        return {name: partial(handle, site=site) for name, site in sites.items()}

    def config(self, name: str) -> SiteConfig:
        """Return the site file of a site, or of the pooled one."""
        only = {} if name == POOLED else {"site": name}
        return SiteConfig(
            name=name,
            images=Images(manifest=self.manifest.resolve(), root=self.images.resolve(), only=only),
            state=(self.folder / "sites" / name).resolve(),
            cache=Cache(folder=self.cache.folder.resolve()),
            weights=None if self.weights is None else self.weights.resolve(),
            numerics=self.numerics,
            # Public images: nothing to withhold, and every arm must be asked.
            limits=Limits(fewest_examples=0, most_rounds=10**6, most_runs=10**6),
        )

    def site(self, name: str, studies: Sequence[Study], witness: SiteWitness | None = None) -> Site:
        """Return a site, or the pooled one, with these studies approved.

        Its site file lies beside its log, for `leukofed-site log`. A witness is told of what it
        predicts when it is evaluated.
        """
        config = self.config(name)
        config.state.mkdir(parents=True, exist_ok=True)
        (config.state / "site.yaml").write_text(dump_yaml(config), encoding="utf-8")
        approved = {study.digest: study for study in studies}
        return Site(
            config, approved, self.branches, self.cache, partial(self._watch, f"{name}'s views"),
            witness=unwitnessed if witness is None else partial(witness, name),
        )  # fmt: skip
