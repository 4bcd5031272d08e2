"""What of the model stays at a site, where a study lets sites keep parts of their own."""

from common.study.phases import FusionPhase
from common.study.schema import Study

HEAD = ("head.weight", "head.bias")
"""The fusion block's softmax head, in the part `fusion`."""


def stays(study: Study, part: str, name: str) -> bool:
    """Say whether a trained array is each site's own: it is neither sent nor averaged.

    Args:
        study: what was agreed.
        part: of the model.
        name: of the array in that part.
    """
    return part == "fusion" and name in HEAD and study.phase(FusionPhase).head == "local"


def shared(study: Study) -> Study:
    """Return the study without parts of sites' own: what one site alone trains is all its own."""
    phases = tuple(
        phase.model_copy(update={"head": "shared"}) if isinstance(phase, FusionPhase) else phase
        for phase in study.phases
    )
    network = study.network.model_copy(update={"batch_norm": "frozen"})
    return study.model_copy(update={"phases": phases, "network": network})
