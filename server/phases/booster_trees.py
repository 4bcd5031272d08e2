"""Booster by whole trees: every site's of each round joined, or the sites by turns."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from common.asks import TreesAsk, TreesTold
from common.boosting.rules import Rules
from common.boosting.trees import LEAF, Forest, forest_from_arrays
from common.boosting.turns import turns
from common.errors import CorruptFile, UpdateRejected
from common.parts import Arrays
from common.study.phases import BackbonesPhase, BoosterPhase
from common.wire import Reply
from server.conduct import Conduct, told_as
from server.intake import VERSIONS, check_examples


def by_bagging(conduct: Conduct, rules: Rules, number: int) -> tuple[Forest, list[str]]:
    """Join the trees that every site grew on its own rows from the margins of all rounds before."""
    grown: dict[str, Forest] = {}

    def take(site: str, reply: Reply) -> None:
        grown[site] = _told_trees(conduct, rules, site, reply)

    sites = sorted(conduct.ask("booster", number, TreesAsk(), take))
    return joined(grown, conduct.study.phase(BoosterPhase).bagging), sites


def joined(grown: Mapping[str, Forest], by: Literal["mean", "sum"]) -> Forest:
    """Return all sites' trees of a round, in the order of the sites' names.

    Each site's are `classes x parallel_trees`, class by class, which is one iteration of an
    XGBoost model: so the joined forest keeps every tree's class. By `mean` a leaf is divided by
    the number of sites: the forest adds the mean of the steps that the sites would take.
    """
    forest = Forest(tuple(tree for site in sorted(grown) for tree in grown[site].trees))
    return forest.divided(len(grown)) if by == "mean" else forest


def by_turns(conduct: Conduct, rules: Rules, number: int) -> tuple[Forest, list[str]]:
    """Let one site grow the round; if it does not answer usably, the next in turn stands in.

    A round needs one site, whatever the study's quorum.
    """
    grown = Forest(())

    def take(site: str, reply: Reply) -> None:
        nonlocal grown
        grown = _told_trees(conduct, rules, site, reply)

    order = turns(conduct.study.seed, conduct.study.sites, number)
    asked = [(exchange, site) for exchange, site in enumerate(order) if site in conduct.cohort]
    for exchange, site in asked:
        last = exchange == asked[-1][0]
        sites = conduct.ask("booster", number, TreesAsk(), take, exchange, [site], int(last))
        if sites:
            break
        conduct.watch.note(f"{site} did not take its turn in booster round {number}")
    return grown, sites


def check_trees(site: str, arrays: Arrays, rules: Rules, *, rounds: int, examples: int) -> Forest:
    """Read a site's trees, and refuse what so many rows cannot have grown.

    A row adds at most 1 to a gradient and 1/2 to a hessian, and a node that is weighed has a
    hessian of `min_child_weight`: so -G / (H + lambda) is bounded. What passes can still be
    false; it cannot be absurd.

    Args:
        site: whose they are.
        arrays: their table.
        rules: the study's.
        rounds: how many rounds it must hold.
        examples: rows that they were grown on.

    Raises:
        UpdateRejected: the table is malformed, or out of bounds.
    """
    try:
        forest = forest_from_arrays(arrays, rules, rounds=rounds)
    except CorruptFile as error:
        raise UpdateRejected(site, error.problem, fix=VERSIONS) from error
    value, leaf = np.abs(arrays["value"]), arrays["feature"] == LEAF
    most = 1.01 * examples / max(rules.l2 + rules.min_child_weight, 1e-16)
    problem = ""
    if (arrays["hessian"] > 0.51 * examples).any():
        problem = f"a hessian is outside what {examples} examples can add up to"
    elif (value > np.where(leaf, most * float(rules.shrinkage), most)).any():
        problem = f"a leaf is outside what {examples} examples can weigh"
    if problem:
        raise UpdateRejected(site, problem, fix=VERSIONS)
    return forest


def _told_trees(conduct: Conduct, rules: Rules, site: str, reply: Reply) -> Forest:
    told = told_as(TreesTold, reply)
    views = conduct.study.phase(BackbonesPhase).views
    check_examples(site, told.examples, views * conduct.most_examples(site, "train"))
    return check_trees(site, reply.arrays, rules, rounds=1, examples=told.examples)
