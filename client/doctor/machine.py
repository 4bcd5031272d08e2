"""Checks of the machine: disk, memory, speed and the weights that a study needs."""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from client.doctor.finding import Finding, failed, ok, problem, warning
from client.site_config import Numerics, SiteConfig
from client.training.numerics import (
    autocast,
    fastest,
    laid_out,
    placed,
    present_devices,
    settled_numerics,
    synchronize,
    threads,
)
from common.asks import Part
from common.digests import digest_arrays
from common.errors import ConfigError, CorruptFile, WeightsError
from common.model.chain import build_backbone, cut
from common.model.weights import read_weights
from common.study.phases import BackbonesPhase
from common.study.schema import Study

_BATCH = 16
_FAST_MIN, _MEDIUM_MIN = 15.0, 60.0  # of computing for a whole study
_PROCESS_BYTES = 1.0e9  # what a worker holds before it holds a model: torch and its libraries
_BYTES_PER_PARAMETER = 24  # weights, gradient, two moments, and the arrays that come and go
_LEAST_STATE_BYTES = 1e9


@dataclass(frozen=True)
class Chain:
    """One backbone without its weights, cut: as large and as fast as with them."""

    front: nn.Sequential
    tail: nn.Sequential
    activation: tuple[int, ...]  # of one image at the cut: channels, height, width
    width: int  # features


@dataclass(frozen=True)
class Pace:
    """How fast this machine is, in ms per image, all backbones together."""

    front: float
    tail: float  # a training step
    numerics: Numerics


def chains(study: Study) -> list[Chain]:
    """Build a study's backbones with weights of no meaning.

    Raises:
        ConfigError: an architecture or a cut does not exist.
    """
    made = []
    for backbone in study.network.backbones:
        front, tail = cut(build_backbone(backbone, None), backbone)
        with torch.inference_mode():
            held = front(torch.zeros(1, 3, study.imaging.size, study.imaging.size))
            width = tail(held).shape[1]
        made.append(Chain(front, tail, tuple(held.shape[1:]), width))
    return made


def cache_bytes(study: Study, parts: Mapping[Part, int], made: Sequence[Chain]) -> int:
    """Return how much a study needs in the cache: activations at the cut, and features.

    Args:
        study: tells the views of a training image.
        parts: images per part.
        made: its backbones.
    """
    views = study.phase(BackbonesPhase).views
    images = parts["train"] * views + parts["validation"] + parts["test"]
    at_cut = sum(2 * torch.Size(chain.activation).numel() for chain in made)  # float16
    features = sum(4 * chain.width for chain in made)  # float32, of the first tails and the last
    return images * (at_cut + 2 * features)


def disk_line(config: SiteConfig, needed: int) -> Finding:
    """Compare what the cache needs with its limit, and with the disk."""
    limit = config.cache.limit_gb * 1e9
    folder = _there(config.cache.folder)
    held = sum(file.stat().st_size for file in config.cache.folder.glob("*/records.bin"))
    free = shutil.disk_usage(folder).free
    text = (
        f"the cache needs {_gb(needed)}, may take {_gb(limit)}, and its disk has {_gb(free)} free"
    )
    if needed > limit:
        return problem(
            "disk", text, f"raise cache.limit_gb in the site file to {needed / 1e9 * 1.1:.1f}"
        )
    if needed > free + held:
        return problem("disk", text, "make room, or name a folder on a larger disk (cache.folder)")
    return ok("disk", text)


def state_line(config: SiteConfig) -> Finding:
    """See that the site's own records have room: a full disk stops every reply."""
    free = shutil.disk_usage(_there(config.state)).free
    wanted = max(_LEAST_STATE_BYTES, 4 * config.limits.largest_payload_mb * 1e6)
    text = f"the state folder's disk has {_gb(free)} free"
    if free < wanted:
        return warning("records", text, f"make room: log and outbox may need {_gb(wanted)}")
    return ok("records", text)


