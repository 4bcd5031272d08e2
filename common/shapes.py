"""The shapes of a study's arrays, and how many bytes they make of a message."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod

from common.boosting.rules import Rules, rules_of
from common.initial_model import InitialModel
from common.statistics.counts import no_counts
from common.statistics.temperature import GRID
from common.study.compression import Compression
from common.study.personal import stays
from common.study.phases import BoosterPhase, EvaluationPhase
from common.study.schema import Study
from common.updates.coding import Way, layout

_UNCODED = Compression()
_BYTES = {"float32": 4, "float16": 2, "int64": 8, "int32": 4, "int8": 1, "uint8": 1}
_SHORT = {
    "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int8": "I8", "uint8": "U8",
}  # fmt: skip
_NODE = {"feature": "int32", "bin": "int32", "value": "float32", "hessian": "float32",
         "gain": "float32"}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Type and shape of one array."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return prod(self.shape) * _BYTES[self.dtype]


Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class ModelShapes:
    """The arrays of a study's initial model, and what its frozen fronts put out."""

    parts: Mapping[str, Shapes]
    """Of the parts `constants`, `tails`, `heads` and `fusion`."""
    activations: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Per backbone, the front's output for one view, float16; empty where it is not known."""

    @property
    def width(self) -> int:
        """Width of the concatenated features."""
        return self.parts["fusion"]["h1.weight"].shape[1]

    @property
    def view_bytes(self) -> int | None:
        """Bytes that the cache keeps of one view's activations; None where it is not known."""
        if not self.activations:
            return None
        return sum(Shape("float16", shape).nbytes for shape in self.activations.values())

    def moments(self) -> Shapes:
        """Return the shapes of the part `moments`."""
        widths = {
            name.partition("/")[0]: shape.shape[1]
            for name, shape in self.parts["heads"].items()
            if name.endswith("/weight")
        }
        return {
            f"{architecture}/{name}": Shape("float32", (width,))
            for architecture, width in widths.items()
            for name in ("mean", "scale")
        }

    def fusion_moments(self) -> Shapes:
        """Return the shapes of the part `fusion-moments`."""
        return {name: Shape("float32", (self.width,)) for name in ("mean", "scale")}


def shapes_of(initial: InitialModel) -> ModelShapes:
    """Return the shapes of an initial model."""
    return ModelShapes(
        {
            part: {name: Shape(array.dtype.name, array.shape) for name, array in arrays.items()}
            for part, arrays in initial.parts.items()
        },
        initial.activations,
    )


def block_bytes(shapes: Shapes) -> int:
    """Return the size of a block of arrays as safetensors writes it.

    Eight bytes, a JSON table of the arrays padded to a multiple of eight, and their values.
    """
    # safetensors' order: widest type first, then by name; the offsets' digits depend on it.
    ordered = sorted(shapes.items(), key=lambda item: (-_BYTES[item[1].dtype], item[0]))
    ends = [0, *accumulate(shape.nbytes for _, shape in ordered)]
    table = {
        name: {
            "dtype": _SHORT[shape.dtype],
            "shape": list(shape.shape),
            "data_offsets": [ends[i], ends[i + 1]],
        }
        for i, (name, shape) in enumerate(ordered)
    }
    written = len(json.dumps(table, separators=(",", ":")))
    return 8 + -(-written // 8) * 8 + ends[-1]


def booster_rules(study: Study, shapes: ModelShapes) -> Rules:
    """Return the rules of a study's booster."""
    settings = study.phase(BoosterPhase)
    return rules_of(
        settings,
        classes=len(study.labels.classes),
        features=study.network.h2 if settings.input == "fusion" else shapes.width,
        seed=study.seed,
    )


def forest_shapes(trees: int, nodes: int) -> Shapes:
    """Return the shapes of a forest's table.

    Args:
        trees: in all.
        nodes: of each.
    """
    columns = {name: Shape(dtype, (trees * nodes,)) for name, dtype in _NODE.items()}
    return {"sizes": Shape("int32", (trees,)), **columns}


def moment_shapes(shapes: ModelShapes) -> Shapes:
    """Return the shapes of a site's sums of features."""
    return {name: Shape("int64", (shapes.width,)) for name in ("sum", "square")}


def update_shapes(
    study: Study,
    shapes: ModelShapes,
    parts: tuple[str, ...],
    compression: Compression = _UNCODED,
    dtype: str = "float16",
) -> Shapes:
    """Return the shapes of a site's differences in some parts, as they travel.

    Float16, whatever came down, unless they are compressed.
    """
    update = {
        f"{part}/{name}": Shape(dtype, shape.shape)
        for part in parts
        for name, shape in shapes.parts[part].items()
        if not stays(study, part, name)
    }
    if compression.up == "none":
        return update
    return coded_shapes(update, compression.up, compression.share)


def coded_shapes(shapes: Shapes, way: Way, share: float = 1.0) -> Shapes:
    """Return the shapes of the arrays that a coding makes of arrays of these shapes."""
    sizes = {name: shape.shape for name, shape in shapes.items()}
    return {
        name: Shape(kind, (length,)) for name, (kind, length) in layout(sizes, way, share).items()
    }


def level_shapes(rules: Rules, level: int) -> Shapes:
    """Return the shape of a site's sums of one level, its trees grown in full."""
    nodes = 2**level
    entries = rules.trees * (nodes // 2 if rules.shares_columns and level else nodes)
    return {"sums": Shape("int64", (entries, rules.drawn, rules.levels, 2))}


def calibration_shapes() -> Shapes:
    """Return the shapes of a site's sums of log-losses."""
    return {name: Shape("int64", GRID.shape) for name in ("booster", "softmax")}


def evaluation_shapes(study: Study) -> Shapes:
    """Return the shapes of a site's counts of predictions."""
    # The counts of one replicate tell the shapes of all: those arrays alone grow with them.
    counts = no_counts(len(study.labels.classes), 1).to_arrays()
    replicates = study.phase(EvaluationPhase).replicates
    return {
        f"{classifier}/{name}": Shape(
            array.dtype.name,
            (replicates, *array.shape[1:]) if name.startswith("replicate") else array.shape,
        )
        for classifier in ("booster", "softmax")
        for name, array in counts.items()
    }
