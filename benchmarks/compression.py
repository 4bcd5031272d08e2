"""Bytes of an update against macro-F1: compressed studies beside the same studies uncompressed.

    python benchmarks/compression.py                                            # generated smears
    python benchmarks/compression.py --data DIR --weights DIR --images 600      # real images

Every seed divides the images anew and begins with another model; all codings of a seed have the
same of both, so their differences are paired. What is measured is kept in OUT/compression.json and
gone on with; the table and OUT/compression.png are made of it.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from common.asks import TRAINED
from common.columns import aligned
from common.initial_model import read_initial
from common.metrics import load_metrics
from common.model.chain import build_backbone
from common.record import read_record
from common.study.compression import Compression
from common.study.schema import Study
from common.whole_file import write_whole
from server.course import FEDERATED
from server.progress import progress_for
from simulations.prepare import Places
from simulations.run import simulate
from simulations.scenario import Scenario, SyntheticData, load_scenario
from simulations.synthetic import SyntheticSettings

CODINGS = {
    "none": Compression(),
    "int8": Compression(up="int8"),
    "int8 both ways": Compression(up="int8", down="int8"),
    "topk 10 %": Compression(up="topk", share=0.1),
    "topk 1 %": Compression(up="topk", share=0.01),
}
_BYTES = ("tails_up", "tails_down", "up", "down")
Measured = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not measured yet, then print the table and draw the picture."""
    wanted = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    wanted.out.mkdir(parents=True, exist_ok=True)
    scenario, study = _scenario(wanted.data)
    data = wanted.data and _subset(wanted.data, wanted.images, wanted.out / "images")
    places = Places(data, wanted.weights, wanted.out, wanted.out / "cache")
    kept = wanted.out / "compression.json"
    measured: dict[str, Measured] = json.loads(kept.read_text()) if kept.is_file() else {}
    with progress_for(console) as watch:
        for seed in range(1, wanted.seeds + 1):
            for name in wanted.codings or CODINGS:
                changes = {"seed": seed, "compression": CODINGS[name]}
                changed = study.model_copy(update=changes)
                key = f"{name}, seed {seed}, {changed.digest[:12]}, {wanted.images or 'all'}"
                if key not in measured:
                    watch.note(key)
                    run = simulate(scenario, changed, places, watch, fresh=False)
                    found = _figures(run.path, changed)
                    measured[key] = {"coding": name, "seed": seed, **found}
                    write_whole(kept, json.dumps(measured, indent=1).encode())
    console.print(*_table(list(measured.values())), sep="\n")
    _draw(list(measured.values()), wanted.out / "compression.png")
    console.print(f"{kept.parent / 'compression.png'}, {kept}")


def _scenario(data: Path | None) -> tuple[Scenario, Study]:
    found, study = load_scenario("synthetic" if data is None else "taleqani-3-sites")
    changes: dict[str, Any] = {"arms": (FEDERATED,)}
    if data is None:
        # Small pictures, and as many to test on as to train on: what is compared is bytes.
        smaller = SyntheticSettings(test=6, fields=2, size=64)
        changes["data"] = SyntheticData(kind="synthetic", settings=smaller)
        study = study.model_copy(update={"imaging": study.imaging.model_copy(update={"size": 64})})
    return found.model_copy(update=changes), study


