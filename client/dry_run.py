"""The coordinator of one: a study's every kind of work, asked of a single site, and what it tells.

Nothing is sent: the replies come out of the site's own door, and are listed instead. What a site
tells in a real run has the same names, shapes and types; the values differ as the models do.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from client.purposes import PURPOSES
from common.asks import (
    CONTROL,
    EVALUATED,
    TRAINED,
    Ask,
    BoosterAsk,
    CalibrationAsk,
    CensusAsk,
    CollectiveAsk,
    EvaluationAsk,
    FitAsk,
    MomentsAsk,
    Stage,
    TreesAsk,
    Work,
    work_of,
)
from common.boosting.growing import grow, start_round
from common.boosting.rules import Rules, rules_of
from common.boosting.trees import Forest, forest_from_arrays
from common.boosting.turns import turns
from common.digests import digest_arrays
from common.forecast import Traffic
from common.log_head import split_head
from common.parts import Arrays, by_part
from common.statistics.temperature import best_temperature
from common.study.personal import stays
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase, PhaseName
from common.study.schedule import needed_parts
from common.study.schema import Study
from common.updates.coding import decoded
from common.updates.differences import apply
from common.updates.moments import moments
from common.wire import Reply, Request, Step, decode_reply, encode_request

Carry = Callable[[bytes], bytes]
"""Takes an encoded request to a site, and brings back the head of its log with the reply."""


@dataclass(frozen=True)
class ArraySent:
    """One array of a reply."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    norm: float  # Euclidean, of its values in float64


@dataclass(frozen=True)
class Sent:
    """One reply: what would leave the site."""

    phase: PhaseName
    round: int
    exchange: int
    work: Work
    times: int  # how often the whole study asks for it, with the same sizes
    status: Literal["done", "refused", "needs-parts"]
    told: Mapping[str, Any]  # the numbers and words beside the arrays
    arrays: tuple[ArraySent, ...]
    bytes: int  # of the whole reply, once
    seconds: float  # the site's own
    problem: str = ""  # why it was refused

    @property
    def purpose(self) -> str:
        """Why it leaves."""
        return PURPOSES[self.work]


def whole_study(passing: Sequence[Traffic], sent: Sequence[Sent]) -> tuple[int, int]:
    """Return how many replies a whole study asks of a site, and how many bytes they are about.

    Of the booster's levels, which grow with the data, full trees are reckoned.

    Args:
        passing: every exchange of the study, as `common.forecast.traffic` reckons it.
        sent: what `dry_run` yielded, all of it; what the site refused there leaves it never.
    """
    done = {one.work for one in sent if one.status == "done"}
    leaving = [one.up for one in passing if work_of(one.planned.ask) in done]
    return len(leaving), sum(leaving)


def dry_run(study: Study, site: str, initial: Mapping[str, Arrays], carry: Carry) -> Iterator[Sent]:
    """Ask a site for every kind of work of a study once, in order; of the booster, every level.

    Each reply is made use of as the coordinator would, if it had this one site: the next request
    carries the model that follows from it. What the site refuses leaves the model as it was.

    Args:
        study: it is approved at the site.
        site: the site's name.
        initial: the parts of the initial model.
        carry: leads to the site.

    Yields:
        What each reply holds.
    """
    run = _Course(study, site, dict(initial), carry)
    backbones, fusion = study.phase(BackbonesPhase), study.phase(FusionPhase)
    yield run.ask("census", 1, CensusAsk())
    yield run.ask("backbones", 0, MomentsAsk(), take=run.standardise_heads)
    if backbones.head_rounds:
        yield run.ask(
            "backbones", 1, FitAsk(stage="heads"), backbones.head_rounds,
            take=partial(run.add_differences, "heads"),
        )  # fmt: skip
    if backbones.tail_rounds:
        yield run.ask(
            "backbones", backbones.head_rounds + 1, FitAsk(stage="tails"), backbones.tail_rounds,
            take=partial(run.add_differences, "tails"),
        )  # fmt: skip
    yield run.ask("fusion", 0, MomentsAsk(), take=run.standardise_fusion)
    yield run.ask(
        "fusion", 1, FitAsk(stage="fusion"), fusion.rounds,
        take=partial(run.add_differences, "fusion"),
    )  # fmt: skip
    if study.phase(BoosterPhase).held_rounds:
        yield from run.grow_trees()
    yield run.ask("calibration", 1, CalibrationAsk(), take=run.set_temperatures)
    for exchange, part in enumerate(EVALUATED):
        ask = EvaluationAsk(part=part, temperatures=run.temperatures)
        yield run.ask("evaluation", 1, ask, exchange=exchange)


