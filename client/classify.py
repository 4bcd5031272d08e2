"""Concatenated features to class probabilities, by the trees and by the softmax head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from common.boosting.grid import Grid, bin_features, log_grid
from common.boosting.rules import Rules, rules_of
from common.boosting.trees import Forest, forest_from_arrays, margins
from common.model.network import Fusion, build_fusion, load_fusion
from common.study.phases import BoosterPhase
from common.study.schema import Study

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Classifier:
    """What stands behind the features: fusion block, its softmax head, and the trees."""

    study: Study
    fusion: Fusion
    rules: Rules
    grid: Grid

    def rows(self, features: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the booster's input uint8 (n, booster features) of features (n, width)."""
        if self.study.phase(BoosterPhase).input == "fusion":
            with torch.inference_mode():
                features = self.fusion.hidden(torch.from_numpy(features)).numpy()
        return bin_features(features, self.grid)

    def softmax(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the softmax head's log-probabilities (n, classes)."""
        with torch.inference_mode():
            logits = self.fusion(torch.from_numpy(features)).double().numpy()
        found: NDArray[np.float64] = log_softmax(logits, axis=1)
        return found

    def booster(self, features: NDArray[np.float32], forest: Forest) -> NDArray[np.float64]:
        """Return the trees' log-probabilities (n, classes), eq. 10 of Khan et al. 2025.

        In a study without trees, the softmax head stands in their place.
        """
        if self.study.phase(BoosterPhase).mode == "none":
            return self.softmax(features)
        margin = margins(forest, self.rows(features), self.rules).astype(np.float64)
        found: NDArray[np.float64] = log_softmax(margin, axis=1)
        return found

    def forest(self, arrays: Arrays, rounds: int | None = None) -> Forest:
        """Read and check a tree table of so many boosting rounds; None: of any number.

        Raises:
            CorruptFile: as `forest_from_arrays` says.
        """
        return forest_from_arrays(arrays, self.rules, rounds=rounds)


def mean_probabilities(logs: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the log of the mean of probabilities that are given by their logs, (n, classes)."""
    if len(logs) == 1:
        return logs[0]
    mean: NDArray[np.float64] = logsumexp(np.stack(logs), axis=0) - np.log(len(logs))
    return mean


def build_classifier(study: Study, fusion: Arrays, moments: Arrays) -> Classifier:
    """Build a study's classifier from the arrays of parts `fusion` and `fusion-moments`."""
    width = fusion["h1.weight"].shape[1]
    block = build_fusion(study, width)
    load_fusion(block, fusion, moments)
    booster = study.phase(BoosterPhase)
    rules = rules_of(
        booster,
        classes=len(study.labels.classes),
        features=study.network.h2 if booster.input == "fusion" else width,
        seed=study.seed,
    )
    grid = log_grid(booster.grid.lowest, booster.grid.highest, booster.grid.levels)
    return Classifier(study, block, rules, grid)
