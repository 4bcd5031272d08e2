"""What a study will take: its exchanges, the bytes of each, disk and time at a site.

What is assumed: every site stays to the end and no exchange is repeated; the booster's trees grow
in full, so that its sums and trees are the most there can be. Where a later exchange needs what an
earlier one computed, the cache still holds it. Of the booster by `cyclic` every turn is counted as
the one site's; what passes between the sites of a `collective` is not counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.asks import (
    CONTROL,
    TRAINED,
    BoosterTold,
    CalibrationTold,
    CensusTold,
    CollectiveTold,
    EvaluationTold,
    FitTold,
    MomentsTold,
    Part,
    Told,
    TreesTold,
    work_of,
)
from common.boosting.rules import Rules
from common.log_head import EMPTY, with_head
from common.parts import Arrays
from common.planned import CERTIFICATE, Planned, planned_exchanges
from common.shapes import (
    ModelShapes,
    Shape,
    Shapes,
    block_bytes,
    booster_rules,
    calibration_shapes,
    coded_shapes,
    evaluation_shapes,
    forest_shapes,
    level_shapes,
    moment_shapes,
    update_shapes,
)
from common.study.phases import BackbonesPhase, BoosterPhase, EvaluationPhase
from common.study.schedule import needed_parts
from common.study.schema import Study
from common.wire import Reply, Request, Step, encode_reply, encode_request

Images = Mapping[Part, int]
"""A site's images by part."""
PARTS: tuple[Part, ...] = ("train", "validation", "test")

_EVERY_TRAINED = {part for parts in TRAINED.values() for part in parts}
_NO_DIGEST = "0" * 64
_EMPTY_BLOCK = block_bytes({})
_COUNT = 5000  # a number of usual length, in the messages whose size is worked out
_SOFTWARE = dict.fromkeys(
    ("leukofed", "torch", "torchvision", "timm", "xgboost", "numpy"), "10.20.30"
)


@dataclass(frozen=True)
class Traffic:
    """An exchange, and its bytes at one site."""

    planned: Planned
    down: int
    up: int


def traffic(study: Study, shapes: ModelShapes) -> list[Traffic]:
    """Work out the bytes that each exchange carries to and from one site."""
    versions: dict[str, int] = {}
    held: dict[str, int] = {}
    found = []
    for planned in planned_exchanges(study):
        for part in planned.renewed:
            versions[part] = versions.get(part, 0) + 1
        needed = needed_parts(study, planned.ask)
        travelling = [part for part in needed if held.get(part) != versions.get(part, 0)]
        steps = [part for part in travelling if held.get(part) == versions.get(part, 0) - 1]
        held |= {part: versions.get(part, 0) for part in needed}
        down = _request_bytes(study, shapes, planned, travelling, steps)
        found.append(Traffic(planned, down, _reply_bytes(study, shapes, planned)))
    return found


def shared_out(images: int, study: Study) -> Images:
    """Share out a site's images among the parts, as the study's split does."""
    split = study.data.split
    validation, test = round(images * split.validation), round(images * split.test)
    return {"train": images - validation - test, "validation": validation, "test": test}


def cache_bytes(study: Study, shapes: ModelShapes, images: Images) -> int | None:
    """Return the disk that a site's cache needs in the end; None where shapes do not tell.

    Activations of every view, float16, and the features, float32, of the initial tails and of the
    final ones. (Features of the tails in between are not kept; prepared images are, but only in
    room to spare.)
    """
    if shapes.view_bytes is None:
        return None
    training = images["train"] * study.phase(BackbonesPhase).views
    held_back = (images["validation"] + images["test"]) * study.phase(EvaluationPhase).views
    features = 4 * shapes.width
    rows = training + held_back
    return rows * (shapes.view_bytes + features) + (training + images["validation"]) * features


def amount_of_work(planned: Planned, study: Study, images: Images) -> int:
    """Return how many images, or views of them, an exchange has a site work on; at least 1."""
    ask, views = planned.ask, study.phase(BackbonesPhase).views
    if ask.kind == "census":
        amount = sum(images.values())
    elif ask.kind == "evaluation":
        amount = images[ask.part] * study.phase(EvaluationPhase).views
    elif ask.kind == "calibration":
        amount = images["validation"] * study.phase(EvaluationPhase).views
    elif ask.kind == "fit" and ask.stage == "tails":
        amount = images["train"] * study.phase(BackbonesPhase).tail_epochs
    elif planned.phase == "fusion" and ask.kind == "moments":
        amount = images["train"]
    else:
        amount = images["train"] * views
    return max(1, amount)


def paced_as(study: Study) -> Iterator[tuple[Planned, str]]:
    """Yield every exchange with a name for its kind of work; equal names cost alike.

    The first round of a kind stands apart: it computes what later ones find in the cache.
    """
    seen = set()
    for planned in planned_exchanges(study):
        name = work_of(planned.ask)
        if planned.ask.kind == "moments":
            yield planned, f"{name} {planned.phase}"
        elif planned.ask.kind == "evaluation":
            yield planned, f"{name} {planned.ask.part}"
        else:
            again = " again" if name in seen else ""
            yield planned, f"{name}{again}"
        seen.add(name)