class _Course:
    """The model between two requests, as the only site's replies have made it."""

    def __init__(self, study: Study, site: str, parts: dict[str, Arrays], carry: Carry) -> None:
        self.study = study
        self.site = site
        self.parts = parts
        self.temperatures: dict[Any, float] = {"booster": 1.0, "softmax": 1.0}
        self._carry = carry
        self._widths = {
            backbone.architecture: parts["heads"][f"{backbone.architecture}/weight"].shape[1]
            for backbone in study.network.backbones
        }
        # Of no effect: what follows can be asked even if the site refuses to sum its features.
        width = sum(self._widths.values())
        nothing = {"mean": np.zeros(width, np.float32), "scale": np.ones(width, np.float32)}
        parts["moments"], parts["fusion-moments"] = self._by_backbone(nothing), nothing
        parts["booster"] = Forest(()).to_arrays()

    def ask(
        self,
        phase: PhaseName,
        round: int,
        ask: Ask,
        times: int = 1,
        *,
        exchange: int = 0,
        take: Callable[[Reply], None] | None = None,
    ) -> Sent:
        """Ask, make use of the reply, and say what it holds."""
        work = work_of(ask)
        if isinstance(ask, FitAsk):  # the first round of its stage: all control variates are zero
            self.parts[CONTROL] = {
                f"{part}/{name}": np.zeros_like(array)
                for part in TRAINED[ask.stage]
                for name, array in self.parts[part].items()
                if not stays(self.study, part, name)
            }
        needed = {name: self.parts[name] for name in needed_parts(self.study, ask)}
        step = Step(
            study=self.study.digest, run="dry-run", phase=phase, round=round, exchange=exchange,
            site=self.site,
        )  # fmt: skip
        digests = {name: digest_arrays(arrays) for name, arrays in needed.items()}
        message = self._carry(encode_request(Request(step, ask, digests, needed)))
        reply = decode_reply(split_head(message)[1])
        if reply.status == "done" and take is not None:
            take(reply)
        told = {} if reply.told is None else reply.told.model_dump(mode="json", exclude={"kind"})
        return Sent(
            phase=phase, round=round, exchange=exchange, work=work, times=times,
            status=reply.status, told=told, bytes=len(message), seconds=reply.seconds,
            arrays=tuple(_sent(name, array) for name, array in sorted(reply.arrays.items())),
            problem=reply.problem,
        )  # fmt: skip

    def add_differences(self, stage: Stage, reply: Reply) -> None:
        """Add what training changed: the mean over one site."""
        held = {
            f"{part}/{name}": array
            for part in TRAINED[stage]
            for name, array in self.parts[part].items()
            if not stays(self.study, part, name)
        }
        update = {n: a for n, a in reply.arrays.items() if not n.startswith(f"{CONTROL}/")}
        compression = self.study.compression
        if compression.up != "none":
            sizes = {name: array.shape for name, array in held.items()}
            update = dict(decoded(update, sizes, compression.up, compression.share))
        mean = {name: array.astype(np.float64) for name, array in update.items()}
        for part, arrays in by_part(apply(held, mean)).items():
            self.parts[part] = {**self.parts[part], **arrays}

    def standardise_heads(self, reply: Reply) -> None:
        """Set the moments by which the heads' features are standardised."""
        self.parts["moments"] = self._by_backbone(_moments(reply))

    def standardise_fusion(self, reply: Reply) -> None:
        """Set the moments by which the concatenated features are standardised."""
        self.parts["fusion-moments"] = _moments(reply)

    def grow_trees(self) -> Iterator[Sent]:
        """Grow the first round's trees; every further round asks for as much."""
        settings = self.study.phase(BoosterPhase)
        features = {"fusion": self.study.network.h2, "concat": sum(self._widths.values())}
        if settings.mode == "collective":  # one site alone has nobody to meet
            yield self.ask("booster", 1, CollectiveAsk(stage="join"))
            return
        rules = rules_of(
            settings, classes=len(self.study.labels.classes),
            features=features[settings.input], seed=self.study.seed,
        )  # fmt: skip
        if settings.mode != "histogram":
            yield from self._grow_alone(settings, rules)
            return
        state = start_round(rules, 1)
        sums: list[NDArray[np.int64]] = []
        while state.plan(rules):
            self.parts["booster-partial"] = state.partial.to_arrays()
            level = state.level
            yield self.ask(
                "booster", 1, BoosterAsk(level=level), settings.rounds, exchange=level,
                take=lambda reply: sums.append(reply.arrays["sums"]),
            )  # fmt: skip
            if not sums:
                return
            state = grow(rules, state, sums.pop())
        self.parts["booster"] = state.partial.to_arrays()

    def _grow_alone(self, settings: BoosterPhase, rules: Rules) -> Iterator[Sent]:
        """Take the site's turn in the first round; by `cyclic` it has but one in a cycle."""
        exchange, times = 0, settings.rounds
        if settings.mode == "cyclic":
            exchange = turns(self.study.seed, self.study.sites, 1).index(self.site)
            times = math.ceil(settings.rounds / len(self.study.sites))

        def take(reply: Reply) -> None:
            self.parts["booster"] = forest_from_arrays(reply.arrays, rules, rounds=1).to_arrays()

        yield self.ask("booster", 1, TreesAsk(), times, exchange=exchange, take=take)

    def set_temperatures(self, reply: Reply) -> None:
        """Keep the temperatures of least total loss."""
        for name in self.temperatures:
            self.temperatures[name] = best_temperature(reply.arrays[name])

    def _by_backbone(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        bounds = np.cumsum([0, *self._widths.values()])
        return {
            f"{architecture}/{name}": array[bounds[i] : bounds[i + 1]]
            for i, architecture in enumerate(self._widths)
            for name, array in arrays.items()
        }


def _moments(reply: Reply) -> dict[str, NDArray[np.float32]]:
    examples: int = getattr(reply.told, "examples", 0)
    return moments(reply.arrays, examples)


def _sent(name: str, array: NDArray[Any]) -> ArraySent:
    norm = math.sqrt(float(np.square(array, dtype=np.float64).sum()))
    return ArraySent(name, array.shape, array.dtype.name, array.nbytes, norm)
