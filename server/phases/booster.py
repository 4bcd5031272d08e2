"""Booster: its rounds, and trees grown level by level on exact sums of the sites' histograms."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.asks import BoosterAsk, BoosterTold
from common.boosting.growing import RoundState, grow, start_round
from common.boosting.histograms import check_sums, sums_shape
from common.boosting.rules import Rules, rules_of
from common.boosting.sampling import Plan
from common.boosting.trees import Forest, forest_from_arrays
from common.study.phases import BackbonesPhase, BoosterMode, BoosterPhase
from common.wire import Reply
from server.aggregation import RunningSum
from server.conduct import Conduct, told_as
from server.intake import check_examples
from server.phases.booster_collective import by_collective
from server.phases.booster_trees import by_bagging, by_turns


def rules_for(conduct: Conduct) -> Rules:
    """Gather the booster's rules; its features are H2, or the concatenated features."""
    settings = conduct.study.phase(BoosterPhase)
    width = {
        "fusion": conduct.study.network.h2,
        "concat": conduct.parts["fusion"].arrays["h1.weight"].shape[1],
    }[settings.input]
    return rules_of(
        settings,
        classes=len(conduct.study.labels.classes),
        features=width,
        seed=conduct.study.seed,
    )


def run(conduct: Conduct) -> None:
    """Grow the rounds that no checkpoint holds yet, in the study's mode."""
    settings = conduct.study.phase(BoosterPhase)
    rules = rules_for(conduct)
    conduct.watch.phase("booster", settings.held_rounds)
    if "booster" not in conduct.parts:
        conduct.hold("booster", Forest(()).to_arrays())
    for number in conduct.remaining("booster", 1, settings.held_rounds):
        forest = forest_from_arrays(conduct.parts["booster"].arrays, rules)
        grown, sites = _MODES[settings.mode](conduct, rules, number)
        conduct.hold("booster", (forest + grown).to_arrays())
        conduct.finish("booster", number, sites=sites)


def by_histograms(conduct: Conduct, rules: Rules, number: int) -> tuple[Forest, list[str]]:
    """Grow one round's trees, in `depth` exchanges, with the sites that stay to its end.

    A site that drops out within the round would leave its rows in its nodes' parents, so the
    round starts again without it; in the next round it is asked again. At the first level no row
    of it is in anything yet: the round goes on without it. Who stays is kept in a checkpoint:
    after a crash the sites must be asked the same once more.
    """
    again = conduct.facts.get("booster-again", {})
    if again.get("round") != number:
        again = {"round": number, "sites": conduct.cohort, "exchange": 0}
    sites, exchange = list(again["sites"]), int(again["exchange"])
    while True:
        state = start_round(rules, number)
        while plan := state.plan(rules):
            sums, accepted = _level_sums(conduct, rules, state, plan, sites, exchange)
            exchange += 1
            if len(accepted) < len(sites):
                if state.level:
                    break
                sites = accepted
                _stay(conduct, number, sites, exchange - 1)
            state = grow(rules, state, sums.sums["sums"])
        else:
            return state.partial, sorted(sites)
        sites = accepted
        conduct.watch.note(f"booster round {number} starts again with {', '.join(sites)}")
        _stay(conduct, number, sites, exchange)


def _stay(conduct: Conduct, number: int, sites: Sequence[str], exchange: int) -> None:
    """Keep with which sites, and at which exchange, a round begins, should it be resumed."""
    conduct.facts["booster-again"] = {"round": number, "sites": list(sites), "exchange": exchange}
    conduct.save("booster")


def _level_sums(
    conduct: Conduct,
    rules: Rules,
    state: RoundState,
    plan: Plan,
    sites: Sequence[str],
    exchange: int,
) -> tuple[RunningSum, list[str]]:
    conduct.hold("booster-partial", state.partial.to_arrays())
    total = RunningSum({"sums": np.zeros(sums_shape(rules, plan), np.int64)})

    def take(site: str, reply: Reply) -> None:
        told = told_as(BoosterTold, reply)
        views = conduct.study.phase(BackbonesPhase).views
        check_examples(site, told.examples, views * conduct.most_examples(site, "train"))
        if "sums" in reply.arrays:
            check_sums(site, reply.arrays["sums"], rules=rules, plan=plan, examples=told.examples)
        total.add(site, reply.arrays)

    ask = BoosterAsk(level=state.level)
    accepted = conduct.ask("booster", state.round, ask, take, exchange, sites)
    return total, accepted


GrowRound = Callable[[Conduct, Rules, int], tuple[Forest, list[str]]]
_MODES: Mapping[BoosterMode, GrowRound] = {
    "histogram": by_histograms,
    "bagging": by_bagging,
    "cyclic": by_turns,
    "collective": by_collective,
}
