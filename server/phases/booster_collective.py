"""Booster by XGBoost's own federated mode: the coordinator gives the sites a place to meet."""

from common.asks import (
    COLLECTIVE_STAGES,
    MOST_ATTEMPTS,
    Call,
    CollectiveAsk,
    CollectiveStage,
    CollectiveTold,
)
from common.boosting.collective import KEY, OTHERS, OWN, meet
from common.boosting.rules import Rules
from common.boosting.trees import Forest
from common.children import Child
from common.digests import digest_arrays
from common.errors import RunStopped, UpdateRejected
from common.self_signed import BadCertificate, new_identity, one_certificate
from common.study.phases import BackbonesPhase, BoosterPhase
from common.wire import Reply
from server.conduct import Conduct, told_as
from server.intake import VERSIONS, check_examples
from server.phases.booster_trees import check_trees

_START_S = 60.0  # for the meeting point's process to begin


def by_collective(conduct: Conduct, rules: Rules, number: int) -> tuple[Forest, list[str]]:
    """Let the sites grow the whole forest among themselves, in three exchanges.

    `join`: each tells a certificate that it made for this attempt. `start`: each is told where to
    meet, and begins. `finish`: each brings the forest, which must be the same. If a site is lost
    the others hang, so the attempt is given up after `attempt_s` and begun again with those that
    join then. Attempts are counted in a checkpoint: after a crash none is asked for twice.

    Raises:
        RunStopped: a quorum did not join, or no attempt came to its end.
    """
    for attempt in range(conduct.facts.get("collective-attempts", 0), MOST_ATTEMPTS):
        conduct.facts["collective-attempts"] = attempt + 1
        conduct.save("booster")
        found = _attempt(conduct, rules, number, attempt * len(COLLECTIVE_STAGES))
        if found is not None:
            return found
        conduct.watch.note(f"attempt {attempt + 1} at the collective came to no end")
    raise RunStopped(
        f"{MOST_ATTEMPTS} attempts at the collective came to no end",
        fix="see in the record which site was lost; then begin a new run, or one by "
        "`mode: histogram`, which goes on without a lost site",
    )


def _attempt(
    conduct: Conduct, rules: Rules, number: int, first: int
) -> tuple[Forest, list[str]] | None:
    settings = conduct.study.phase(BoosterPhase)
    joined: dict[str, bytes] = {}
    found: dict[str, Forest] = {}

    def join(site: str, reply: Reply) -> None:
        told = _told(conduct, site, reply)
        try:
            joined[site] = one_certificate(told.certificate)
        except BadCertificate as error:
            raise UpdateRejected(site, error.problem, fix=error.fix) from error

    def start(site: str, reply: Reply) -> None:
        _told(conduct, site, reply)

    def finish(site: str, reply: Reply) -> None:
        examples = sum(conduct.most_examples(one, "train") for one in joined)
        views = conduct.study.phase(BackbonesPhase).views
        _told(conduct, site, reply)
        forest = check_trees(
            site, reply.arrays, rules, rounds=settings.rounds, examples=views * examples
        )
        if found and _digest(forest) not in {_digest(other) for other in found.values()}:
            raise UpdateRejected(site, "its forest is not the other members'", fix=VERSIONS)
        found[site] = forest

    def ask(stage: CollectiveStage, call: Call | None = None) -> CollectiveAsk:
        return CollectiveAsk(stage=stage, call=call)

    members = sorted(conduct.ask("booster", number, ask("join"), join, first))
    own = new_identity("coordinator")
    files = {OWN: own.certificate, KEY: own.key, OTHERS: b"".join(joined.values())}
    limit = settings.attempt_s + _START_S
    with Child(meet, len(members), limit, files=files, limit_s=limit) as place:
        port = place.next(lambda: None)
        if port is None:
            return None
        call = Call(port=int(port), certificate=own.certificate.decode(), members=tuple(members))
        started = conduct.ask("booster", number, ask("start", call), start, first + 1, members, 0)
        if len(started) < len(members):
            return None  # the others would wait for it; their next `join` ends what they began
        ended = conduct.ask("booster", number, ask("finish"), finish, first + 2, members, 0)
    if len(ended) < conduct.study.quorum:
        return None
    return found[ended[0]], sorted(ended)


def _told(conduct: Conduct, site: str, reply: Reply) -> CollectiveTold:
    told = told_as(CollectiveTold, reply)
    views = conduct.study.phase(BackbonesPhase).views
    check_examples(site, told.examples, views * conduct.most_examples(site, "train"))
    return told


def _digest(forest: Forest) -> str:
    return digest_arrays(forest.to_arrays())
