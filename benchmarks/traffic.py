"""Bytes per site and exchange of a finished run, against sending both full float32 models.

    python -m benchmarks.traffic [RUN]

RUN is a run's folder, by default runs/latest. Read from its record, in which every exchange
stands with the bytes it really carried.
"""

import re
from collections import defaultdict
from pathlib import Path
from statistics import mean

from benchmarks.ledger import Figure, Images, enter, parser
from common.model.chain import build_backbone
from common.record import read_record
from common.study.schema import Study, load_study

_OURS = re.compile(r"(?<!local_only)\.federated(\.\d+)?$")


def main() -> None:
    """Print a row per kind of exchange, and what the whole run carried."""
    made = parser(__doc__)
    made.add_argument("run", type=Path, nargs="?", default=Path("runs/latest"))
    asked = made.parse_args()
    folder: Path = asked.run
    if not (folder / "record.jsonl").is_file():
        made.error(f"{folder} holds no record; run `make simulate` first, or name a run's folder")
    study = load_study(folder / "study.yaml")
    full = _full_bytes(study)
    # The last account of an exchange counts: a resumed run may have held it twice.
    exchanges = {
        (event["phase"], event["round"], event["exchange"]): event
        for event in read_record(folder / "record.jsonl")
        if event["event"] == "exchange" and _OURS.search(event["run"])
    }
    rows: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for (phase, number, _), event in exchanges.items():
        down, up = event["bytes_down"], event["bytes_up"]
        rows[phase, _kind(study, phase, number)] += [(down[s], up.get(s, 0)) for s in down]
    sites = len(study.sites)
    names = " and ".join(backbone.architecture for backbone in study.network.backbones)
    print(f"{names}, float32: {full / 1e6:.1f} MB; of it, per site and exchange:")
    print(
        f"{'phase':12}{'kind':12}{'exchanges':>10}"
        f"{'MB down':>10}{'share':>8}{'MB up':>10}{'share':>8}"
    )
    for (phase, what), pairs in rows.items():
        down, up = (mean(pair[i] for pair in pairs) for i in (0, 1))
        print(
            f"{phase:12}{what:12}{len(pairs) // sites:>10}"
            f"{down / 1e6:>10.3f}{down / full:>8.1%}{up / 1e6:>10.3f}{up / full:>8.1%}"
        )
    total = [sum(pair[i] for pairs in rows.values() for pair in pairs) / sites for i in (0, 1)]
    rounds = sum(len(pairs) for (_, kind), pairs in rows.items() if kind in ("heads", "tails"))
    plain = rounds / sites * full
    tails = [up for (_, kind), pairs in rows.items() if kind == "tails" for _, up in pairs]
    print(
        f"whole run, per site: {total[0] / 1e6:.1f} MB down, {total[1] / 1e6:.1f} MB up; full "
        f"models in the {rounds // sites} backbone rounds alone: {plain / 1e6:.0f} MB each way, "
        f"{plain / total[0]:.1f} and {plain / total[1]:.1f} times as much"
    )
    figures = [
        Figure(name=f"whole run, per site, {way}", value=value / 1e6, unit="MB")
        for way, value in zip(("down", "up"), total, strict=True)
    ] + [
        Figure(name=f"full models in the backbone rounds over it, {way}", value=plain / value,
               unit="x")
        for way, value in zip(("down", "up"), total, strict=True)
    ]  # fmt: skip
    if tails:
        share = mean(tails) / full
        figures.append(
            Figure(name="a round of tails up, of both full models", value=share, unit="x",
                   aim="<= 0.1")
        )  # fmt: skip
    enter(asked, figures, _images(study))


def _images(study: Study) -> Images:
    return "real" if study.network.weights == "imagenet" else "generated"


def _kind(study: Study, phase: str, number: int) -> str:
    settings = next(p for p in study.phases if p.name == phase)
    if phase == "backbones":
        heads = getattr(settings, "head_rounds", 0)
        return "moments" if number == 0 else "heads" if number <= heads else "tails"
    return "moments" if phase == "fusion" and number == 0 else "every"


def _full_bytes(study: Study) -> int:
    return sum(
        tensor.numel() * 4
        for backbone in study.network.backbones
        for tensor in build_backbone(backbone, None).state_dict().values()
    )


if __name__ == "__main__":
    main()