def memory_line(made: Sequence[Chain], meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Compare what a worker needs with what there is."""
    parameters = sum(p.numel() for c in made for p in (*c.front.parameters(), *c.tail.parameters()))
    needed = _PROCESS_BYTES + _BYTES_PER_PARAMETER * parameters
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        told = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if ":" in line}
        total, free = told["MemTotal"], told["MemAvailable"]
    except (OSError, ValueError, IndexError, KeyError):
        return ok("memory", f"the worker needs about {_gb(needed)}; this system does not tell more")
    text = f"the worker needs about {_gb(needed)}; {_gb(free)} of {_gb(total)} are free"
    if total < needed:
        return problem("memory", text, "take a machine with more memory")
    if free < needed:
        return warning("memory", text, "stop what else runs here, or add memory")
    return ok("memory", text)


def pace(study: Study, config: SiteConfig, made: Sequence[Chain]) -> Pace:
    """Time a batch through the fronts, and a training step of the tails.

    The site's own measurement of its numerics is used if there is one, and none is kept.

    Raises:
        ConfigError: a GPU is named that is not there.
        CorruptFile: the kept measurement cannot be read.
    """
    images = torch.zeros(_BATCH, 3, study.imaging.size, study.imaging.size)
    kept = config.state / "numerics.json"

    def measure() -> Numerics:
        return fastest(made[0].front, images, present_devices())

    if config.numerics == "auto" and not kept.is_file():
        numerics = measure()
    else:
        numerics = settled_numerics(config.numerics, kept, measure)
    front = tail = 0.0
    with threads(numerics):
        for chain in made:
            with placed(numerics, chain.front, chain.tail):
                front += _best(partial(_look, chain.front, laid_out(images, numerics), numerics))
                activations = laid_out(torch.zeros(_BATCH, *chain.activation), numerics)
                tail += _best(partial(_step, chain.tail, activations, numerics))
    return Pace(front * 1000 / _BATCH, tail * 1000 / _BATCH, numerics)


def minutes(study: Study, parts: Mapping[Part, int], found: Pace) -> float:
    """Return how long a study computes at this site, about, without waiting for others."""
    phase = study.phase(BackbonesPhase)
    held_back = parts["validation"] + parts["test"]
    views = parts["train"] * phase.views + held_back
    trained = parts["train"] * phase.tail_epochs * phase.tail_rounds
    seen = 2 * views + parts["validation"] * phase.tail_rounds  # forward only: a third of a step
    return (views * found.front + (trained + seen / 3) * found.tail) / 60_000


def speed_line(study: Study, parts: Mapping[Part, int], found: Pace) -> Finding:
    """Say how fast the machine is, and what that means."""
    spent = minutes(study, parts, found)
    fast = "fast" if spent < _FAST_MIN else "medium" if spent < _MEDIUM_MIN else "slow"
    images = sum(parts.values())
    text = (
        f"{fast}: {found.front:.3g} ms per image through the fronts of study {study.name}, "
        f"{found.tail:.3g} ms per step of its tails; {images} images take about "
        f"{max(spent, 0.1):.2g} minutes of computing in all"
    )
    if fast == "slow":
        return warning(
            "speed", text, "tell the coordinator, who waits accordingly, or take a faster machine"
        )
    return ok("speed", text)


def device_line(found: Pace, cpuinfo: Path = Path("/proc/cpuinfo")) -> Finding:
    """Name the GPU or the processor, and how it computes."""
    layout = "channels last" if found.numerics.channels_last else "channels first"
    computes = f"computes in {found.numerics.precision}, {layout}"
    if found.numerics.device != "cpu":
        return ok("device", f"{torch.cuda.get_device_name(found.numerics.device)}; {computes}")
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model n"))
    except (OSError, StopIteration):
        name = "a processor that this system does not name"
    return ok(
        "device",
        f"{name}, {len(os.sched_getaffinity(0))} cores; {computes}, "
        f"{found.numerics.threads} threads",
    )


def weights_lines(study: Study, config: SiteConfig) -> list[Finding]:
    """See that the pre-trained weights are here, and the ones that the study names."""
    if study.network.weights == "random":
        return [ok("weights", f"study {study.name} needs none")]
    found = []
    for backbone in study.network.backbones:
        try:
            digest = digest_arrays(read_weights(study.network, backbone, config.weights))
        except WeightsError as error:
            found.append(failed("weights", error))
            continue
        pinned = "as the study names them" if backbone.weights_digest else "the study names none"
        found.append(ok("weights", f"{backbone.architecture} {digest[:12]}, {pinned}"))
    return found


def speed_lines(
    study: Study, config: SiteConfig, parts: Mapping[Part, int], made: Sequence[Chain]
) -> list[Finding]:
    """Measure, and say what was found."""
    try:
        found = pace(study, config, made)
    except (ConfigError, CorruptFile) as error:
        return [failed("speed", error)]
    return [device_line(found), speed_line(study, parts, found)]


def _look(front: nn.Sequential, images: Tensor, numerics: Numerics) -> None:
    with torch.inference_mode(), autocast(numerics):
        front(images)
    synchronize(numerics)


def _step(tail: nn.Sequential, activations: Tensor, numerics: Numerics) -> None:
    tail.zero_grad()
    with autocast(numerics):
        features: Tensor = tail(activations)
    features.float().sum().backward()  # type: ignore[no-untyped-call]
    synchronize(numerics)


def _best(run: Callable[[], object], repeats: int = 2) -> float:
    """Return the seconds of the fastest of a few runs; the first one pays for memory."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _there(folder: Path) -> Path:
    """Return the folder itself, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"