def _step(study: Study, planned: Planned) -> Step:
    return Step(
        study=_NO_DIGEST,
        run=f"{study.name}-20260101-120000.federated",
        phase=planned.phase,
        round=planned.round,
        exchange=planned.exchange,
        site=max(study.sites, key=len),
    )


def _request_bytes(
    study: Study,
    shapes: ModelShapes,
    planned: Planned,
    travelling: Sequence[str],
    steps: Sequence[str],
) -> int:
    """Return the bytes of a request; of `steps` the site holds the version before."""
    parts = dict.fromkeys(needed_parts(study, planned.ask), _NO_DIGEST)
    # The names of what travels stand in the header; empty parts put nothing into the block.
    nothing: dict[str, Arrays] = {part: {} for part in travelling}
    is_coded = study.compression.down == "int8"
    coded = [part for part in steps if part in _EVERY_TRAINED and is_coded]
    since = dict.fromkeys(coded, _NO_DIGEST)
    empty = Request(_step(study, planned), planned.ask, parts, nothing, since)
    arrays: dict[str, Shape] = {}
    for part in travelling:
        whole = _part_shapes(study, shapes, planned, part)
        sent = coded_shapes(whole, "int8") if part in coded else whole
        arrays |= {f"{part}/{name}": shape for name, shape in sent.items()}
    return len(encode_request(empty)) - _EMPTY_BLOCK + block_bytes(arrays)


def _part_shapes(study: Study, shapes: ModelShapes, planned: Planned, part: str) -> Shapes:
    if part == "moments":
        return shapes.moments()
    if part == "fusion-moments":
        return shapes.fusion_moments()
    if part == CONTROL and planned.ask.kind == "fit":
        return update_shapes(study, shapes, TRAINED[planned.ask.stage], dtype="float32")
    rules = booster_rules(study, shapes)
    if part == "booster":
        settings = study.phase(BoosterPhase)
        grown = planned.round - 1 if planned.phase == "booster" else settings.rounds
        grown *= len(study.sites) if settings.mode == "bagging" else 1
        return _full_forest(rules, grown)
    if part == "booster-partial":
        return forest_shapes(rules.trees, 2 ** (planned.exchange + 1) - 1)
    return shapes.parts[part]


def _reply_bytes(study: Study, shapes: ModelShapes, planned: Planned) -> int:
    told, arrays = _answer(study, shapes, planned)
    empty = Reply(_step(study, planned), _NO_DIGEST, "done", told, seconds=12.345678901234567)
    body = len(encode_reply(empty)) - _EMPTY_BLOCK + block_bytes(arrays)
    return len(with_head(b"", EMPTY)) + body


def _answer(study: Study, shapes: ModelShapes, planned: Planned) -> tuple[Told, Shapes]:
    ask = planned.ask
    match ask.kind:
        case "census":
            return _census(study), {}
        case "moments":
            return MomentsTold(examples=_COUNT), moment_shapes(shapes)
        case "fit":
            told = FitTold(
                examples=_COUNT, loss_sum=1234.5678901234567, validation_examples=_COUNT,
                validation_correct=_COUNT, validation_loss_sum=1234.5678901234567,
            )  # fmt: skip
            trained = TRAINED[ask.stage]
            update = dict(update_shapes(study, shapes, trained, study.compression))
            if CONTROL in needed_parts(study, ask):
                control = update_shapes(study, shapes, trained)
                update |= {f"{CONTROL}/{name}": shape for name, shape in control.items()}
            return told, update
        case "booster":
            rules = booster_rules(study, shapes)
            return BoosterTold(examples=_COUNT), level_shapes(rules, ask.level)
        case "trees":
            rules = booster_rules(study, shapes)
            return TreesTold(examples=_COUNT), _full_forest(rules, 1)
        case "collective":
            if ask.stage == "finish":
                rounds = study.phase(BoosterPhase).rounds
                forest = _full_forest(booster_rules(study, shapes), rounds)
                return CollectiveTold(examples=_COUNT), forest
            certificate = "c" * CERTIFICATE if ask.stage == "join" else None
            return CollectiveTold(examples=_COUNT, certificate=certificate), {}
        case "calibration":
            return CalibrationTold(examples=_COUNT), calibration_shapes()
        case "evaluation":
            return EvaluationTold(examples=_COUNT, withheld=()), evaluation_shapes(study)


def _full_forest(rules: Rules, rounds: int) -> Shapes:
    return forest_shapes(rounds * rules.trees, 2 ** (rules.depth + 1) - 1)


def _census(study: Study) -> CensusTold:
    counts = dict.fromkeys(study.labels.classes, _COUNT)
    return CensusTold(
        examples=dict.fromkeys(PARTS, counts),
        withheld=dict.fromkeys(PARTS, ()),
        fewest_examples=5,
        groups=dict.fromkeys(PARTS, _COUNT),
        grouped_by="patient",
        excluded={},
        weights={backbone.architecture: _NO_DIGEST for backbone in study.network.backbones},
        software=_SOFTWARE,
        numerics={
            "device": "cuda:0",
            "precision": "bfloat16",
            "channels_last": True,
            "threads": 16,
        },
    )
