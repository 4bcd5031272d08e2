"""Tails trained on folds: what a pooled run's backbones phase does, measured like the probes."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from client.activations import Extractor
from client.data.manifest import Example
from client.training.fit import fit_dense, fit_tail
from client.training.numerics import threads
from common.model.network import Branch, load_branches, trained_arrays
from common.parts import Arrays
from common.seeds import stream
from common.study.phases import BackbonesPhase
from common.study.schedule import schedule_of
from common.study.schema import Study
from common.updates.moments import moment_sums, moments
from simulations.folds import Fold
from simulations.screening import Ground, Predictions

_PARTS = ("constants", "tails", "heads")


def fine_tuned(ground: Ground, study: Study, extractor: Extractor) -> Predictions:
    """Train both tails on every fold of the first division, and predict what the fold tests.

    As one site that holds all training images would: features standardised by their own moments,
    the study's head rounds, then its tail rounds, at the study's rates. The prediction is the mean
    of both heads' probabilities; fusion block and booster are left out.

    Args:
        ground: the images and folds.
        study: its imaging, augmentation and backbones phase.
        extractor: of this study; its branches are set back before every fold and at the end.

    Returns:
        int64 (1, n).
    """
    branches = extractor.branches
    start = {part: trained_arrays(branches, part) for part in _PARTS}
    predicted = np.full(len(ground.examples), -1, dtype=np.int64)
    with threads(extractor.numerics):
        extractor.fill(ground.examples, study.phase(BackbonesPhase).views)
        for number, fold in enumerate(ground.divisions[0]):
            load_branches(branches, start)
            _train(ground, fold, study, extractor, number)
            tested = [ground.examples[i] for i in fold.test]
            predicted[fold.test] = _probabilities(branches, tested, extractor).argmax(axis=1)
    load_branches(branches, start)
    return predicted[None]


def _train(ground: Ground, fold: Fold, study: Study, extractor: Extractor, number: int) -> None:
    """Train the branches in place on all of a fold that it does not test."""
    settings = study.phase(BackbonesPhase)
    chosen = np.sort(np.concatenate([fold.train, fold.validation]))
    examples: Sequence[Example] = [ground.examples[i] for i in chosen]
    labels = ground.labels[chosen]
    for place, branch in enumerate(extractor.branches):
        features = extractor.features_now(branch, examples)
        load_branches([branch], {"moments": _standardising(branch, features)})
        generator = stream(study.seed, "tails", number, branch.architecture)
        for head_round in range(1, settings.head_rounds + 1):
            schedule = schedule_of(study, "heads", head_round)
            heads = list(branch.head.parameters())
            fit_dense(heads, branch.logits, features[:, None], labels, schedule, generator)
        for tail_round in range(1, settings.tail_rounds + 1):
            schedule = schedule_of(study, "tails", settings.head_rounds + tail_round)
            fit_tail(
                branch, partial(extractor.draw, place, examples), settings.views, labels,
                schedule, generator, extractor.numerics,
            )  # fmt: skip


def _standardising(branch: Branch, features: NDArray[np.float32]) -> Arrays:
    found = moments(moment_sums(features), len(features))
    return {f"{branch.architecture}/{name}": array for name, array in found.items()}


def _probabilities(
    branches: Sequence[Branch], examples: Sequence[Example], extractor: Extractor
) -> NDArray[np.float64]:
    """Return the mean of the heads' probabilities, float64 (n, classes)."""
    found = []
    for branch in branches:
        features = torch.from_numpy(extractor.features_now(branch, examples))
        with torch.inference_mode():
            found.append(softmax(branch.logits(features).double().numpy(), axis=1))
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean
