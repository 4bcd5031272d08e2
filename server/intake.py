"""Checks on one reply before it can touch the model; each names the site and the remedy."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from common.errors import UpdateRejected
from common.parts import Arrays
from common.statistics.counts import LARGEST_LOSS, UNIT, EvaluationCounts
from common.study.compression import Compression
from common.updates.coding import CodingError, decoded
from common.wire import Reply, Request

VERSIONS = "compare the leukofed versions of this site and the coordinator"


def printable(text: str, limit: int = 500) -> str:
    """Return a site's words on one line, without control characters, cut to `limit`."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def check_answers(request: Request, reply: Reply) -> None:
    """Check that a reply answers this request, in a form that fits its status.

    Raises:
        UpdateRejected: another step or request is answered; what is told is not of the kind
            that was asked; or parts are called for that the request does not name.
    """
    site = request.step.site
    asked, answered = request.step.model_dump(), reply.step.model_dump()
    wrong = [key for key, value in asked.items() if answered[key] != value]
    if wrong:
        raise UpdateRejected(
            site,
            "it answers another step: "
            + ", ".join(f"{key} {_short(answered[key])} for {_short(asked[key])}" for key in wrong),
            fix="see that this site works on the study of this run; if it does, restart it",
        )
    if reply.request != request.digest:
        raise UpdateRejected(site, "it answers this step of another request", fix=VERSIONS)
    if reply.status == "done" and (reply.told is None or reply.told.kind != request.ask.kind):
        told = "nothing" if reply.told is None else f"of {reply.told.kind}"
        raise UpdateRejected(site, f"asked for {request.ask.kind}, it tells {told}", fix=VERSIONS)
    needs = set(reply.needs)
    if reply.status == "needs-parts" and (not needs or needs - request.parts.keys()):
        raise UpdateRejected(
            site, "it calls for parts that the request does not name", fix=VERSIONS
        )


def check_examples(site: str, examples: int, most: int) -> None:
    """Check the weight of an update.

    Args:
        site: whose it is.
        examples: as told.
        most: the examples it told of in the census, or what a sum has room for.

    Raises:
        UpdateRejected: not in 1..most.
    """
    if not 1 <= examples <= most:
        raise UpdateRejected(
            site,
            f"it tells of {examples} examples, where 1 to {most} can be",
            fix="compare with this site's census; restart the run if its images have changed",
        )


def check_range(site: str, arrays: Arrays, bounds: Mapping[str, tuple[int, int]]) -> None:
    """Check that every value of each array lies within the bounds of its name, both included.

    Args:
        site: whose they are.
        arrays: int64; `check_arrays` vouches for their names.
        bounds: lowest and highest value, by name.

    Raises:
        UpdateRejected: one does not.
    """
    for name, (low, high) in bounds.items():
        values = arrays[name]
        if values.size and not (low <= int(values.min()) and int(values.max()) <= high):
            raise UpdateRejected(
                site, f"{name} is outside what its examples can add up to", fix=VERSIONS
            )


def check_counts(site: str, counts: EvaluationCounts, examples: int) -> None:
    """Check that evaluation counts can be those of so many images.

    Raises:
        UpdateRejected: a count is negative or too large, or two ways of counting disagree.
    """
    confusion, scores = counts.confusion, counts.scores.sum(axis=-1)
    most = {
        "losses": examples * int(LARGEST_LOSS / UNIT),
        "calibration": examples * int(1 / UNIT),
        # A replicate may draw the largest group again and again.
        "replicate_confusion": examples**2,
        "replicate_scores": examples**2,
    }
    check_range(
        site,
        counts.to_arrays(),
        {name: (0, most.get(name, examples)) for name in counts.to_arrays()},
    )
    agree = (
        int(confusion.sum()) == examples
        and np.array_equal(scores[:, 1], confusion.sum(axis=1))
        and np.array_equal(scores.sum(axis=1), np.full(len(confusion), examples))
        and int(counts.calibration[0].sum()) == examples
        and int(counts.calibration[2].sum()) == int(np.trace(confusion))
        and np.array_equal(
            counts.replicate_scores[:, :, 1].sum(axis=-1), counts.replicate_confusion.sum(axis=-1)
        )
    )
    if not agree:
        raise UpdateRejected(site, "its counts contradict one another", fix=VERSIONS)


def check_arrays(site: str, arrays: Arrays, template: Arrays, dtype: DTypeLike) -> None:
    """Check that arrays have the template's names and shapes, one dtype, and finite values.

    Args:
        site: whose they are.
        arrays: as received.
        template: arrays whose names and shapes are expected; their values are not read.
        dtype: the dtype expected of every array.

    Raises:
        UpdateRejected: they do not; at most three differences are named.
    """
    expected = np.dtype(dtype)
    absent, surplus = sorted(template.keys() - arrays.keys()), arrays.keys() - template.keys()
    faults = [f"{name} is missing" for name in absent]
    if surplus:
        faults.append(f"{len(surplus)} unexpected arrays")
    for name in sorted(template.keys() & arrays.keys()):
        array = arrays[name]
        if array.shape != template[name].shape:
            faults.append(f"{name} has shape {array.shape} for {template[name].shape}")
        elif array.dtype != expected:
            faults.append(f"{name} is {array.dtype} for {expected}")
        elif not np.isfinite(array).all():
            count = int(np.count_nonzero(~np.isfinite(array)))
            faults.append(f"{name} holds {count} of {array.size} values that are not finite")
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UpdateRejected(
            site,
            "; ".join(faults[:3]) + more,
            fix="values that are not finite: lower the learning rate; otherwise " + VERSIONS,
        )


def differences(site: str, arrays: Arrays, template: Arrays, compression: Compression) -> Arrays:
    """Return the differences that a site's arrays stand for: themselves, or what they code.

    Args:
        site: whose they are.
        arrays: as received; `check_arrays` looks at those that are not coded.
        template: arrays whose names and shapes the differences have; their values are not read.
        compression: of the study.

    Raises:
        UpdateRejected: they are coded, and no coding of such differences makes these arrays.
    """
    if compression.up == "none":
        return arrays
    sizes = {name: array.shape for name, array in template.items()}
    try:
        return decoded(arrays, sizes, compression.up, compression.share)
    except CodingError as error:
        raise UpdateRejected(site, error.problem, fix=error.fix) from error


def check_norm(site: str, arrays: Arrays, bound: float) -> None:
    """Check that the Euclidean norm over all values of all arrays is within `bound`.

    Raises:
        UpdateRejected: it is larger, or not a number.
    """
    norm = euclidean(arrays)
    if not norm <= bound:
        raise UpdateRejected(
            site,
            f"its update has norm {norm:.4g}; the study accepts {bound:.4g}",
            fix="check this site's labels and learning rate, or raise norm_bound in the study",
        )


def euclidean(arrays: Arrays) -> float:
    """Return the Euclidean norm over all values of all arrays."""
    squares = (float(np.square(a, dtype=np.float64).sum()) for a in arrays.values())
    return math.sqrt(math.fsum(squares))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12]
