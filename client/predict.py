"""A released model applied to images, prepared as in training; nothing leaves the machine."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray
from scipy.special import log_softmax

from client.classify import build_classifier, mean_probabilities
from client.training.augment import view
from common.digests import digest_bytes
from common.errors import ConfigError, DataError
from common.imaging.decode import IMAGE_SUFFIXES, decode
from common.imaging.pipeline import prepare, to_model_input
from common.model.initial import released_branches
from common.parts import by_part
from common.release import Release
from common.statistics.temperature import calibrated
from common.study.phases import BoosterPhase, EvaluationPhase

_BATCH = 16

Watch = Callable[[int, int], None]


def predict_files(release: Release, paths: Sequence[Path], out: Path, watch: Watch) -> None:
    """Write one line per image: path, class, a probability per class, or why there is none.

    Args:
        release: holds the model.
        paths: images, or folders searched for images.
        out: the CSV file.
        watch: told how many images are done, and of how many.

    Raises:
        DataError: there is no image at these paths, or the CSV file cannot be written.
    """
    images = _images(paths)
    if not images:
        raise DataError(
            "there is no image at these paths",
            fix=f"name images or folders with files ending in {', '.join(IMAGE_SUFFIXES)}",
        )
    model = ReleasedModel(release)
    with _opened(out) as file:
        lines = csv.writer(file)
        lines.writerow(["path", "class", *release.classes, "reason"])
        for done in range(0, len(images), _BATCH):
            for row in _rows(model, images[done : done + _BATCH], release.classes):
                lines.writerow(row)
            watch(min(done + _BATCH, len(images)), len(images))


class ReleasedModel:
    """The whole released model: images in, calibrated class probabilities out."""

    def __init__(self, release: Release) -> None:
        self.study = release.study
        if self.study.is_personal:
            raise ConfigError(
                "this release is a part of a model: in its study every site keeps "
                "a part of its own (batch_norm: local, or head: local)",
                fix="predict with a release of a study in which all parts are shared",
            )
        backbones = by_part(release.backbones)
        fusion = by_part(release.fusion)
        self._branches = released_branches(self.study, backbones)
        self._classifier = build_classifier(self.study, fusion["fusion"], fusion["fusion-moments"])
        self._booster = xgboost.Booster()
        self._booster.load_model(bytearray(release.booster))
        self._temperature = float(release.metrics["arms"]["federated"]["temperature"] or 1.0)

    @torch.inference_mode()
    def probabilities(
        self, images: NDArray[np.uint8], digests: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return probabilities float64 (n, classes) of prepared images uint8 (n, s, s, 3).

        Args:
            images: prepared as the study says.
            digests: of their files, by which the views are drawn that a prediction is the mean of.
        """
        views = range(self.study.phase(EvaluationPhase).views)
        varied, seed = self.study.augmentation, self.study.view_seed
        logs = [
            self._logs(np.stack([view(image, number, varied, seed, digest)
                                 for image, digest in zip(images, digests, strict=True)]))
            for number in views
        ]  # fmt: skip
        return calibrated(mean_probabilities(logs), self._temperature)

    def _logs(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        pixels = torch.from_numpy(to_model_input(images))
        features = torch.cat([branch.tail(branch.front(pixels)) for branch in self._branches], 1)
        if self.study.phase(BoosterPhase).mode == "none":
            return self._classifier.softmax(features.numpy())
        if self.study.phase(BoosterPhase).input == "fusion":
            features = self._classifier.fusion.hidden(features)
        margins = self._booster.inplace_predict(features.numpy(), predict_type="margin")
        logs: NDArray[np.float64] = log_softmax(np.asarray(margins, dtype=np.float64), axis=1)
        return logs


@contextmanager
def _opened(out: Path) -> Iterator[IO[str]]:
    """Open a draft that takes the file's place once it is complete."""
    draft = out.with_name(f".{out.name}.part")
    try:
        # A file's name may be any bytes; what is not UTF-8 is written out, as in \\udcff.
        with draft.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        draft.replace(out)
    except OSError as error:
        raise DataError(
            f"the predictions cannot be written: {error.strerror}",
            fix="name another file with --out, in a folder that exists and has room",
            local_detail=str(out),
        ) from error


def _images(paths: Sequence[Path]) -> list[Path]:
    """List the images, those of a folder in order of their paths, dotfiles left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
            )
        else:
            found.append(path)
    return found


def _rows(
    model: ReleasedModel, paths: Sequence[Path], classes: Sequence[str]
) -> Iterator[list[str]]:
    prepared, digests, reasons = {}, {}, {}
    for path in paths:
        if path.exists() and not path.is_file():  # a pipe would never answer
            reasons[path] = "not a file"
            continue
        try:
            data = path.read_bytes()
            prepared[path] = prepare(decode(data), model.study.imaging)
            digests[path] = digest_bytes(data)
        except DataError as error:
            reasons[path] = error.problem
        except OSError as error:
            reasons[path] = error.strerror or type(error).__name__
    by_path = {}
    if prepared:
        rows = model.probabilities(np.stack([*prepared.values()]), [*digests.values()])
        by_path = dict(zip(prepared, rows, strict=True))
    for path in paths:
        # A spreadsheet would work out a name that begins like a formula.
        name = f"./{path}" if str(path)[:1] in ("=", "+", "-", "@") else str(path)
        if path in by_path:
            p = by_path[path]
            yield [name, classes[int(p.argmax())], *(f"{v:.6f}" for v in p), ""]
        else:
            yield [name, "", *("" for _ in classes), reasons[path]]
