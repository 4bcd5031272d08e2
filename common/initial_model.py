"""The initial model's file: named arrays by part, which the coordinator reads without torch.

Beside the arrays that travel it records the digests of the frozen fronts, which every site must
prove in the census. The fronts themselves lie in a second file, for the release.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from common.digests import digest_arrays, digest_value
from common.errors import CorruptFile
from common.parts import Arrays, by_part, flattened
from common.whole_file import write_whole

PARTS = ("constants", "tails", "heads", "fusion")


@dataclass(frozen=True, eq=False)
class InitialModel:
    """Round 0: arrays by part, and the digest of each backbone's frozen front."""

    parts: Mapping[str, Arrays]
    fronts: Mapping[str, str]
    activations: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Per backbone, the shape of what its front puts out for one view: for forecasts, and so
    outside the digest; files of older versions do not tell it."""

    @property
    def digest(self) -> str:
        """SHA-256 over parts and fronts; a study pins it as `initial_model`."""
        return digest_value(
            [{name: digest_arrays(arrays) for name, arrays in self.parts.items()},
             dict(self.fronts)]
        )  # fmt: skip


def write_initial(path: Path, model: InitialModel) -> None:
    """Write the one initial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # safetensors would write the memory of a strided view as it lies
    flat = {name: np.asarray(a, order="C") for name, a in flattened(model.parts).items()}
    told = {"fronts": dict(model.fronts), "activations": dict(model.activations)}
    metadata = {name: json.dumps(facts, sort_keys=True) for name, facts in told.items()}
    write_whole(path, save(flat, metadata=metadata))


def read_initial(path: Path, digest: str | None = None) -> InitialModel:
    """Read an initial file and check it against the study's digest.

    Raises:
        CorruptFile: it is missing, unreadable, or not the one the study pins.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            fronts = dict(json.loads(metadata["fronts"]))
            activations = {
                str(name): tuple(map(int, shape))
                for name, shape in json.loads(metadata.get("activations", "{}")).items()
            }
        flat = load_file(path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CorruptFile(
            "the initial model cannot be read",
            fix="make it again with `leukofed-sim init-model STUDY`",
            local_detail=str(path),
        ) from error
    empty: dict[str, Arrays] = {name: {} for name in PARTS}
    model = InitialModel(empty | by_part(flat), fronts, activations)
    if digest not in (None, model.digest):
        raise CorruptFile(
            f"the initial model has digest {model.digest[:12]}, the study wants {str(digest)[:12]}",
            fix="use the file that was made with the study",
            local_detail=str(path),
        )
    return model


def read_fronts(path: Path, digests: Mapping[str, str]) -> Arrays:
    """Read the frozen fronts and check them against the initial model's digests.

    Args:
        path: the file beside the initial one.
        digests: per backbone, as `InitialModel.fronts` says.

    Returns:
        The fronts' tensors, `ARCHITECTURE/NAME`.

    Raises:
        CorruptFile: it is missing, unreadable, or not what the initial model was made for.
    """
    try:
        fronts = load_file(path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CorruptFile(
            "the frozen fronts cannot be read",
            fix="make them again with `leukofed-sim init-model STUDY`",
            local_detail=f"{path}: {error}",
        ) from error
    found = {name: digest_arrays(arrays) for name, arrays in by_part(fronts).items()}
    if found != dict(digests):
        raise CorruptFile(
            "the frozen fronts are not those that the initial model was made for",
            fix="use the file that was made with the initial model",
            local_detail=str(path),
        )
    return fronts
