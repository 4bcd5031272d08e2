"""The exchanges of a study, in order, if every site stays to the end and none is repeated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.asks import (
    COLLECTIVE_STAGES,
    CONTROL,
    EVALUATED,
    TRAINED,
    Ask,
    BoosterAsk,
    CalibrationAsk,
    Call,
    CensusAsk,
    CollectiveAsk,
    EvaluationAsk,
    FitAsk,
    MomentsAsk,
    Stage,
    TreesAsk,
)
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase, PhaseName
from common.study.schedule import needed_parts
from common.study.schema import Study

CERTIFICATE = 640
"""Characters of a certificate, about."""


@dataclass(frozen=True)
class Planned:
    """One exchange of a study."""

    phase: PhaseName
    round: int
    exchange: int
    ask: Ask
    renewed: tuple[str, ...] = ()
    """The parts of the model that the exchange before it, or the coordinator, made anew."""


def planned_exchanges(study: Study) -> Iterator[Planned]:
    """Yield the exchanges of a study, in order."""
    yield Planned("census", 1, 0, CensusAsk())
    backbones, fusion = study.phase(BackbonesPhase), study.phase(FusionPhase)
    stages: list[Stage] = ["heads" for _ in range(backbones.head_rounds)]
    stages += ["tails" for _ in range(backbones.tail_rounds)]
    dense: list[Stage] = ["fusion" for _ in range(fusion.rounds)]
    yield from _training(study, "backbones", stages, (), "moments")
    trained = [part for stage in stages[-1:] for part in TRAINED[stage]]
    yield from _training(study, "fusion", dense, trained, "fusion-moments")
    booster = study.phase(BoosterPhase)
    yield from _boosting(booster)
    last = ("booster",) if booster.held_rounds else ("booster", "fusion")
    yield Planned("calibration", 1, 0, CalibrationAsk(), last)
    temperatures = {"booster": 1.2345678901234567, "softmax": 1.2345678901234567}
    for number, part in enumerate(EVALUATED):
        ask = EvaluationAsk.model_validate({"part": part, "temperatures": temperatures})
        yield Planned("evaluation", 1, number, ask)


def _training(
    study: Study, phase: PhaseName, stages: Sequence[Stage], trained: Sequence[str], moments: str
) -> Iterator[Planned]:
    """Yield a phase's moments and rounds; `trained` is what the phase before renewed last."""
    yield Planned(phase, 0, 0, MomentsAsk(), tuple(trained))
    renewed: tuple[str, ...] = (moments,)
    before: Stage | None = None
    for number, stage in enumerate(stages, start=1):
        ask = FitAsk(stage=stage)
        if CONTROL in needed_parts(study, ask):
            renewed = (*renewed, CONTROL)
            if stage == before:
                ask = FitAsk(stage=stage, counted=dict.fromkeys(study.sites, number - 1))
        yield Planned(phase, number, 0, ask, renewed)
        before, renewed = stage, TRAINED[stage]


def _boosting(booster: BoosterPhase) -> Iterator[Planned]:
    if booster.mode == "collective":
        for exchange, stage in enumerate(COLLECTIVE_STAGES):
            call = Call(port=50000, certificate="c" * CERTIFICATE, members=("a",))
            ask = CollectiveAsk(stage=stage, call=call if stage == "start" else None)
            yield Planned("booster", 1, exchange, ask, ("fusion",) if exchange == 0 else ())
        return
    for round_ in range(1, booster.held_rounds + 1):
        before = ("booster", *(("fusion",) if round_ == 1 else ()))
        if booster.mode != "histogram":
            yield Planned("booster", round_, 0, TreesAsk(), before)
            continue
        for level in range(booster.depth):
            renewed = ("booster-partial", *(before if level == 0 else ()))
            yield Planned("booster", round_, level, BoosterAsk(level=level), renewed)
