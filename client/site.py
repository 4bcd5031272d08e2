"""A site at work: its file, its approved studies, and what stays warm between requests."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.activations import Extractor, Progress, unwatched
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.egress.door import Door
from client.holdings import Holdings, examine
from client.membership import Membership
from client.part_store import PartStore
from client.pulse import Pulse, no_pulse
from client.rehearsal import examine_generated
from client.site_config import Numerics, SiteConfig, rehearsal_config
from client.training.numerics import measured, settled_numerics, threads
from common.asks import ClassifierName, Part
from common.errors import RequestRefused
from common.model.initial import build_branches
from common.model.network import Branch, load_branches
from common.parts import Arrays
from common.study.phases import BackbonesPhase
from common.study.schema import Study
from common.wire import Request

Build = Callable[[Study, Path | None], list[Branch]]
Find = Callable[[SiteConfig, Study, Pulse], Holdings]
Witness = Callable[[Part, Sequence[Example], Mapping[ClassifierName, NDArray[np.float64]]], None]
"""Told, on this machine alone, the log-probabilities (n, classes) of each classifier on a part."""
_LOOK_EVERY_S = 1.0  # whether the study that is worked on is still approved


def unwitnessed(
    part: Part,
    examples: Sequence[Example],
    predicted: Mapping[ClassifierName, NDArray[np.float64]],
) -> None:
    """Keep nothing of what was predicted."""


def open_cache(config: SiteConfig, approved: Collection[str] | None = None) -> ActivationCache:
    """Open the activation cache that a site file names.

    Args:
        config: the site file.
        approved: digests of the approved studies, whose records are removed last.

    Raises:
        DataError: another process uses it.
    """
    return ActivationCache(config.cache.folder, int(config.cache.limit_gb * 1e9), approved)


class Bench:
    """What one study needs on this machine: branches, cached activations, examples by part.

    Args:
        study: the study.
        config: the site file.
        build: builds the study's branches.
        cache: keeps activations.
        progress: watches the long jobs.
        pulse: called between batches.
        find: finds the examples.
        numerics: file of what was measured of this machine; None: the one in the site's state.
    """

    def __init__(
        self,
        study: Study,
        config: SiteConfig,
        build: Build,
        cache: ActivationCache,
        progress: Progress = unwatched,
        pulse: Pulse = no_pulse,
        *,
        find: Find = examine,
        numerics: Path | None = None,
    ) -> None:
        self.study = study
        self.config = config
        self.cache = cache
        self._find = find
        self._numerics = numerics or config.state / "numerics.json"
        self._build = build
        self._progress = progress
        self.pulse = pulse
        self._remembered: tuple[object, NDArray[np.uint8]] | None = None
        self.membership: Membership | None = None  # in the collective that it joined last

    @cached_property
    def branches(self) -> list[Branch]:
        """The backbones, built once; every request sets what is trained in them anew."""
        return self._build(self.study, self.config.weights)

    @cached_property
    def extractor(self) -> Extractor:
        """The path from image to features."""
        numerics = settled_numerics(self.config.numerics, self._numerics, self._measure)
        return Extractor(
            self.study, self.branches, self.cache, numerics, self._progress, self.pulse
        )

    def computing(self) -> AbstractContextManager[None]:
        """Let torch use this site's number of threads within this context, and no other."""
        return threads(self.extractor.numerics)

    @cached_property
    def holdings(self) -> Holdings:
        """The site's examples by part, and what was left out."""
        return self._find(self.config, self.study, self.pulse)

    def examples(self, part: Part) -> Sequence[Example]:
        """Return the usable examples of a part."""
        return self.holdings.parts[part]

    def labels(self, part: Part) -> NDArray[np.int64]:
        """Return their labels, int64 (n,)."""
        return np.array([example.label for example in self.examples(part)], dtype=np.int64)

    def load(self, parts: PartStore | Mapping[str, Arrays], request: Request) -> None:
        """Set the branches to the parts that a request names, as they are in `parts`."""
        wanted = set(request.parts) & {"constants", "tails", "heads", "moments"}
        load_branches(self.branches, {name: parts[name] for name in wanted})

    def features(
        self, digests: Mapping[str, str], part: Part, views: int = 1
    ) -> NDArray[np.float32]:
        """Return concatenated features float32 (images, views, width) of the loaded tails.

        Args:
            digests: of the parts `constants` and `tails` that are loaded.
            part: whose images.
            views: how many views of each.
        """
        digest = f"{digests['constants']}-{digests['tails']}"
        if part == "train":  # all views that the study will ask for, while the image is decoded
            self.extractor.fill(self.examples(part), self.study.phase(BackbonesPhase).views)
        return self.extractor.features(self.examples(part), views, digest)

    def remembered(
        self, key: object, compute: Callable[[], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Return what was computed for this key last, or compute it: one value is kept."""
        if self._remembered is None or self._remembered[0] != key:
            self._remembered = (key, compute())
        return self._remembered[1]

    def leave_collective(self) -> None:
        """End what is left of the collective that was joined last."""
        if self.membership is not None:
            self.membership.end()
            self.membership = None

    def _measure(self) -> Numerics:
        return measured(self.branches, self.study.imaging.size)


class Site:
    """One hospital's side of every run.

    Args:
        config: the site file.
        approved: the studies it takes part in, by digest.
        build: builds a study's branches; virtual sites of one process may share them.
        cache: keeps activations; virtual sites of one process share it. None: the site file's.
        progress: watches the long jobs.
        pulse: called between batches of any work; it may raise to stop the work.
        find: finds a study's examples.
        numerics: file of what was measured of this machine; None: the one in the site's state.
        parts: keeps arrays that came down; virtual sites of one process share it.
        witness: of predictions on images that are evaluated; for virtual sites, whose images are
            nobody's secret.
    """

    def __init__(
        self,
        config: SiteConfig,
        approved: Mapping[str, Study],
        build: Build = build_branches,
        cache: ActivationCache | None = None,
        progress: Progress = unwatched,
        pulse: Pulse = no_pulse,
        *,
        find: Find = examine,
        numerics: Path | None = None,
        parts: PartStore | None = None,
        witness: Witness = unwitnessed,
    ) -> None:
        self.config = config
        self.approved = approved
        self.witness = witness
        self._find = find
        self._numerics = numerics or config.state / "numerics.json"
        self._build = build
        self._progress = progress
        self._pulse = pulse
        self._looked = 0.0  # when it was looked last, in seconds of the monotonic clock
        self._cache = cache or open_cache(config, approved)
        self._owns_cache = cache is None
        self.door = Door(config.state, config.name, config.limits)
        self.parts = parts or PartStore()
        self._benches: dict[str, Bench] = {}

    def close(self) -> None:
        """End what still works, and let other processes use the cache that this site opened."""
        for bench in self._benches.values():
            bench.leave_collective()
        if self._owns_cache:
            self._cache.close()
        if "rehearsal" in vars(self):
            self.rehearsal.close()

    @cached_property
    def rehearsal(self) -> "Site":
        """This site as it rehearses: generated images, and log, outbox and cache of their own.

        Approved studies, limits, numerics and the built branches are those of its runs.

        Raises:
            DataError: another process uses the cache.
        """
        return Site(
            rehearsal_config(self.config),
            self.approved,
            lambda study, _: self.bench(study).branches,
            progress=self._progress,
            pulse=self._pulse,
            find=examine_generated,
            numerics=self._numerics,
        )

    def study(self, request: Request) -> Study:
        """Return the approved study that a request belongs to.

        Raises:
            RequestRefused: the request is meant for another site, or its study is not approved.
        """
        if request.step.site != self.config.name:
            raise RequestRefused(
                f"the request is for site {request.step.site}, this is {self.config.name}",
                fix="compare the site names at both ends",
            )
        try:
            return self.approved[request.step.study]
        except KeyError as error:
            raise RequestRefused(
                f"study {request.step.study[:12]} is not approved at this site",
                fix="ask the hospital to approve this study, digest for digest",
            ) from error

    def bench(self, study: Study) -> Bench:
        """Return what is kept warm for a study."""
        if study.digest not in self._benches:
            pulse = partial(self._pulse_while_approved, study.digest)
            self._benches[study.digest] = Bench(
                study,
                self.config,
                self._build,
                self._cache,
                self._progress,
                pulse,
                find=self._find,
                numerics=self._numerics,
            )
        return self._benches[study.digest]

    def _pulse_while_approved(self, digest: str) -> None:
        """Pulse; stop the work, with the reason, if the hospital has withdrawn its study."""
        self._pulse()
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        if digest not in self.approved:
            raise _withdrawn(digest)


def _withdrawn(digest: str) -> RequestRefused:
    return RequestRefused(
        f"study {digest[:12]} is not approved at this site any more: it was withdrawn",
        fix="ask the hospital to approve it again, or run the study without this site",
    )
