"""Generated fields spoilt in one way each: flagged for exactly that, and sound ones for nothing."""

from collections.abc import Sequence

import numpy as np
import pytest

from client.quality.judging import Usual, judge, usual
from client.quality.measures import Measures, measure
from client.site_config import Quality
from tests.support.fields import SPOILT, draw

SETTINGS = Quality()
SOUND = 30


@pytest.fixture(scope="module")
def sound() -> Sequence[Measures]:
    return [measure(draw(number)) for number in range(SOUND)]


@pytest.fixture(scope="module")
def site(sound: Sequence[Measures]) -> Usual:
    found = usual(sound, SETTINGS)
    assert found is not None
    return found


def test_sound_fields_are_flagged_for_nothing(sound: Sequence[Measures], site: Usual) -> None:
    assert [judge(one, site, SETTINGS) for one in sound] == [()] * SOUND


@pytest.mark.parametrize("how", SPOILT)
def test_a_fault_is_flagged_as_what_it_is(site: Usual, how: str) -> None:
    reason, spoilt = SPOILT[how]
    found = [judge(measure(spoilt(number)), site, SETTINGS) for number in (100, 101, 102)]
    assert [[flag.reason for flag in flags] for flags in found] == [[reason]] * 3
    assert all(flag.excess > 1 for flags in found for flag in flags)


@pytest.mark.parametrize("how", SPOILT)
def test_a_few_spoilt_images_change_nothing_for_the_others(
    sound: Sequence[Measures], how: str
) -> None:
    spoilt = [measure(SPOILT[how][1](number)) for number in range(200, 204)]
    site = usual([*sound, *spoilt], SETTINGS)
    assert not any(judge(one, site, SETTINGS) for one in sound)


def test_too_few_images_are_held_against_no_median(sound: Sequence[Measures]) -> None:
    assert usual(sound[:19], SETTINGS) is None
    assert usual(sound[:20], SETTINGS) is not None
    cast = measure(SPOILT["yellow light"][1](100))
    assert judge(cast, None, SETTINGS) == ()
    blur = measure(SPOILT["blur"][1](100))
    assert [flag.reason for flag in judge(blur, None, SETTINGS)] == ["out of focus"]


def test_limits_widen_where_a_sites_images_differ(sound: Sequence[Measures], site: Usual) -> None:
    other = [measure(draw(number, scale=scale)) for number, scale in
             zip(range(300, 330), np.linspace(0.4, 1.6, 30), strict=True)]  # fmt: skip
    mixed = usual([*sound[:10], *other], SETTINGS)
    assert mixed is not None
    assert mixed.most_magnification > site.most_magnification == SETTINGS.most_magnification
