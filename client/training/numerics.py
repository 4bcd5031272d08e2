"""How this machine computes fastest, measured once and kept beside the site's records."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import product
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from client.site_config import Numerics
from client.training.memory import kept_memory
from common.errors import ConfigError, CorruptFile
from common.model.network import Branch
from common.whole_file import write_whole

_REPEATS = 3


def autocast(numerics: Numerics) -> AbstractContextManager[None]:
    """Compute in the precision of `numerics` within this context."""
    context: AbstractContextManager[None] = torch.autocast(
        torch.device(numerics.device).type,
        torch.bfloat16,
        enabled=numerics.precision == "bfloat16",
    )
    return context


def laid_out(images: Tensor, numerics: Numerics) -> Tensor:
    """Return images or activations (n, c, h, w) as float32, where and how `numerics` says."""
    layout = torch.channels_last if numerics.channels_last else torch.contiguous_format
    # Moved before they are converted: a GPU does that faster, and half precision travels faster.
    return images.to(numerics.device).to(torch.float32, memory_format=layout)


@contextmanager
def placed(numerics: Numerics, *modules: nn.Module) -> Iterator[None]:
    """Hold modules on the device of `numerics` within this context, and bring them back.

    Everybody else finds their arrays in the processor's memory. A GPU is held to kernels that give
    the same bits again, and to full float32 where float32 is asked for.
    """
    if numerics.device == "cpu":
        yield
        return
    for module in modules:
        module.to(numerics.device)
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        for module in modules:
            module.to("cpu")


def present_devices() -> tuple[str, ...]:
    """Return what this machine can compute on."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def synchronize(numerics: Numerics) -> None:
    """Wait until what was asked of the device has been computed; for clocks."""
    if numerics.device != "cpu":
        torch.cuda.synchronize(numerics.device)


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
        ConfigError: they name a GPU that is not there.
        CorruptFile: the kept measurement cannot be read.
    """
    if wanted != "auto":
        return _checked(wanted, "name another `numerics.device` in the site file")
    try:
        kept = Numerics.model_validate_json(file.read_bytes())
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
    return _checked(kept, "delete the file of that measurement, and it is measured anew", str(file))


def _checked(numerics: Numerics, fix: str, where: str = "") -> Numerics:
    device = torch.device(numerics.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"this machine shall compute on {numerics.device}, and PyTorch finds no such GPU",
            fix=f"see whether `nvidia-smi` and this user find it, or {fix}",
            local_detail=where,
        )
    return numerics


def measured(
    branches: Sequence[Branch], size: int, devices: Sequence[str] | None = None
) -> Numerics:
    """Measure this machine with the work it will mostly do: images through a frozen front.

    Args:
        branches: of a study; the first one's front is timed.
        size: side of its images.
        devices: to choose from; None: all that are present.
    """
    devices = present_devices() if devices is None else devices
    return fastest(branches[0].front, torch.zeros(16, 3, size, size), devices)


def fastest(front: nn.Module, images: Tensor, devices: Sequence[str]) -> Numerics:
    """Time a forward pass on every device, in every precision and layout; return the fastest.

    Args:
        front: the work, on images float32 (n, 3, height, width).
        images: a typical batch.
        devices: to choose from.
    """
    timings: dict[Numerics, float] = {}
    available = torch.get_num_threads()
    precisions: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    with kept_memory():
        for device, precision, last in product(devices, precisions, (False, True)):
            choice = Numerics(
                device=device, precision=precision, channels_last=last, threads=available
            )
            with placed(choice, front):
                timings[choice] = _seconds(front, laid_out(images, choice), choice)
    return min(timings, key=lambda choice: timings[choice])


def _seconds(front: nn.Module, images: Tensor, choice: Numerics) -> float:
    best = float("inf")
    with torch.inference_mode(), autocast(choice):
        front(images)  # the first pass pays for memory and for kernels chosen once
        for _ in range(_REPEATS):
            synchronize(choice)
            start = time.perf_counter()
            front(images)
            synchronize(choice)
            best = min(best, time.perf_counter() - start)
    return best
