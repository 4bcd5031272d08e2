from collections import Counter

import pytest

from common.study.phases import BoosterPhase, FusionPhase
from common.study.schema import Study
from server.participants import drawn
from tests.support.small import small_study

SITES = tuple(f"s{number}" for number in range(10))
STUDY = small_study(sites=SITES, quorum=2)


def with_fusion(**settings: object) -> FusionPhase:
    return FusionPhase.model_validate(settings)


def test_by_default_all_are_asked() -> None:
    assert drawn(STUDY, with_fusion(), 1, SITES) == list(SITES)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [({"participation": 0.3}, 3), ({"participation": 0.31}, 4), ({"participation": 0.7}, 7),
     ({"participation": 0.01}, 2), ({"participants": 5}, 5), ({"participants": 99}, 10)],
)  # fmt: skip
def test_as_many_are_drawn_as_the_study_says(settings: dict[str, float], wanted: int) -> None:
    assert len(drawn(STUDY, with_fusion(**settings), 1, SITES)) == wanted


def test_the_draw_follows_from_seed_and_round_and_is_even() -> None:
    phase = with_fusion(participants=3)
    rounds = [tuple(drawn(STUDY, phase, number, SITES)) for number in range(1, 601)]
    assert rounds[4] == tuple(drawn(STUDY, phase, 5, SITES))
    other = STUDY.model_copy(update={"seed": 2})
    assert rounds[:5] != [tuple(drawn(other, phase, number, SITES)) for number in range(1, 6)]
    counts = Counter(site for sites in rounds for site in sites)
    assert all(140 < counts[site] < 220 for site in SITES)  # 180 each, give or take 3.5 deviations
    assert all(list(sites) == sorted(sites) for sites in rounds)


def phases(**changed: dict[str, object]) -> tuple[object, ...]:
    return tuple(
        type(phase).model_validate({**phase.model_dump(), **changed.get(phase.name, {})})
        for phase in STUDY.phases
    )


@pytest.mark.parametrize("drawn_", [1, 11])
def test_a_number_below_the_quorum_or_above_all_sites_is_refused(drawn_: int) -> None:
    with pytest.raises(ValueError, match="participants must be 2, the quorum, to 10"):
        small_study(sites=SITES, quorum=2, phases=phases(fusion={"participants": drawn_}))


def test_scaffold_asks_for_what_its_algorithm_needs() -> None:
    scaffold = {"method": {"name": "scaffold"}}
    with pytest.raises(ValueError, match="set optimizer: sgd"):
        with_fusion(**scaffold)
    with pytest.raises(ValueError, match="set weights: equal"):
        with_fusion(**scaffold, optimizer="sgd")
    assert with_fusion(**scaffold, optimizer="sgd", weights="equal").method.name == "scaffold"


@pytest.mark.parametrize("where", ["batch_norm", "head"])
def test_a_model_that_differs_from_site_to_site_has_no_shared_booster(where: str) -> None:
    def build(mode: str) -> Study:
        changed: dict[str, dict[str, object]] = {"booster": {"mode": mode}}
        network = STUDY.network
        if where == "head":
            changed["fusion"] = {"head": "local"}
        else:
            network = network.model_copy(update={"batch_norm": "local"})
        return small_study(sites=SITES, quorum=2, phases=phases(**changed), network=network)

    with pytest.raises(ValueError, match="no booster can be shared: set the booster's mode"):
        build("histogram")
    assert build("none").is_personal
    assert build("none").phase(BoosterPhase).held_rounds == 0
