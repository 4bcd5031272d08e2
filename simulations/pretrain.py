"""The small pair of backbones that ships with the package, trained once on generated smears.

What it learns is no class: from pictures of random cells under random stains it estimates the
size of the nuclei, the share of the cell they fill, the grain of their chromatin, nucleoli and
clefts. Its seed, patients and laboratories are those of no scenario.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from common.digests import digest_arrays
from common.imaging.pipeline import prepare, to_model_input
from common.imaging.synthetic import draw_patient, random_traits, site_style, smear_field
from common.seeds import seed_for, stream
from common.study.imaging import Imaging

ARCHITECTURES = ("test_byobnet", "starnet_s050")  # plain convolutions; depthwise ones
TRAITS = ("nucleus", "share", "clump", "nucleoli", "cleft")
_LABORATORY = "pretraining"  # names the random streams; a scenario's begin with its sites

Images = NDArray[np.uint8]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and of how many."""


@dataclass(frozen=True)
class PretrainSettings:
    """How the pair is trained.

    Args:
        seed: every random stream derives from it.
        images: generated for training; one patient, laboratory and scanner each.
        held_back: further images on which the result is measured.
        size: side of an image, in pixels.
        passes: how often each image is seen, turned or mirrored at random.
        batch_size: images in one step.
        learning_rate: at its peak; it rises over the first tenth and falls as a half cosine.
        weight_decay: of AdamW.
        threads: of torch; another number gives slightly other bits.
    """

    seed: int = 20250
    images: int = 5000
    held_back: int = 600
    size: int = 128
    passes: int = 10
    batch_size: int = 48
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    threads: int = 2


@dataclass(frozen=True)
class Pretrained:
    """One backbone that was written.

    Args:
        architecture: timm's name.
        file: the safetensors file.
        digest: SHA-256 over its tensors, what a study's `weights_digest` pins.
        explained: per trait, the share of its variance that is estimated on images held back.
    """

    architecture: str
    file: Path
    digest: str
    explained: dict[str, float]


def pretrain(
    folder: Path, settings: PretrainSettings, progress: Progress = lambda what, done, of: None
) -> list[Pretrained]:
    """Train every backbone of `ARCHITECTURES` and write `folder/{architecture}.safetensors`.

    The files hold timm's tensors without classifier, as float16. The same settings on the same
    machine give the same bits.
    """
    images, targets = _examples(settings, progress)
    folder.mkdir(parents=True, exist_ok=True)
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True)
    try:
        return [
            _pretrained(architecture, images, targets, folder, settings, progress)
            for architecture in ARCHITECTURES
        ]
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def _examples(settings: PretrainSettings, progress: Progress) -> tuple[Images, NDArray[np.float32]]:
    """Draw images, prepared as a study's are, and their traits in units of deviation."""
    count = settings.images + settings.held_back
    imaging = Imaging(size=settings.size)
    images = np.empty((count, settings.size, settings.size, 3), np.uint8)
    targets = np.empty((count, len(TRAITS)), np.float32)
    for number in range(count):
        generator = stream(settings.seed, "synthetic", _LABORATORY, number)
        patient, style = draw_patient(generator, random_traits(generator)), site_style(generator)
        images[number] = prepare(smear_field(generator, patient, style, settings.size), imaging)
        traits = asdict(patient.traits)
        for apparent in ("nucleus", "clump"):  # a picture does not tell its magnification
            traits[apparent] = math.log(traits[apparent] * style.scale)
        targets[number] = [traits[name] for name in TRAITS]
        progress("drawing smears", number + 1, count)
    return images, (targets - targets.mean(axis=0)) / targets.std(axis=0)


def _pretrained(
    architecture: str,
    images: Images,
    targets: NDArray[np.float32],
    folder: Path,
    settings: PretrainSettings,
    progress: Progress,
) -> Pretrained:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(settings.seed, "pretrain", architecture))
        backbone: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0)
        width = int(vars(backbone)["num_features"])
        reader = nn.Linear(width, len(TRAITS))
        model = nn.Sequential(backbone, reader).to(memory_format=torch.channels_last)
        _train(model, images[: settings.images], targets, architecture, settings, progress)
    arrays = {
        name: tensor.detach().half().contiguous().numpy()
        for name, tensor in backbone.state_dict().items()
        if tensor.is_floating_point()  # BatchNorm's counters of batches mean nothing any more
    }
    backbone.load_state_dict({name: torch.from_numpy(a).float() for name, a in arrays.items()})
    explained = _explained(model, images[settings.images :], targets[settings.images :])
    digest = digest_arrays(arrays)
    file = folder / f"{architecture}.safetensors"
    account = {
        "made_by": "leukofed-sim pretrain",
        "settings": json.dumps(asdict(settings), sort_keys=True),
        "digest": digest,
        "explained": json.dumps({name: round(share, 3) for name, share in explained.items()}),
        "timm": str(timm.__version__),
    }
    save_file(arrays, file, metadata=account)
    return Pretrained(architecture, file, digest, explained)


def _train(
    model: nn.Module,
    images: Images,
    targets: NDArray[np.float32],
    architecture: str,
    settings: PretrainSettings,
    progress: Progress,
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=settings.weight_decay)
    generator = stream(settings.seed, "pretrain order", architecture)
    steps = settings.passes * math.ceil(len(images) / settings.batch_size)
    step = 0
    model.train()
    for _ in range(settings.passes):
        for rows in _batches(generator.permutation(len(images)), settings.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rise_and_fall(step / steps)
            estimated = model(_model_input(_turned(images[rows], generator)))
            loss = nn.functional.mse_loss(estimated, torch.from_numpy(targets[rows]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            progress(f"training {architecture}", step, steps)
    model.eval()


def _rise_and_fall(done: float) -> float:
    """Return the share of the peak rate after a share `done` of the steps, both in [0, 1]."""
    return min(done / 0.1, 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))) + 1e-3


def _batches(order: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    yield from np.array_split(order, math.ceil(len(order) / batch_size))


def _turned(images: Images, generator: np.random.Generator) -> Images:
    """Turn and mirror each image at random: a smear has no upright."""
    turns, mirrored = generator.integers(4, size=len(images)), generator.random(len(images)) < 0.5
    return np.stack(
        [
            np.rot90(image[:, ::-1] if mirror else image, int(turn))
            for image, turn, mirror in zip(images, turns, mirrored, strict=True)
        ]
    )


def _model_input(images: Images) -> Tensor:
    batch = torch.from_numpy(to_model_input(images))
    return batch.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def _explained(model: nn.Module, images: Images, targets: NDArray[np.float32]) -> dict[str, float]:
    """Return 1 - residual / total variance per trait."""
    batches = _batches(np.arange(len(images)), 64)
    estimated = np.concatenate([model(_model_input(images[rows])).numpy() for rows in batches])
    residual = np.mean((targets - estimated) ** 2, axis=0)
    shares = 1 - residual / targets.var(axis=0)
    return {name: float(share) for name, share in zip(TRAITS, shares, strict=True)}
