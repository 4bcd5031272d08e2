"""A coordinator for tests with a real worker: real rounds, a real signature, a real carrier."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from common.asks import NEEDED_PARTS, Ask, CensusAsk, FitAsk, MomentsAsk, Stage, work_of
from common.model.initial import build_branches, initial_model
from common.parts import Arrays
from common.record import Record, read_record
from common.signing import sign_request
from common.study.phases import BackbonesPhase, Phase
from common.study.schema import Study
from common.wire import Reply, Request, Step, encode_request
from server.checkpoints import Part
from server.progress import PlainProgress
from server.rounds import Rounds
from tests.support.carrier_grid import CarrierGrid
from tests.support.small import small_study
from tests.support.worker_process import NAME

LAUNCH = 1_800_000_000_000
NEIGHBOUR = "south"
"""Another site of these studies; no worker of its own is started."""


def worker_study(name: str = "walled", **backbones: Any) -> Study:
    """Build a study of two sites over the small pair; the settings are of its backbones phase."""
    phases: tuple[Phase, ...] = tuple(
        BackbonesPhase(**{"head_rounds": 6, "tail_rounds": 1, **backbones})
        if isinstance(phase, BackbonesPhase)
        else phase
        for phase in small_study().phases
    )
    return small_study(name=name, sites=(NAME, NEIGHBOUR), phases=phases)


STUDY = worker_study()


@cache
def model_parts() -> Mapping[str, Part]:
    """Return the parts of the initial model of every `worker_study`, and moments of no effect."""
    found: dict[str, Arrays] = dict(initial_model(STUDY, build_branches(STUDY, None)).parts)
    moments: dict[str, Any] = {}
    for backbone in STUDY.network.backbones:
        name = backbone.architecture
        width = found["heads"][f"{name}/weight"].shape[1]
        moments[f"{name}/mean"] = np.zeros(width, np.float32)
        moments[f"{name}/scale"] = np.ones(width, np.float32)
    return {name: Part.of(arrays) for name, arrays in (found | {"moments": moments}).items()}


def census(study: Study, run: str = "run-1") -> Request:
    """Ask for the census."""
    return _request(study, run, "census", 1, CensusAsk())


def moments(study: Study, run: str = "run-1") -> Request:
    """Ask for the moments of round 0, which pass every image through the frozen fronts."""
    return _request(study, run, "backbones", 0, MomentsAsk())


def fit(study: Study, round: int, run: str = "run-1", stage: Stage = "heads") -> Request:
    """Ask for a round of training."""
    return _request(study, run, "backbones", round, FitAsk(stage=stage))


def _request(study: Study, run: str, phase: str, round: int, ask: Ask) -> Request:
    parts = {name: model_parts()[name] for name in NEEDED_PARTS[work_of(ask)]}
    step = Step(study=study.digest, run=run, phase=phase, round=round, exchange=0, site=NAME)
    return Request(
        step,
        ask,
        {name: part.digest for name, part in parts.items()},
        {name: part.arrays for name, part in parts.items()},
    )


def signed(request: Request, key: Ed25519PrivateKey, launch: int = LAUNCH) -> bytes:
    """Encode and sign a request, arrays and all."""
    return sign_request(encode_request(request), key, launch)


class Coordinator:
    """One launch of a run, which asks one site at a time.

    Args:
        folder: holds the record.
        grid: leads to the site.
        study: what is run.
        key: signs the requests; None: nobody does.
        run: the run's name.
        launch: the number of this launch.
    """

    def __init__(
        self,
        folder: Path,
        grid: CarrierGrid,
        study: Study,
        key: Ed25519PrivateKey | None,
        *,
        run: str = "run-1",
        launch: int = LAUNCH,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.study, self.run, self.grid = study, run, grid
        self.record = Record(folder / "record.jsonl", study=study.digest, run=run)
        self.rounds = Rounds(
            grid, study, run, self.record,
            PlainProgress(Console(file=io.StringIO(), width=500)), deadline_s=60.0, poll_s=0.01,
            seal=lambda data: data if key is None else sign_request(data, key, launch),
        )  # fmt: skip

    def ask(self, request: Request) -> Reply | None:
        """Hold the exchange of a request's step; return the reply that was taken, if any was."""
        taken: list[Reply] = []
        step = request.step
        self.rounds.exchange(
            phase=step.phase, round=step.round, exchange=step.exchange, ask=request.ask,
            parts={name: Part.of(arrays) for name, arrays in request.arrays.items()},
            take=lambda site, reply: taken.append(reply), sites=(step.site,), quorum=0,
        )  # fmt: skip
        return taken[0] if taken else None

    def losses(self) -> list[dict[str, Any]]:
        """Return what the record tells of replies that do not count."""
        return [
            event
            for event in read_record(self.record.path)
            if event["event"] in ("missing", "refused", "rejected")
        ]
