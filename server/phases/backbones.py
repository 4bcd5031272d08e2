"""Backbones: heads on frozen features first, then tails and heads together."""

import numpy as np

from common.study.phases import BackbonesPhase
from server.conduct import Conduct
from server.phases.training import gather_moments, train_round


def run(conduct: Conduct) -> None:
    """Run the phase's rounds that no checkpoint holds yet; round 0 gathers feature moments."""
    settings = conduct.study.phase(BackbonesPhase)
    rounds = settings.head_rounds + settings.tail_rounds
    conduct.watch.phase("backbones", rounds)
    for number in conduct.remaining("backbones", 0, rounds):
        if number == 0:
            _standardise(conduct)
        elif number <= settings.head_rounds:
            train_round(conduct, "backbones", number, "heads")
        else:
            train_round(conduct, "backbones", number, "tails")


def _standardise(conduct: Conduct) -> None:
    heads = conduct.parts["heads"].arrays
    widths = {
        backbone.architecture: heads[f"{backbone.architecture}/weight"].shape[1]
        for backbone in conduct.study.network.backbones
    }
    found = gather_moments(conduct, "backbones", sum(widths.values()))
    bounds = np.cumsum([0, *widths.values()])
    conduct.hold(
        "moments",
        {
            f"{architecture}/{name}": array[bounds[i] : bounds[i + 1]]
            for i, architecture in enumerate(widths)
            for name, array in found.items()
        },
    )
    conduct.finish("backbones", 0)