def _subset(data: Path, images: int | None, folder: Path) -> Path:
    """Make a folder that shows every n-th image of the data, in the manifest's order."""
    if images is None:
        return data
    folder.mkdir(exist_ok=True)
    for entry in data.iterdir():
        link = folder / entry.name
        if entry.is_dir() and not link.exists():
            link.symlink_to(entry.resolve())
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:: max(1, len(rows) // images)])
    return folder


def _figures(run: Path, study: Study) -> dict[str, float | None]:
    """Return what a run carried, in bytes per site, and what its model scored."""
    exchanges = [e for e in read_record(run / "record.jsonl") if e["event"] == "exchange"]
    last = max(e["round"] for e in exchanges if e["phase"] == "backbones")
    (tails,) = (e for e in exchanges if (e["phase"], e["round"]) == ("backbones", last))
    metrics = load_metrics(run / "metrics.json")
    parts = read_initial(run / "initial.safetensors").parts
    trained = sum(array.size for part in TRAINED["tails"] for array in parts[part].values())
    sites = len(study.sites)
    return {
        "macro_f1": metrics.arms.federated.macro_f1,
        # Of the model that the last round began with, in nats: it tells more than few images' F1.
        "validation_loss": metrics.curves["fusion"][-1].validation_loss,
        "tails_up": mean(tails["bytes_up"].values()),
        "tails_down": mean(tails["bytes_down"].values()),
        "up": sum(sum(e["bytes_up"].values()) for e in exchanges) / sites,
        "down": sum(sum(e["bytes_down"].values()) for e in exchanges) / sites,
        "full": _full_bytes(study),
        "trained": trained,
    }


def _full_bytes(study: Study) -> int:
    """Return the bytes of both whole networks in float32: what FedAvg without cuts would send."""
    return sum(
        tensor.numel() * 4
        for backbone in study.network.backbones
        for tensor in build_backbone(backbone, None).state_dict().values()
    )


def _by_coding(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = defaultdict(list)
    for one in sorted(measured, key=lambda one: list(CODINGS).index(one["coding"])):
        found[one["coding"]].append(one)
    return found


def _table(measured: Sequence[Measured]) -> list[str]:
    """Set out means over the seeds; differences from `none` are of the same seed."""
    plain = {one["seed"]: one for one in measured if one["coding"] == "none"}
    full = measured[0]["full"]
    heading = (
        "coding", "seeds", "MB up", "of full", "MB down", "run up", "run down", "macro-F1",
        "minus none", "fusion's loss minus none",
    )  # fmt: skip
    rows = [heading]
    for name, ones in _by_coding(measured).items():
        up, down, run_up, run_down = (mean(one[key] for one in ones) for key in _BYTES)
        score, loss = (
            _spread([one[key] - plain[one["seed"]][key] for one in ones if one["seed"] in plain])
            for key in ("macro_f1", "validation_loss")
        )
        rows.append((
            name, str(len(ones)), f"{up / 1e6:.3f}", f"{up / full:.2%}", f"{down / 1e6:.3f}",
            f"{run_up / 1e6:.2f}", f"{run_down / 1e6:.2f}",
            f"{mean(one['macro_f1'] for one in ones):.4f}", score, loss,
        ))  # fmt: skip
    return [
        f"Per site: MB up and down in a tail round, and in the whole run. Both full float32 "
        f"models: {full / 1e6:.2f} MB; {measured[0]['trained'] / 1e6:.2f}M values are trained.",
        *aligned(rows, right=range(1, len(heading))),
    ]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{mean(values):+.4f} [{min(values):+.4f}, {max(values):+.4f}]"


def _draw(measured: Sequence[Measured], file: Path) -> None:
    """Draw macro-F1 over the bytes of a tail round's update: a point per seed, a line per mean."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for marker, (name, ones) in zip("osD^v", _by_coding(measured).items(), strict=False):
        shares = [one["tails_up"] / one["full"] for one in ones]
        scores = [one["macro_f1"] for one in ones]
        (points,) = axes.plot(shares, scores, marker, alpha=0.5, label=name)
        axes.plot([mean(shares)], [mean(scores)], "_", ms=24, mew=2.5, color=points.get_color())
    axes.axvline(0.1, color="0.7", linestyle=":")
    axes.set(
        xscale="log", xlabel="bytes up in a tail round, of both full float32 models",
        ylabel="macro-F1 on the held-back images",
    )  # fmt: skip
    axes.legend()
    figure.savefig(file, dpi=150)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, help="folder of the real images; by default smears are generated")
    add("--weights", type=Path, help="folder of pre-trained weights")
    add("--images", type=int, help="about how many of the real images to use")
    add("--seeds", type=int, default=3, help="how many")
    add("--codings", nargs="+", choices=list(CODINGS), help="some; by default all")
    add("--out", type=Path, default=Path("runs/compression"), help="folder of runs and results")
    return parser


if __name__ == "__main__":
    main()
