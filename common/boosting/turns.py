"""Whose turn it is, where one site grows a round: coordinator and sites work it out alone."""

from collections.abc import Sequence

import numpy as np

from common.seeds import stream


def turns(seed: int, sites: Sequence[str], round_: int) -> list[str]:
    """Order the sites for a round: the first grows it, the others stand in, one after another.

    In as many rounds as there are sites each comes first once; then they are shuffled anew.

    Args:
        seed: the study's.
        sites: of the study, whether or not they take part.
        round_: from 1.
    """
    cycle, place = divmod(round_ - 1, len(sites))
    chance = stream(seed, "booster", "turns", cycle)
    # Raw output, which NumPy promises never to change (common/boosting/sampling.py).
    ranks = np.argsort(chance.bit_generator.random_raw(len(sites)), kind="stable")
    shuffled = [sites[rank] for rank in ranks]
    return shuffled[place:] + shuffled[:place]
