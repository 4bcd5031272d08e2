"""Calibration: one temperature for each classifier, from sums over validation images."""

import numpy as np

from common.asks import CalibrationAsk, CalibrationTold
from common.statistics.temperature import GRID, best_temperature, largest_sum
from common.wire import Reply
from server.aggregation import RunningSum
from server.conduct import Conduct, told_as
from server.intake import check_arrays, check_range

CLASSIFIERS = ("booster", "softmax")


def run(conduct: Conduct) -> None:
    """Ask for the sums, and keep the temperatures of least total loss."""
    conduct.watch.phase("calibration", 1)
    for number in conduct.remaining("calibration", 1, 1):
        total = RunningSum({name: np.zeros(len(GRID), np.int64) for name in CLASSIFIERS})

        def take(site: str, reply: Reply, total: RunningSum = total) -> None:
            told = told_as(CalibrationTold, reply)
            check_arrays(site, reply.arrays, total.sums, np.int64)
            most = largest_sum(min(told.examples, conduct.most_examples(site, "validation")))
            check_range(site, reply.arrays, dict.fromkeys(CLASSIFIERS, (0, most)))
            total.add(site, reply.arrays)

        conduct.ask("calibration", number, CalibrationAsk(), take)
        temperatures = {name: best_temperature(total.sums[name]) for name in CLASSIFIERS}
        conduct.facts["temperatures"] = temperatures
        conduct.finish("calibration", number, temperatures=temperatures)
