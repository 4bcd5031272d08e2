"""What a dry run lists is what a real coordinator gets from the same site."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from client.dry_run import Sent, dry_run, whole_study
from client.phases import handle
from client.purposes import PURPOSES
from client.site import Site
from client.site_config import Cache, Limits, Numerics, SiteConfig
from client.trial import generated_images
from common.asks import work_of
from common.forecast import traffic
from common.initial_model import InitialModel
from common.log_head import split_head
from common.model.initial import build_branches, initial_model, model_shapes
from common.study.phases import (
    BackbonesPhase,
    BoosterPhase,
    EvaluationPhase,
    FusionPhase,
    Phase,
)
from common.study.schema import Study
from common.wire import Reply, Request, decode_reply, decode_request
from server.course import first_state, open_conduct, train
from server.phases import evaluation
from server.progress import PlainProgress
from server.rounds import Rounds
from server.run_folder import RunFolder
from simulations.engines.inprocess import LoopbackGrid
from tests.support.small import small_study

pytestmark = pytest.mark.slow
IMAGES = 24
Real = list[tuple[Request, Reply, int]]
"""Requests, replies and the bytes of the latter."""


def study_of(rounds: int, **booster: Any) -> Study:
    """Build a study of one site that asks for every kind of work in so many rounds."""
    settings: dict[str, Phase] = {
        "backbones": BackbonesPhase(head_rounds=rounds, tail_rounds=rounds, head_epochs=1),
        "fusion": FusionPhase(rounds=rounds),
        "booster": BoosterPhase(rounds=rounds, depth=3, **booster),
        "evaluation": EvaluationPhase(replicates=20),
    }
    phases = tuple(settings.get(phase.name, phase) for phase in small_study().phases)
    return small_study(sites=("north",), phases=phases)


def site_of(folder: Path, study: Study, **limits: Any) -> Site:
    config = SiteConfig(
        name="north", images=generated_images(folder / "images", study, IMAGES),
        state=folder / "state", cache=Cache(folder=folder / "cache"), numerics=Numerics(),
        limits=Limits(**{"fewest_examples": 0, **limits}),
    )  # fmt: skip
    return Site(config, {study.digest: study})


def made_for(study: Study) -> InitialModel:
    return initial_model(study, build_branches(study, None))


def in_dry_run(folder: Path, study: Study, **limits: Any) -> list[Sent]:
    site = site_of(folder, study, **limits)
    try:
        carry = partial(handle, site=site)
        return list(dry_run(study, "north", made_for(study).parts, carry))
    finally:
        site.close()


def in_earnest(folder: Path, study: Study) -> Real:
    """Let a real coordinator work through a study; return what the site answered."""
    site, initial = site_of(folder, study), made_for(study)
    answered: Real = []

    def listened(data: bytes) -> bytes:
        message = handle(data, site)
        reply = decode_reply(split_head(message)[1])
        answered.append((decode_request(data), reply, len(message)))
        return message

    make_rounds = partial(Rounds, LoopbackGrid({"north": listened}), deadline_s=60.0, poll_s=0.01)
    watch = PlainProgress(Console(file=io.StringIO()))
    run = RunFolder(folder, "run-1")
    try:
        conduct = open_conduct(
            run, study, "trial", make_rounds, watch, partial(first_state, initial)
        )
        train(conduct, initial.fronts)
        evaluation.run(conduct)
    finally:
        site.close()
    return [one for one in answered if one[1].status == "done"]


def described(real: Real) -> Iterator[tuple[object, ...]]:
    for request, reply, _ in real:
        assert reply.told is not None
        step = request.step
        arrays = tuple(
            (name, a.shape, a.dtype.name, a.nbytes, float(np.linalg.norm(a.astype(np.float64))))
            for name, a in sorted(reply.arrays.items())
        )
        yield (step.phase, step.round, step.exchange, work_of(request.ask),
               reply.told.model_dump(mode="json", exclude={"kind"}), arrays)  # fmt: skip


def test_a_study_of_one_round_each_is_listed_as_it_is_run(tmp_path: Path) -> None:
    study = study_of(1)
    sent = in_dry_run(tmp_path / "dry", study)
    real = in_earnest(tmp_path / "real", study)
    assert len(sent) == len(real) == 6 + 3 + 1 + 2
    for one, (phase, round_, exchange, work, told, arrays) in zip(
        sent, described(real), strict=True
    ):
        assert (one.phase, one.round, one.exchange, one.work) == (phase, round_, exchange, work)
        assert (one.status, one.times, one.told) == ("done", 1, told)
        assert isinstance(arrays, tuple)
        assert [(a.name, a.shape, a.dtype, a.bytes) for a in one.arrays] == [a[:4] for a in arrays]
        assert [a.norm for a in one.arrays] == pytest.approx([a[4] for a in arrays], rel=1e-12)
    assert {one.work for one in sent} == set(PURPOSES) - {"trees", "collective"}


@pytest.mark.parametrize(
    "booster", [{"mode": "bagging"}, {"columns_by": "node", "input": "concat"}]
)
def test_every_round_of_a_study_is_like_the_one_that_is_listed(
    tmp_path: Path, booster: dict[str, str]
) -> None:
    study = study_of(2, **booster)
    sent = in_dry_run(tmp_path / "dry", study)
    real = in_earnest(tmp_path / "real", study)
    listed = {
        (one.work, one.exchange): [(a.name, a.shape, a.dtype) for a in one.arrays] for one in sent
    }
    for request, reply, _ in real:
        work = work_of(request.ask)
        arrays = [(n, a.shape, a.dtype.name) for n, a in sorted(reply.arrays.items())]
        if work == "trees":  # the trees are others in each round, and so are their nodes
            assert [(n, d) for n, _, d in arrays] == [(n, d) for n, _, d in listed[work, 0]]
        elif work != "booster":
            assert listed[work, request.step.exchange] == arrays
        else:
            ((name, shape, dtype),) = listed[work, 0]
            assert [(n, s[1:], d) for n, s, d in arrays] == [(name, shape[1:], dtype)]
    passing = traffic(study, model_shapes(study))
    replies, reckoned = whole_study(passing, sent)
    levels = 1 if booster.get("mode") == "bagging" else 3
    assert len(real) <= replies == 1 + 1 + 2 + 2 + 1 + 2 + 2 * levels + 1 + 2
    assert 0.99 * sum(size for *_, size in real) <= reckoned
    assert reckoned < 3 * sum(size for *_, size in real)


def test_what_the_site_refuses_is_listed_as_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    study = study_of(1)
    allowed = ("census", "backbones", "fusion", "calibration", "evaluation")
    sent = in_dry_run(tmp_path, study, phases=allowed)
    refused = [one for one in sent if one.status == "refused"]
    assert [one.work for one in refused] == ["booster"]
    assert "takes no part in phase booster" in refused[0].problem
    assert [one.work for one in sent[-3:]] == ["calibration", "evaluation", "evaluation"]
    assert {one.status for one in sent[-3:]} == {"done"}
    assert whole_study(traffic(study, model_shapes(study)), sent)[0] == 6 + 1 + 2


def test_a_site_that_refuses_to_sum_its_features_can_still_be_asked_the_rest(
    tmp_path: Path,
) -> None:
    sent = in_dry_run(tmp_path, study_of(1), phases=("census", "booster", "evaluation"))
    done = [one.work for one in sent if one.status == "done"]
    assert done == ["census", "booster", "booster", "booster", "evaluation", "evaluation"]
