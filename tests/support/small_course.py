"""A coordinator's whole course over a few generated images, with sites that can be spoilt."""

import io
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from safetensors.numpy import save

from client.data.cache import ActivationCache
from client.phases import handle
from client.site import Site
from client.site_config import Cache, Images, Limits, Numerics, SiteConfig
from common.initial_model import read_initial, write_initial
from common.metrics import RunMetrics, load_metrics
from common.model.initial import initial_model
from common.model.network import front_arrays
from common.record import read_record
from common.study.schema import Study
from common.wire import Step, decode_header
from server.course import run_study
from server.progress import PlainProgress
from server.rounds import Rounds
from server.run_folder import RunFolder
from simulations.engines.inprocess import Handle, LoopbackGrid
from simulations.partition import partition, write_partition
from simulations.scenario import SyntheticData, load_scenario
from simulations.synthetic import write_dataset
from simulations.virtual_sites import VirtualSites
from tests.support.small_scenario import write_scenario

Gone = Callable[[Step], bool]
"""Says whether a site is gone at a step."""


class Course:
    """The small scenario's images, divided; `run` lets a coordinator work through a study.

    Args:
        home: a folder of its own.
        changes: settings of the study that replace the scenario's.
    """

    def __init__(self, home: Path, **changes: Any) -> None:
        scenario, study = load_scenario(write_scenario(home))
        assert isinstance(scenario.data, SyntheticData)
        self.home = home
        self.images = write_dataset(home / "smears", scenario.data.settings).parent
        self.manifest = home / "manifest.csv"
        rows = partition(self.images / "manifest.csv", scenario.partition, study.seed, study.sites)
        write_partition(rows, self.manifest)
        self.cache = ActivationCache(home / "cache", 10**9)
        self._builder = VirtualSites(
            home, self.manifest, self.images, None, self.cache, Numerics(), lambda *work: None
        )
        study = study.model_copy(update=changes)
        branches = self._builder.branches(study, None)
        write_initial(home / "initial.safetensors", initial_model(study, branches))
        (home / "fronts.safetensors").write_bytes(save(front_arrays(branches)))
        self.initial = read_initial(home / "initial.safetensors")
        self.study = study.model_copy(update={"initial_model": self.initial.digest})

    def sites(self, name: str, study: Study | None = None, **limits: Any) -> dict[str, Site]:
        """Make the study's sites, with records of their own below `name`."""
        study = study or self.study
        return {
            site: Site(
                SiteConfig(
                    name=site,
                    images=Images(manifest=self.manifest, root=self.images, only={"site": site}),
                    state=self.home / name / "hospitals" / site,
                    cache=Cache(folder=self.home / name / "hospitals" / site / "cache"),
                    numerics=Numerics(),
                    limits=Limits(**{"fewest_examples": 0, **limits}),
                ),
                {study.digest: study},
                self._builder.branches,
                self.cache,
            )
            for site in study.sites
        }

    def run(
        self,
        name: str,
        sites: Mapping[str, Site],
        *,
        gone: Mapping[str, Gone] | None = None,
        study: Study | None = None,
        rehearsal: bool = False,
    ) -> RunMetrics:
        """Run a study to its release, or go on with it.

        Args:
            name: of the run's folder.
            sites: who answers.
            gone: per site, the steps at which it gives no answer.
            study: instead of the course's own.
            rehearsal: on generated images.
        """
        absent = gone or {}
        grid = LoopbackGrid(
            {site: _answering(one, absent.get(site)) for site, one in sites.items()}
        )
        path = self.home / name
        path.mkdir(exist_ok=True)
        with PlainProgress(Console(file=io.StringIO(), width=200)) as watch:
            run_study(
                study or self.study, self.initial, self.home / "fronts.safetensors",
                RunFolder(path, name), partial(Rounds, grid, deadline_s=60.0, poll_s=0.01),
                watch, rehearsal=rehearsal,
            )  # fmt: skip
        return load_metrics(path / "metrics.json")

    def events(self, name: str, *kinds: str) -> list[dict[str, Any]]:
        """Return a run's events of some kinds."""
        return [e for e in read_record(self.home / name / "record.jsonl") if e["event"] in kinds]

    def card(self, name: str) -> str:
        """Return a run's model card."""
        return (self.home / name / "release" / "MODEL_CARD.md").read_text(encoding="utf-8")

    def report(self, name: str) -> str:
        """Return a run's report."""
        return (self.home / name / "report.html").read_text(encoding="utf-8")


def at(*steps: tuple[str, int]) -> Gone:
    """Be gone at these rounds."""
    return lambda step: (step.phase, step.round) in steps


def since(phase: str, phases: Iterable[str]) -> Gone:
    """Be gone from the beginning of a phase on."""
    later = list(phases)
    later = later[later.index(phase) :]
    return lambda step: step.phase in later


def _answering(site: Site, gone: Gone | None) -> Handle:
    def answer(data: bytes) -> bytes:
        if gone is not None and gone(decode_header(data).step):
            raise ConnectionError("gone")
        return handle(data, site)

    return answer
