"""How many images of a class there are, as far as the sites tell: a small count is a bound."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.asks import Part
from common.figures import SiteData

PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Held:
    """A number of images, of which some may not be told.

    Written `61`, `< 5` or `61 + < 5`; `few` where no limit is known. Nothing is guessed: of two
    counts below 5 together no more is known than that they are below 9.
    """

    told: int
    most_untold: float = 0  # most that the counts which are not told can be together

    def __add__(self, other: "Held") -> "Held":
        return Held(self.told + other.told, self.most_untold + other.most_untold)

    def __str__(self) -> str:
        if not self.most_untold:
            return str(self.told)
        bound = "few" if math.isinf(self.most_untold) else f"< {self.most_untold + 1:.0f}"
        return f"{self.told} + {bound}" if self.told else bound


def held_of(site: SiteData, part: Part, name: str) -> Held:
    """Return what a site tells of one class in one part."""
    if name in site.withheld.get(part, ()):
        limit = site.fewest_examples
        return Held(0, math.inf if limit is None else max(1, limit - 1))
    return Held(site.examples.get(part, {}).get(name, 0))


def summed(sites: Iterable[SiteData], names: Iterable[str], parts: Iterable[Part] = PARTS) -> Held:
    """Add over sites, classes and parts."""
    kept = tuple(names), tuple(parts)
    return sum(
        (held_of(site, part, name) for site in sites for name in kept[0] for part in kept[1]),
        Held(0),
    )


def groups_held(sites: Mapping[str, SiteData], part: Part) -> int | None:
    """Add the groups of a part; None if a site does not tell them."""
    groups = [site.groups.get(part) for site in sites.values()]
    return None if None in groups else sum(number or 0 for number in groups)


def share(part: Held, whole: Held) -> float | None:
    """Return a part's share; None where a count that is not told is in either, or nothing is."""
    if part.most_untold or whole.most_untold or not whole.told:
        return None
    return part.told / whole.told
