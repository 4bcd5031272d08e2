"""Settings of how the updates of the network phases are made smaller on their way."""

from typing import Literal

from pydantic import Field

from common.study.strict import Strict


class Compression(Strict):
    """How much smaller the network phases' updates travel; what is left over goes with a later one.

    Backbones and fusion only: the booster's sums, counts and moments stay exact.
    """

    up: Literal["none", "int8", "topk"] = "none"
    """From a site. `none`: float16 differences. `int8`: whole numbers of 8 bits with a scale per
    channel. `topk`: the largest differences alone. With the latter two a site keeps what they leave
    out, and adds it to its next update (error feedback)."""
    share: float = Field(default=0.1, gt=0, le=1)
    """Of `topk`: the share of all values that is sent in a round."""
    down: Literal["none", "int8"] = "none"
    """From the coordinator. `none`: the whole float32 model. `int8`: to a site that holds the
    model of the round before, the step from it; the coordinator keeps what that leaves out."""
