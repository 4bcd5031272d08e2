"""The site's part in training: sums for standardising, then differences of trained arrays."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp
from torch import nn

from client.classify import build_classifier
from client.site import Bench, Site
from client.training.fit import fit_dense, fit_tail
from common.asks import FitAsk, FitTold, MomentsTold
from common.errors import DataError
from common.model.network import Branch, fusion_arrays, trained_arrays
from common.parts import flattened
from common.seeds import seed_for, stream
from common.study.phases import BackbonesPhase
from common.study.schedule import schedule_of
from common.study.schema import Study
from common.updates.coding import fed_back
from common.updates.differences import difference
from common.updates.moments import moment_sums
from common.wire import Request

Arrays = Mapping[str, NDArray[Any]]


def answer_moments(site: Site, study: Study, request: Request) -> tuple[MomentsTold, Arrays]:
    """Sum this site's training features and their squares."""
    bench = _ready(site, study, request)
    features = bench.features(request.parts, "train")[:, 0]
    return MomentsTold(examples=len(features)), moment_sums(features)


def answer_fit(site: Site, study: Study, request: Request) -> tuple[FitTold, Arrays]:
    """Train what came down on this site's images; return what changed."""
    if not isinstance(request.ask, FitAsk):
        raise TypeError(request.ask)
    bench = _ready(site, study, request)
    fit = {"heads": _fit_heads, "tails": _fit_tails, "fusion": _fit_fusion}[request.ask.stage]
    return fit(site, bench, request)


def _fit_heads(site: Site, bench: Bench, request: Request) -> tuple[FitTold, Arrays]:
    settings = bench.study.phase(BackbonesPhase)
    schedule = schedule_of(bench.study, "heads", request.step.round)
    validation = bench.features(request.parts, "validation")[:, 0]
    logits = _mean_log_probabilities(bench.branches, validation)
    features, labels = bench.features(request.parts, "train", settings.views), bench.labels("train")
    loss_sum, start = 0.0, 0
    for branch in bench.branches:
        own = features[:, :, start : start + branch.width]
        start += branch.width
        loss_sum += fit_dense(
            list(branch.head.parameters()), branch.logits, own, labels, schedule,
            _generator(bench.study, request, branch.architecture), bench.pulse,
        )  # fmt: skip
    update = _update(site, bench, request, _trained(bench, "heads"))
    return _told(bench, loss_sum / len(bench.branches), logits), update


def _fit_tails(site: Site, bench: Bench, request: Request) -> tuple[FitTold, Arrays]:
    settings = bench.study.phase(BackbonesPhase)
    schedule = schedule_of(bench.study, "tails", request.step.round)
    extractor, examples, labels = bench.extractor, bench.examples("train"), bench.labels("train")
    held_back = bench.examples("validation")
    extractor.fill(examples, settings.views)
    validation = [extractor.features_now(branch, held_back) for branch in bench.branches]
    logits = _mean_log_probabilities(bench.branches, np.concatenate(validation, axis=1))
    loss_sum = 0.0
    for number, branch in enumerate(bench.branches):
        loss_sum += fit_tail(
            branch, partial(extractor.draw, number, examples), settings.views, labels, schedule,
            _generator(bench.study, request, branch.architecture), extractor.numerics,
            bench.pulse,
        )  # fmt: skip
    update = _update(site, bench, request, _trained(bench, "heads", "tails"))
    return _told(bench, loss_sum / len(bench.branches), logits), update


def _fit_fusion(site: Site, bench: Bench, request: Request) -> tuple[FitTold, Arrays]:
    schedule = schedule_of(bench.study, "fusion", request.step.round)
    views = bench.study.phase(BackbonesPhase).views
    fusion = build_classifier(
        bench.study, site.parts["fusion"], site.parts["fusion-moments"]
    ).fusion
    with torch.inference_mode():
        validation = torch.from_numpy(bench.features(request.parts, "validation")[:, 0])
        logits = log_softmax(fusion(validation).double().numpy(), axis=1)
    loss_sum = fit_dense(
        [p for p in fusion.parameters() if p.requires_grad], fusion,
        bench.features(request.parts, "train", views), bench.labels("train"), schedule,
        _generator(bench.study, request, "fusion"), bench.pulse,
    )  # fmt: skip
    update = _update(site, bench, request, {"fusion": fusion_arrays(fusion)})
    return _told(bench, loss_sum, logits), update


def _ready(site: Site, study: Study, request: Request) -> Bench:
    """Return the study's bench with the parts that came down loaded."""
    bench = site.bench(study)
    if not bench.examples("train"):
        raise DataError("the site has no training images", fix="check the manifest's split")
    bench.load(site.parts, request)
    return bench


def _mean_log_probabilities(
    branches: Sequence[Branch], features: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the log of the branches' mean softmax probabilities, (n, classes)."""
    logs, start = [], 0
    with torch.inference_mode():
        for branch in branches:
            own = torch.from_numpy(features[:, start : start + branch.width])
            start += branch.width
            logs.append(nn.functional.log_softmax(branch.logits(own).double(), dim=1).numpy())
    mean: NDArray[np.float64] = logsumexp(np.stack(logs), axis=0) - np.log(len(logs))
    return mean


def _trained(bench: Bench, *parts: str) -> dict[str, Arrays]:
    return {part: trained_arrays(bench.branches, part) for part in parts}


def _update(
    site: Site, bench: Bench, request: Request, trained: Mapping[str, Arrays]
) -> dict[str, NDArray[Any]]:
    """Return what training changed, as it travels: float16 under `part/name`, or coded."""
    new, old = flattened(trained), flattened({part: site.parts[part] for part in trained})
    compression = bench.study.compression
    if compression.up == "none":
        return difference(new, old)
    change = {name: np.subtract(new[name], a, dtype=np.float64) for name, a in old.items()}
    owed = site.door.owed(request.step)
    sent, _, left = fed_back(change, owed, compression.up, compression.share)
    site.door.owe(request.step, left)
    return sent


def _told(bench: Bench, loss_sum: float, logs: NDArray[np.float64]) -> FitTold:
    truth = bench.labels("validation")
    return FitTold(
        examples=len(bench.examples("train")),
        loss_sum=loss_sum,
        validation_examples=len(truth),
        validation_correct=int((logs.argmax(axis=1) == truth).sum()),
        validation_loss_sum=float(-logs[np.arange(len(truth)), truth].sum()),
    )


def _generator(study: Study, request: Request, purpose: str) -> np.random.Generator:
    """Open the random stream of one round of training at this site."""
    step = request.step
    return stream(seed_for(study.seed, "fit"), step.phase, step.round, step.site, purpose)
