"""Calibration: one temperature for each classifier, from sums over validation images."""

import numpy as np

from common.asks import CalibrationAsk, CalibrationTold
from common.statistics.temperature import GRID, best_temperature
from common.wire import Reply
from server.aggregation import RunningSum
from server.conduct import Conduct, told_as
from server.phases.booster import GIVEN

CLASSIFIERS = ("booster", "softmax")


def run(conduct: Conduct) -> None:
    """Ask for the sums, and keep the temperatures of least total loss."""
    conduct.watch.phase("calibration", 1)
    for number in conduct.remaining("calibration", 1, 1):
        total = RunningSum({name: np.zeros(len(GRID), np.int64) for name in CLASSIFIERS})

        def take(site: str, reply: Reply, total: RunningSum = total) -> None:
            told_as(CalibrationTold, reply)
            total.add(site, reply.arrays)

        conduct.ask("calibration", number, CalibrationAsk(), GIVEN, take)
        temperatures = {name: best_temperature(total.sums[name]) for name in CLASSIFIERS}
        conduct.facts["temperatures"] = temperatures
        conduct.finish("calibration", number, temperatures=temperatures)
