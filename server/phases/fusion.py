"""Fusion: H1, H2 and their temporary head, on the concatenated features of both backbones."""

from common.study.phases import FusionPhase
from server.conduct import Conduct
from server.phases.training import gather_moments, train_round


def run(conduct: Conduct) -> None:
    """Run the phase's rounds that no checkpoint holds yet; round 0 gathers feature moments."""
    settings = conduct.study.phase(FusionPhase)
    conduct.watch.phase("fusion", settings.rounds)
    for number in conduct.remaining("fusion", 0, settings.rounds):
        if number == 0:
            width = conduct.parts["fusion"].arrays["h1.weight"].shape[1]
            found = gather_moments(conduct, "fusion", width)
            conduct.hold("fusion-moments", found)
            conduct.finish("fusion", 0)
        else:
            train_round(conduct, "fusion", number, "fusion")
