"""The site's part in training: sums for standardising, then differences of trained arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor, nn

from client.classify import build_classifier, mean_probabilities
from client.own import Parts, keep_own, own_files, parts_of
from client.site import Bench, Site
from client.training.fit import fit_dense, fit_tail
from client.training.norms import trained_norms
from client.training.numerics import placed
from client.training.steering import Steering
from client.variates import Variates
from common.asks import CONTROL, TRAINED, FitAsk, FitTold, MomentsTold
from common.errors import DataError
from common.model.network import Branch, fusion_arrays, part_tensors, trained_arrays
from common.seeds import seed_for, stream
from common.study.personal import stays
from common.study.phases import BackbonesPhase
from common.study.schedule import Schedule, schedule_of
from common.study.schema import Study
from common.updates.coding import fed_back
from common.updates.differences import difference
from common.updates.moments import moment_sums
from common.wire import Request

Arrays = Mapping[str, NDArray[Any]]


def answer_moments(site: Site, study: Study, request: Request) -> tuple[MomentsTold, Arrays]:
    """Sum this site's training features and their squares."""
    bench, parts = _ready(site, study, request)
    features = bench.features(parts.digests, "train")[:, 0]
    return MomentsTold(examples=len(features)), moment_sums(features)


def answer_fit(site: Site, study: Study, request: Request) -> tuple[FitTold, Arrays]:
    """Train what came down on this site's images; return what changed."""
    ask = request.ask
    if not isinstance(ask, FitAsk):
        raise TypeError(ask)
    bench, parts = _ready(site, study, request)
    schedule = schedule_of(study, ask.stage, request.step.round)
    old = {
        f"{part}/{name}": array
        for part in TRAINED[ask.stage]
        for name, array in parts[part].items()
        if not stays(study, part, name)
    }
    variates = None
    if CONTROL in request.parts:
        variates = Variates(own_files(site), request.step, ask, parts[CONTROL])
    fit = {"heads": _fit_heads, "tails": _fit_tails, "fusion": _fit_fusion}[ask.stage]
    told, new = fit(Round(bench, parts, request, schedule, variates))
    update = _update(site, study, request, new, old)
    if variates is not None:
        changed = variates.advance(new, old, schedule, told.examples)
        update |= {f"{CONTROL}/{name}": array for name, array in changed.items()}
    keep_own(site, study, request, ask.stage, new)
    return told, update


@dataclass(frozen=True)
class Round:
    """One round of training at this site."""

    bench: Bench
    parts: Parts
    request: Request
    schedule: Schedule
    variates: Variates | None

    def steering(self, named: Mapping[str, Tensor]) -> Steering:
        """Return SCAFFOLD's correction of these parameters, by `PART/NAME`."""
        return {} if self.variates is None else self.variates.steering(named)

    def generator(self, purpose: str) -> np.random.Generator:
        """Open the random stream of this round at this site."""
        step = self.request.step
        seed = seed_for(self.bench.study.seed, "fit")
        return stream(seed, step.phase, step.round, step.site, purpose)


def _fit_heads(work: Round) -> tuple[FitTold, Arrays]:
    bench, digests = work.bench, work.parts.digests
    settings = bench.study.phase(BackbonesPhase)
    validation = bench.features(digests, "validation")[:, 0]
    logits = _mean_log_probabilities(bench.branches, validation)
    features, labels = bench.features(digests, "train", settings.views), bench.labels("train")
    steering = work.steering(_named(bench, "heads"))
    loss_sum, start = 0.0, 0
    for branch in bench.branches:
        own = features[:, :, start : start + branch.width]
        start += branch.width
        trained = list(branch.head.parameters())
        with placed(bench.extractor.numerics, branch.standardised, branch.head):
            loss_sum += fit_dense(
                trained, branch.logits, own, labels, work.schedule,
                work.generator(branch.architecture), bench.pulse, _only(steering, trained),
            )  # fmt: skip
    return _told(bench, loss_sum / len(bench.branches), logits), _arrays(bench, "heads")


def _fit_tails(work: Round) -> tuple[FitTold, Arrays]:
    bench = work.bench
    settings = bench.study.phase(BackbonesPhase)
    own_norms = bench.study.network.batch_norm == "local"
    extractor, examples, labels = bench.extractor, bench.examples("train"), bench.labels("train")
    held_back = bench.examples("validation")
    extractor.fill(examples, settings.views)
    validation = [extractor.features_now(branch, held_back) for branch in bench.branches]
    logits = _mean_log_probabilities(bench.branches, np.concatenate(validation, axis=1))
    steering = work.steering({**_named(bench, "heads"), **_named(bench, "tails")})
    loss_sum = 0.0
    for number, branch in enumerate(bench.branches):
        with trained_norms(branch.tail, wanted=own_norms):
            loss_sum += fit_tail(
                branch, partial(extractor.draw, number, examples), settings.views, labels,
                work.schedule, work.generator(branch.architecture), extractor.numerics,
                bench.pulse, _only(steering, branch.parameters()),
            )  # fmt: skip
    new = {**_arrays(bench, "heads"), **_arrays(bench, "tails")}
    new |= _arrays(bench, "constants") if own_norms else {}
    return _told(bench, loss_sum / len(bench.branches), logits), new


def _fit_fusion(work: Round) -> tuple[FitTold, Arrays]:
    bench, parts = work.bench, work.parts
    views = bench.study.phase(BackbonesPhase).views
    fusion = build_classifier(bench.study, parts["fusion"], parts["fusion-moments"]).fusion
    with torch.inference_mode():
        validation = torch.from_numpy(bench.features(parts.digests, "validation")[:, 0])
        logits = log_softmax(fusion(validation).double().numpy(), axis=1)
    features = bench.features(parts.digests, "train", views)
    with placed(bench.extractor.numerics, fusion):
        loss_sum = fit_dense(
            [p for p in fusion.parameters() if p.requires_grad], fusion, features,
            bench.labels("train"), work.schedule, work.generator("fusion"), bench.pulse,
            work.steering({f"fusion/{name}": p for name, p in fusion.named_parameters()}),
        )  # fmt: skip
    new = {f"fusion/{name}": array for name, array in fusion_arrays(fusion).items()}
    return _told(bench, loss_sum, logits), new


def _ready(site: Site, study: Study, request: Request) -> tuple[Bench, Parts]:
    """Return the study's bench with the parts that came down loaded, and those parts."""
    bench = site.bench(study)
    if not bench.examples("train"):
        raise DataError("the site has no training images", fix="check the manifest's split")
    parts = parts_of(site, study, request)
    bench.load(parts.arrays, request)
    return bench, parts


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
    return mean_probabilities(logs)


def _named(bench: Bench, part: str) -> dict[str, Tensor]:
    return {f"{part}/{n}": tensor for n, tensor in part_tensors(bench.branches, part).items()}


def _arrays(bench: Bench, part: str) -> dict[str, NDArray[Any]]:
    return {f"{part}/{n}": array for n, array in trained_arrays(bench.branches, part).items()}


def _only(steering: Steering, parameters: Iterable[nn.Parameter]) -> Steering:
    """Leave out what another network's optimiser trains."""
    return {p: steering[p] for p in parameters if p in steering}


def _update(
    site: Site, study: Study, request: Request, new: Arrays, old: Arrays
) -> dict[str, NDArray[Any]]:
    """Return what training changed, as it travels: float16 under `part/name`, or coded."""
    compression = study.compression
    if compression.up == "none":
        return dict(difference(new, old))
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
