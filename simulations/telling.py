"""What a run tells of its virtual sites: the partition's digest, and each site's colours."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from client.data.parallel import ROOM, in_order
from common.digests import digest_bytes
from common.division import Colour, PartitionTold
from common.errors import DataError
from common.imaging.decode import decode
from common.seeds import stream
from simulations.partition_file import TRUE_LABEL, Row, partition_csv
from simulations.scenario import Scenario
from simulations.shift import Shift, encoded

MOST = 40  # images of a site and class that are looked at: their mean is known to a level or so


def partition_told(scenario: Scenario, rows: Sequence[Row], images: Path) -> PartitionTold:
    """Tell how the images were divided and changed, and how each site's look.

    Args:
        scenario: says how.
        rows: of the run's manifest.
        images: folder that their paths start at.
    """
    flipped = Counter(
        row["site"] for row in rows if row.get(TRUE_LABEL, row["label"]) != row["label"]
    )
    return PartitionTold(
        by=scenario.partition.by,
        sha256=digest_bytes(partition_csv(rows)),
        flipped={site: flipped[site] for site in scenario.label_noise},
        shifts={
            site: shift.model_dump(mode="json", exclude_defaults=True)
            for site, shift in scenario.shifts.items()
        },
        colours=site_colours(rows, images),
    )


def site_colours(
    rows: Sequence[Row], images: Path, shifts: Mapping[str, Shift] | None = None
) -> dict[str, dict[str, Colour]]:
    """Return the mean colour of each site's images of each class, of at most `MOST` of each.

    The same images are looked at every time; one that cannot be decoded is left out.

    Args:
        rows: divided.
        images: folder that their paths start at.
        shifts: by site, what is yet to be done to its images.
    """
    found: dict[str, dict[str, Colour]] = {}
    cells = sorted({(row["site"], row.get(TRUE_LABEL) or row["label"]) for row in rows})
    for site, label in cells:
        own = sorted(
            row["path"] for row in rows
            if (row["site"], row.get(TRUE_LABEL) or row["label"]) == (site, label)
        )  # fmt: skip
        drawn = stream(0, "colours", site, label).permutation(len(own))[:MOST]
        look = partial(_colour, shift=(shifts or {}).get(site))
        looked = in_order(look, [images / own[i] for i in np.sort(drawn)])
        means = [mean for mean in looked if mean is not None]
        if means:
            rgb, lab = np.mean(means, axis=0).round(3).tolist()
            colour = Colour(images=len(means), rgb=tuple(rgb), lab=tuple(lab))
            found.setdefault(site, {})[label] = colour
    return found


def _colour(image: Path, shift: Shift | None) -> NDArray[np.float64] | None:
    """Return mean RGB and mean Lab of an image, float64 (2, 3)."""
    try:
        data = image.read_bytes()
        with ROOM.for_image(data):
            pixels = decode(data)
            if shift is not None:
                pixels = decode(encoded(pixels, shift))
            lab = cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
    except (OSError, DataError):
        return None
    return np.stack([one.reshape(-1, 3).mean(axis=0, dtype=np.float64) for one in (pixels, lab)])
