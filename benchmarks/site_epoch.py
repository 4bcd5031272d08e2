"""Seconds for local training of both backbones: ours from the cache, against plain loops.

Ours pays for all that a site pays for new images: decoding, contrast, the frozen front once per
view, writing the cache, then two epochs of the tails. The plain loops decode and prepare once and
fine-tune the full models, two epochs: float32 in torch's default layout, and bfloat16
channels_last. All three in one process, one after another, on the same images, models built
beforehand; only their ratios mean anything. What a site measures once in its life, how it computes
fastest, is told apart.

    python benchmarks/site_epoch.py --images 96 [--data DIR]

Weights are random (they cost the same); without --data images are generated.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from client.activations import Extractor
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.site_config import Numerics
from client.training.fit import fit_tail
from client.training.numerics import measured
from common.digests import digest_file
from common.imaging.decode import IMAGE_SUFFIXES, decode
from common.imaging.pipeline import prepare, to_model_input
from common.model.chain import build_backbone
from common.model.initial import build_branches
from common.model.network import Branch
from common.seeds import stream
from common.study.network import Network
from common.study.schedule import Schedule
from common.study.schema import LabelSet, Study
from simulations.synthetic import SyntheticSettings, write_dataset

EPOCHS = 2
BATCH = 32
STUDY = Study(
    name="benchmark",
    sites=("a",),
    quorum=1,
    labels=LabelSet(name="all", classes=("Benign", "Early", "Pre", "Pro")),
    network=Network(weights="random"),
)


def main() -> None:
    """Run the three ways and print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96, choices=range(8, 301), metavar="8..300")
    parser.add_argument("--views", type=int, default=1, help="cached views of each image")
    parser.add_argument("--data", type=Path, help="a folder of images")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = wanted.data
        if folder is None:
            folder = write_dataset(Path(scratch) / "smears", SyntheticSettings(size=224)).parent
        examples = _examples(folder, wanted.images)
        start = time.perf_counter()
        branches = build_branches(STUDY, None)
        built = time.perf_counter()
        numerics = measured(branches, STUDY.imaging.size)
        print(
            f"models built in {built - start:.1f} s; numerics measured, once for this machine, in"
        )
        print(f"{time.perf_counter() - built:.1f} s: {numerics.model_dump_json()}")
        ways: dict[str, Callable[[], None]] = {
            "full model, float32": lambda: _plain(examples, Numerics(threads=_threads())),
            "full model, bfloat16 channels_last": lambda: _plain(
                examples, Numerics(precision="bfloat16", channels_last=True, threads=_threads())
            ),
            "ours, cache built and counted": lambda: _ours(
                examples, wanted.views, branches, numerics, Path(scratch) / "cache"
            ),
        }
        seconds = {name: _timed(way) for name, way in ways.items()}
    ours = seconds["ours, cache built and counted"]
    print(f"{len(examples)} images, {EPOCHS} epochs, batches of {BATCH}, {_threads()} threads")
    for name, spent in seconds.items():
        print(f"  {name:36} {spent:8.1f} s   {spent / ours:5.1f} x ours")


def _threads() -> int:
    return torch.get_num_threads()


def _timed(way: Callable[[], None]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def _examples(folder: Path, number: int) -> list[Example]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    chosen = files[:: max(1, len(files) // number)][:number]
    return [
        Example(path, i % 4, str(path), digest=digest_file(path)) for i, path in enumerate(chosen)
    ]


def _ours(
    examples: Sequence[Example],
    views: int,
    branches: Sequence[Branch],
    numerics: Numerics,
    folder: Path,
) -> None:
    cache = ActivationCache(folder, 10**11)
    extractor = Extractor(STUDY, branches, cache, numerics)
    extractor.fill(examples, views)
    labels = np.array([example.label for example in examples])
    schedule = Schedule(EPOCHS, BATCH, 1e-4, 1e-4)
    for number, branch in enumerate(branches):
        fit_tail(
            branch, partial(extractor.draw, number, examples), views, labels, schedule,
            stream(1, "benchmark"), numerics,
        )  # fmt: skip
    cache.close()


def _plain(examples: Sequence[Example], numerics: Numerics) -> None:
    """Fine-tune both whole models, as a plain PyTorch loop does."""
    images = np.stack(
        [prepare(decode(example.image.read_bytes()), STUDY.imaging) for example in examples]
    )
    labels = torch.tensor([example.label for example in examples])
    layout = torch.channels_last if numerics.channels_last else torch.contiguous_format
    for backbone in STUDY.network.backbones:
        body = build_backbone(backbone, None)
        model = nn.Sequential(body, nn.Linear(2048, 4)).to(memory_format=layout)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        for _ in range(EPOCHS):
            for start in range(0, len(images), BATCH):
                pixels = torch.from_numpy(to_model_input(images[start : start + BATCH]))
                with torch.autocast(
                    "cpu", torch.bfloat16, enabled=numerics.precision == "bfloat16"
                ):
                    logits = model(pixels.contiguous(memory_format=layout))
                loss = nn.functional.cross_entropy(logits.float(), labels[start : start + BATCH])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()


if __name__ == "__main__":
    main()
