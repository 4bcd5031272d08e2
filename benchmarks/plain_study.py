"""A study as one would write it down without a federation: a loop over sites, FedAvg by hand.

    python -m benchmarks.plain_study FOLDER [--backbones]

Of `benchmarks.plain_inputs` it takes activations, modules and settings, and of LeukoFed nothing but
the class of the fusion block: torch, NumPy and xgboost. It does the work that the study's phases
do, on the same images as often: moments, heads, tails, fusion block, xgboost on pooled H2, and
predictions of the held-back images. No file is checked, signed or written, no message is packed,
and nothing is kept to resume from.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import Tensor, nn

_BATCH = 32
Features = NDArray[np.float32]


class PlainStudy:
    """Modules, settings and every site's arrays, in one process."""

    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_bytes())
        modules = torch.load(folder / "modules.pt", weights_only=False)
        self.names: list[str] = modules["names"]
        self.tails: list[nn.Module] = modules["tails"]
        self.heads: list[nn.Linear] = modules["heads"]
        self.fusion: Any = modules["fusion"]
        self.numerics = self.facts["numerics"]
        self.sites: list[str] = self.facts["sites"]
        self._folder = folder
        self._scaling: list[tuple[Tensor, Tensor]] = []
        self._features: dict[str, Features] = {}  # of the tails as they are, by site
        torch.set_num_threads(self.numerics["threads"])

    def labels(self, site: str, part: str = "train") -> NDArray[np.int64]:
        """Return a part's classes."""
        return np.load(self._folder / site / f"{part}-labels.npy")  # type: ignore[no-any-return]

    def trained(self, stage: str) -> dict[str, Tensor]:
        """Return the tensors that a stage trains."""
        if stage == "fusion":
            return {n: p.data for n, p in self.fusion.named_parameters() if p.requires_grad}
        found = {f"head{i}.{n}": p.data for i, head in enumerate(self.heads)
                 for n, p in head.named_parameters()}  # fmt: skip
        if stage == "tails":
            found |= {f"tail{i}.{n}": p.data for i, tail in enumerate(self.tails)
                      for n, p in tail.named_parameters() if p.requires_grad}  # fmt: skip
        return found

    def features(self, site: str, part: str) -> Features:
        """Pass a part's activations through the tails: float32 (views, width)."""
        return np.concatenate([self._passed(i, site, part) for i in range(len(self.tails))], axis=1)

    def standardise(self) -> None:
        """Scale features by the moments of all sites' images; the heads read them so."""
        self._features = {site: self.features(site, "train") for site in self.sites}
        own = np.concatenate([f[:: self.facts["views"]] for f in self._features.values()])
        mean, scale = torch.from_numpy(own.mean(0)), torch.from_numpy(1 / (own.std(0) + 1e-6))
        widths = [head.in_features for head in self.heads]
        bounds = np.cumsum([0, *widths]).tolist()
        spans = [slice(*span) for span in itertools.pairwise(bounds)]
        self._scaling = [(mean[span], scale[span]) for span in spans]
        self.fusion.standardised.mean, self.fusion.standardised.scale = mean, scale

    def fit(self, site: str, stage: str, number: int) -> float:
        """Train a stage's tensors in place on a site's images; return the last batch's loss."""
        settings = self.facts["schedules"][stage][number]
        rng = np.random.default_rng([self.facts["seed"], number, self.sites.index(site)])
        labels, loss = torch.from_numpy(self.labels(site)), 0.0
        if stage == "fusion":
            rows = torch.from_numpy(self._features[site])
            return self._fitted(self.fusion.parameters(), lambda i: self.fusion(rows[i]), labels,
                                settings, rng)  # fmt: skip
        for i, (tail, head) in enumerate(zip(self.tails, self.heads, strict=True)):
            parameters, forward = list(head.parameters()), self._on_features(i, site)
            if stage == "tails":
                parameters = [p for p in (*tail.parameters(), *parameters) if p.requires_grad]
                forward = self._on_activations(i, site)
            loss = self._fitted(parameters, forward, labels, settings, rng)
        return loss

    def validate(self, site: str, stage: str) -> None:
        """Predict a site's validation images, as it does in each round before it trains."""
        if stage == "tails":
            self._features[f"{site} validation"] = self.features(site, "validation")

    def _fitted(
        self,
        parameters: Any,
        forward: Callable[[NDArray[np.int64]], Tensor],
        labels: Tensor,
        settings: Mapping[str, Any],
        rng: np.random.Generator,
    ) -> float:
        optimizer = torch.optim.AdamW(
            parameters, lr=settings["learning_rate"], weight_decay=settings["weight_decay"],
            fused=True,
        )  # fmt: skip
        views, images, loss = self.facts["views"], len(labels), 0.0
        for _ in range(settings["epochs"]):
            order = rng.permutation(images)
            drawn = rng.integers(views, size=images)
            for batch in np.array_split(order, -(-images // settings["batch_size"])):
                out = nn.functional.cross_entropy(
                    forward(batch * views + drawn[batch]), labels[batch]
                )
                optimizer.zero_grad(set_to_none=True)
                out.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                loss = float(out.detach())
        return loss

    def _on_features(self, i: int, site: str) -> Callable[[NDArray[np.int64]], Tensor]:
        mean, scale = self._scaling[i]
        start = sum(head.in_features for head in self.heads[:i])
        own = torch.from_numpy(self._features[site][:, start : start + len(mean)])
        return lambda rows: self.heads[i]((own[rows] - mean) * scale)

    def _on_activations(self, i: int, site: str) -> Callable[[NDArray[np.int64]], Tensor]:
        held, (mean, scale) = self._activations(i, site, "train"), self._scaling[i]
        return lambda rows: self.heads[i]((self._tail(i, held[rows]) - mean) * scale)

    def _activations(self, i: int, site: str, part: str) -> NDArray[np.float16]:
        path = self._folder / site / f"{part}-{self.names[i]}.npy"
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]

    def _tail(self, i: int, activations: NDArray[np.float16]) -> Tensor:
        last = self.numerics["channels_last"]
        layout = torch.channels_last if last else torch.contiguous_format
        batch = torch.from_numpy(activations.astype(np.float32)).contiguous(memory_format=layout)
        with torch.autocast("cpu", torch.bfloat16, self.numerics["precision"] == "bfloat16"):
            out: Tensor = self.tails[i](batch)
        return out.float()

    def _passed(self, i: int, site: str, part: str) -> Features:
        held = self._activations(i, site, part)
        with torch.inference_mode():
            found = [self._tail(i, held[at : at + _BATCH]) for at in range(0, len(held), _BATCH)]
        empty = np.empty((0, self.heads[i].in_features), np.float32)
        return torch.cat(found).numpy() if found else empty


def averaged(study: PlainStudy, stage: str, number: int) -> None:
    """Do one round: every site trains, and the mean over all images is taken (FedAvg)."""
    start = {name: tensor.clone() for name, tensor in study.trained(stage).items()}
    total = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    counts = {site: len(study.labels(site)) for site in study.sites}
    for site, images in counts.items():
        for name, tensor in study.trained(stage).items():
            tensor.copy_(start[name])
        study.validate(site, stage)
        study.fit(site, stage, number)
        for name, tensor in study.trained(stage).items():
            total[name] += images * tensor
    for name, tensor in study.trained(stage).items():
        tensor.copy_(total[name] / sum(counts.values()))


def boosted(study: PlainStudy) -> float:
    """Fit xgboost on H2 of all sites; return the macro F1 of the held-back images."""
    facts = study.facts
    rows = np.concatenate([_hidden(study, study.features(s, "train")) for s in study.sites])
    labels = np.concatenate([np.repeat(study.labels(s), facts["views"]) for s in study.sites])
    model = xgboost.train(facts["booster"], xgboost.DMatrix(rows, labels), facts["booster_rounds"])
    found: list[Sequence[int]] = []
    for part in ("validation", "test"):
        for site in study.sites:
            held_back = xgboost.DMatrix(_hidden(study, study.features(site, part)))
            found.append(model.predict(held_back).argmax(1))
    tested = np.concatenate(found[len(study.sites) :])
    truth = np.concatenate([study.labels(site, "test") for site in study.sites])
    return float(f1_score(truth, tested, average="macro"))


def _hidden(study: PlainStudy, features: Features) -> Features:
    with torch.inference_mode():
        hidden: Features = study.fusion.hidden(torch.from_numpy(features)).numpy()
    return hidden


@lru_cache(maxsize=1)
def opened(folder: Path) -> PlainStudy:
    """Open a study once in each process; here, where Ray's workers find it by its name."""
    study = PlainStudy(folder)
    study.standardise()
    return study


def main() -> None:
    """Work through the study, and print the macro F1."""
    made = argparse.ArgumentParser()
    made.add_argument("folder", type=Path)
    made.add_argument("--backbones", action="store_true", help="no more than heads and tails")
    asked = made.parse_args()
    study = PlainStudy(asked.folder)
    for stage in ("heads", "tails"):
        if stage == "heads":
            study.standardise()
        for number in range(len(study.facts["schedules"][stage])):
            averaged(study, stage, number)
    if asked.backbones:
        return
    study.standardise()
    for number in range(len(study.facts["schedules"]["fusion"])):
        averaged(study, "fusion", number)
    print(f"macro F1 {boosted(study):.3f}")


if __name__ == "__main__":
    main()
