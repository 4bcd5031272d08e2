"""How this machine computes fastest, measured once and kept beside the site's records."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from client.site_config import Numerics
from client.training.memory import kept_memory
from common.errors import CorruptFile
from common.model.network import Branch
from common.whole_file import write_whole

_REPEATS = 3


def autocast(numerics: Numerics) -> AbstractContextManager[None]:
    """Compute in the precision of `numerics` within this context."""
    context: AbstractContextManager[None] = torch.autocast(
        "cpu", torch.bfloat16, enabled=numerics.precision == "bfloat16"
    )
    return context


def laid_out(images: Tensor, numerics: Numerics) -> Tensor:
    """Return images or activations (n, c, h, w) as float32, in the memory layout of `numerics`."""
    layout = torch.channels_last if numerics.channels_last else torch.contiguous_format
    return images.to(torch.float32, memory_format=layout)


@contextmanager
def threads(numerics: Numerics) -> Iterator[None]:
    """Let torch use `numerics.threads` threads within this context, and keep its memory."""
    before = torch.get_num_threads()
    torch.set_num_threads(numerics.threads)
    try:
        with kept_memory():
            yield
    finally:
        torch.set_num_threads(before)


def settled_numerics(
    wanted: Numerics | Literal["auto"], file: Path, measure: Callable[[], Numerics]
) -> Numerics:
    """Return the numerics of this site, measured now if that has never been done.

    Args:
        wanted: the site file's setting.
        file: where a measurement is kept; resumed runs read it, and so repeat their bits.
        measure: called at most once in the life of `file`.

    Raises:
        CorruptFile: the kept measurement cannot be read.
    """
    if wanted != "auto":
        return wanted
    try:
        return Numerics.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        found = measure()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"{found.model_dump_json()}\n".encode())
        return found
    except ValidationError as error:
        raise CorruptFile(
            "the kept measurement of this machine cannot be read",
            fix="delete the file; it is measured anew, and an unfinished run starts over",
            local_detail=str(file),
        ) from error


def measured(branches: Sequence[Branch], size: int) -> Numerics:
    """Measure this machine with the work it will mostly do: images through a frozen front.

    Args:
        branches: of a study; the first one's front is timed.
        size: side of its images.
    """
    return fastest(branches[0].front, torch.zeros(16, 3, size, size))


def fastest(run: Callable[[Tensor], object], images: Tensor) -> Numerics:
    """Time a forward pass in every precision and layout, and return the fastest.

    Args:
        run: the work, on images float32 (n, 3, height, width).
        images: a typical batch.
    """
    timings: dict[Numerics, float] = {}
    available = torch.get_num_threads()
    precisions: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    with kept_memory():
        for precision in precisions:
            for last in (False, True):
                choice = Numerics(precision=precision, channels_last=last, threads=available)
                timings[choice] = _seconds(run, laid_out(images, choice), choice)
    return min(timings, key=lambda choice: timings[choice])


def _seconds(run: Callable[[Tensor], object], images: Tensor, choice: Numerics) -> float:
    best = float("inf")
    with torch.inference_mode(), autocast(choice):
        run(images)  # the first pass pays for memory and for kernels chosen once
        for _ in range(_REPEATS):
            start = time.perf_counter()
            run(images)
            best = min(best, time.perf_counter() - start)
    return best
