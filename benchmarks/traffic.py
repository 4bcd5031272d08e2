"""Bytes per site and exchange of a finished run, against sending both full float32 models.

    python benchmarks/traffic.py runs/latest

Read from the run's record, in which every exchange stands with the bytes it really carried.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import mean

from common.model.chain import build_backbone
from common.record import read_record
from common.study.schema import Study, load_study


def main() -> None:
    """Print a row per kind of exchange, and what the whole run carried."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run's folder")
    folder: Path = parser.parse_args().run
    study = load_study(folder / "study.yaml")
    full = _full_bytes(study)
    rows: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for event in read_record(folder / "record.jsonl"):
        if event["event"] == "exchange" and ".federated" in event["run"]:
            kind = (event["phase"], _kind(study, event["phase"], event["round"]))
            down, up = event["bytes_down"], event["bytes_up"]
            rows[kind] += [(down[site], up.get(site, 0)) for site in down]
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
    print(
        f"whole run, per site: {total[0] / 1e6:.1f} MB down, {total[1] / 1e6:.1f} MB up; full "
        f"models in the {rounds // sites} backbone rounds alone: {plain / 1e6:.0f} MB each way, "
        f"{plain / total[0]:.1f} and {plain / total[1]:.1f} times as much"
    )


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
