"""What the images of a fold were taken for, kept on disk image by image."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.manifest import Example
from common.asks import EVALUATED, Part
from common.errors import RunStopped
from common.study.strict import Strict
from common.whole_file import write_whole
from simulations.partition_file import SOURCE, posix

TREES = "booster"
"""The classifier that an arm is judged by, where it has two."""


class Votes(Strict):
    """An arm's predictions on one fold."""

    seconds: float
    """What training and evaluating it took, without the preparation that arms share."""
    predicted: dict[Part, dict[str, dict[str, int]]]
    """By part, classifier and path: the class."""

    def of(self, part: Part) -> Mapping[str, int]:
        """Return the predictions that the arm is judged by."""
        found = self.predicted[part]
        return found.get(TREES) or next(iter(found.values()))


class Ballot:
    """Takes what sites predict while they are evaluated.

    It is on disk before the site answers: an answer that was sent once is never computed again.

    Args:
        folder: of one run.
        images: folder that image paths start at.
        rows: of the run's manifest; an image that a scanner changed is known by the path that it
            has in the dataset.
    """

    def __init__(self, folder: Path, images: Path, rows: Iterable[Mapping[str, str]]) -> None:
        self.arm = ""
        """Whose predictions are taken."""
        self._folder = folder / "predicted"
        self._images = images.resolve()
        self._names = {posix(row["path"]): posix(row.get(SOURCE) or row["path"]) for row in rows}

    def take(
        self,
        site: str,
        part: Part,
        examples: Sequence[Example],
        likely: Mapping[Any, NDArray[np.float64]],
    ) -> None:
        """Keep the likeliest class of each example, by classifier."""
        files = [e.image.resolve().relative_to(self._images).as_posix() for e in examples]
        paths = [self._names[file] for file in files]
        found = {
            str(name): dict(zip(paths, rows.argmax(axis=1).tolist() if len(rows) else [],
                                strict=True))
            for name, rows in likely.items()
        }  # fmt: skip
        place = self._folder / self.arm / f"{part}-{site}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(found).encode())

    def counted(self, sites: Sequence[str], seconds: float) -> Votes:
        """Return the arm's predictions at all sites.

        Raises:
            RunStopped: a site's are missing.
        """
        predicted: dict[Part, dict[str, dict[str, int]]] = {part: {} for part in EVALUATED}
        for part in EVALUATED:
            for site in sites:
                place = self._folder / self.arm / f"{part}-{site}.json"
                if not place.is_file():
                    raise RunStopped(
                        f"arm {self.arm} lost site {site}: arms would be compared on different "
                        "images",
                        fix="see in the run's record.jsonl what became of it, mend that, "
                        "delete the run's folder, and give the command again",
                        local_detail=str(place.parent),
                    )
                for name, own in json.loads(place.read_bytes()).items():
                    predicted[part].setdefault(name, {}).update(own)
        return Votes(seconds=seconds, predicted=predicted)
