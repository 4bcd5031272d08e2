"""The site's part in XGBoost's own federated mode: join, start a child, bring what it grew."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load

from client.growing import Rows, booster_rows
from client.membership import Membership
from client.site import Bench, Site
from common.asks import Call, CollectiveAsk, CollectiveTold
from common.boosting.collective import KEY, OTHERS, OWN, take_part
from common.children import Child
from common.errors import RequestRefused
from common.seeds import seed_for
from common.self_signed import new_identity, one_certificate
from common.study.phases import BoosterPhase
from common.study.schema import Study
from common.wire import Request

Arrays = Mapping[str, NDArray[Any]]


def answer_collective(site: Site, study: Study, request: Request) -> tuple[CollectiveTold, Arrays]:
    """Take one of the three steps of an attempt; a new `join` ends the one before.

    The child gets this machine's loopback to call, the numbers of the bins and the labels, and
    nothing else of the site. It runs between two requests, so the sites grow at the same time
    even where one after another is asked.

    Raises:
        RequestRefused: the steps come in another order, or the attempt failed here.
    """
    ask = request.ask
    if not isinstance(ask, CollectiveAsk):
        raise TypeError(ask)
    bench = site.bench(study)
    rows = booster_rows(site, study, request)
    told = CollectiveTold(examples=len(rows.labels))
    if ask.stage == "join":
        bench.leave_collective()
        bench.membership = Membership(new_identity(request.step.site))
        certificate = bench.membership.identity.certificate.decode()
        return told.model_copy(update={"certificate": certificate}), {}
    if bench.membership is None or (ask.stage == "finish") != (bench.membership.child is not None):
        raise RequestRefused(
            "this site is not at that step of the collective: its worker may have been restarted",
            fix="let the coordinator begin a new attempt",
        )
    if ask.stage == "start":
        bench.membership.child = _started(bench.membership, study, request, ask.call, rows)
        return told, {}
    return told, _brought(bench)


def _started(
    membership: Membership, study: Study, request: Request, call: Call | None, rows: Rows
) -> Child:
    if call is None or call.members.count(request.step.site) != 1:
        raise RequestRefused(
            "the request does not say where the members meet, or this site is none of them",
            fix="compare the leukofed versions at both ends",
        )
    settings = study.phase(BoosterPhase)
    return Child(
        take_part,
        call.port,
        call.members.index(request.step.site),
        len(call.members),
        rows.classifier.rules,
        settings.rounds,
        seed_for(study.seed, "booster", "collective"),
        rows.bins,
        rows.labels,
        files={
            OWN: membership.identity.certificate,
            KEY: membership.identity.key,
            OTHERS: one_certificate(call.certificate),
        },
        limit_s=settings.attempt_s,
    )


def _brought(bench: Bench) -> Arrays:
    """Wait for the child; whatever becomes of it, it is gone then."""
    child = bench.membership.child if bench.membership else None
    try:
        found = child.next(bench.pulse) if child else None
    finally:
        bench.leave_collective()
    if found is None:
        raise RequestRefused(
            "the collective did not come to its end here: a member was lost, or time ran out",
            fix="see that every site takes part, or set `attempt_s` of the booster higher",
        )
    return load(found)
