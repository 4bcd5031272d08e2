"""Records of images and of their views, on two shelves: only the views depend on how they vary."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.data.shelf import Shelf

Wanted = tuple[Example, int]
"""An image, and the number of its view; 0 is the image itself."""


class ViewShelves:
    """The records of images, and apart from them those of their varied views.

    Args:
        cache: where the shelves are.
        recipe: all that a record of an image depends on: plain data.
        variation: what a view depends on besides: plain data.
        shape: of a record.
        dtype: of a record.
        holds: what the records are, in words.
        study: digest and name of the study that uses them.
    """

    def __init__(
        self,
        cache: ActivationCache,
        recipe: object,
        variation: object,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        holds: str,
        study: Mapping[str, str],
    ) -> None:
        self._cache = cache
        self._recipes = {False: recipe, True: [recipe, variation]}
        self._holds = {False: holds, True: f"{holds}, varied views"}
        self._shape = shape
        self._dtype = np.dtype(dtype)
        self._study = study
        self._opened: dict[bool, Shelf] = {}

    @property
    def opened(self) -> tuple[Shelf, ...]:
        """The shelves that were asked of so far; there may be nothing on the other."""
        return tuple(self._opened.values())

    def __contains__(self, wanted: Wanted) -> bool:
        return key_of(wanted) in self._shelf(is_varied=wanted[1] > 0)

    def room_for(self, wanted: Sequence[Wanted]) -> list[tuple[Shelf, int]]:
        """Return each shelf, and how many of these views will come onto it."""
        missing = [one for one in wanted if one not in self]
        return [(self._shelf(kind), len(chosen)) for kind, chosen in _parted(missing)]

    def append(self, wanted: Sequence[Wanted], records: NDArray[Any]) -> None:
        """Store the records (n, *shape) of n views, none of which is there yet."""
        for is_varied, chosen in _parted(wanted):
            keys = [key_of(wanted[i]) for i in chosen]
            self._shelf(is_varied).append(keys, records[chosen])

    def read(self, wanted: Sequence[Wanted]) -> NDArray[Any]:
        """Return the records (n, *shape) of n views, all of which must be there."""
        records = np.empty((len(wanted), *self._shape), self._dtype)
        for is_varied, chosen in _parted(wanted):
            keys = [key_of(wanted[i]) for i in chosen]
            records[chosen] = self._shelf(is_varied).read(keys)
        return records

    def _shelf(self, is_varied: bool) -> Shelf:
        if is_varied not in self._opened:
            self._opened[is_varied] = self._cache.shelf(
                self._recipes[is_varied], self._shape, self._dtype, self._holds[is_varied],
                self._study,
            )  # fmt: skip
        return self._opened[is_varied]


def _parted(wanted: Sequence[Wanted]) -> Iterator[tuple[bool, list[int]]]:
    """Yield where the images themselves are, then where their varied views are, if anywhere."""
    for is_varied in (False, True):
        if chosen := [i for i, (_, number) in enumerate(wanted) if (number > 0) == is_varied]:
            yield is_varied, chosen


def key_of(wanted: Wanted) -> str:
    """Name a view on a shelf: by its image's digest, and by its number."""
    example, number = wanted
    return f"{example.digest}-{number}" if number else example.digest
