"""Where the time of a whole run goes: by arm and phase, by room of the code, and as a picture.

`leukofed-sim run` under py-spy, which looks at its threads many times a second from outside, and
does not stop them for it: a few looks are blurred, and the run takes no longer. Arms are told by
the run's own stopwatch, phases by its record, rooms by the innermost frame of ours in each look;
the picture shows the stacks of these frames, wide as they are frequent.

    python -m benchmarks.where_time_goes
    python -m benchmarks.where_time_goes --scenario taleqani-3-sites --data DIR --weights DIR

Every run begins without a cache. `--keep FOLDER` keeps it, its cache and the looks.
Where a container forbids looking at processes, py-spy says so.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
from matplotlib import pyplot

from benchmarks.clock import alone
from benchmarks.ledger import Figure, enter, parser, with_images
from common.record import read_record

OURS = re.compile(r"^(client|common|server|simulations)/")
_FRAME = re.compile(r"^(?P<function>.+) \((?P<file>[^():]+)(?::\d+)?\)$")
_ARM = re.compile(r"(?<!local_only)\.federated(\.\d+)?$")
_SHOWN, _LABELLED = 0.004, 0.045  # shares of the width
_ROOMS = 12
Stack = tuple[str, ...]


@dataclass
class Node:
    """A frame, how often it was seen, and the frames that were seen within it."""

    count: int = 0
    below: dict[str, "Node"] = field(default_factory=dict)


def main() -> None:
    """Run, read, tell, draw."""
    made = with_images(parser(__doc__))
    made.add_argument("--scenario", default="synthetic", help="a file, or one that ships")
    made.add_argument("--picture", type=Path, help="draw the stacks here, SVG or PNG")
    made.add_argument("--keep", type=Path, help="keep the run and the looks here")
    made.add_argument("--rate", type=int, default=20, help="looks a second")
    asked = made.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        _run(asked, folder)
        stacks = read_stacks((folder / "looks.txt").read_text(encoding="utf-8").splitlines())
        figures = [*_by_arm(folder / "runs" / "latest"), *_by_room(stacks)]
        if asked.picture:
            draw(stacks, asked.picture)
    enter(asked, figures, "real" if asked.data else "generated")


def _run(asked: argparse.Namespace, folder: Path) -> None:
    binaries = Path(sys.executable).parent
    shutil.rmtree(folder / "runs", ignore_errors=True)
    images = [x for option in ("data", "weights") if (given := getattr(asked, option))
              for x in (f"--{option}", given)]  # fmt: skip
    alone(
        [binaries / "py-spy", "record", "--format", "raw", "--function", "--rate", asked.rate,
         "--nonblocking",
         "--output", folder / "looks.txt", "--", binaries / "leukofed-sim", "run", asked.scenario,
         *images, "--out", folder / "runs"]
    )  # fmt: skip


def read_stacks(lines: Iterable[str]) -> Counter[Stack]:
    """Count the looks by their frames of ours, outermost first; others fall to those around them.

    Args:
        lines: `FRAME;FRAME;... COUNT` each, as py-spy writes them.
    """
    found: Counter[Stack] = Counter()
    for line in lines:
        frames, _, count = line.rpartition(" ")
        named = [m for frame in frames.split(";") if (m := _FRAME.match(frame))]
        ours = (f"{m['file']}: {m['function']}" for m in named if OURS.match(m["file"]))
        stack = tuple(ours)
        if stack:
            found[stack] += int(count)
    return found


def _by_arm(run: Path) -> list[Figure]:
    seconds = json.loads((run / "seconds.json").read_bytes())
    total = seconds.pop("total")
    figures = [
        Figure(name="whole run, all arms", value=total / 60, unit="min", aim="<= 15"),
        *(Figure(name=f"arm: {name}", value=spent, unit="s") for name, spent in seconds.items()),
    ]
    phases: dict[str, float] = defaultdict(float)
    for event in read_record(run / "record.jsonl"):
        if event["event"] == "exchange" and _ARM.search(event["run"]):
            phases[event["phase"]] += float(event["seconds"])
    return figures + [
        Figure(name=f"federated, {phase}", value=spent, unit="s") for phase, spent in phases.items()
    ]


def _by_room(stacks: Counter[Stack]) -> list[Figure]:
    rooms: Counter[str] = Counter()
    for stack, count in stacks.items():
        rooms[stack[-1].partition(":")[0]] += count
    return [
        Figure(name=f"in `{room}`", value=100 * count / stacks.total(), unit="% of looks")
        for room, count in rooms.most_common(_ROOMS)
    ]


def tree(stacks: Counter[Stack]) -> Node:
    """Put the stacks together from their outermost frames on."""
    root = Node()
    for stack, count in stacks.items():
        node = root
        node.count += count
        for frame in stack:
            node = node.below.setdefault(frame, Node())
            node.count += count
    return root


def draw(stacks: Counter[Stack], path: Path) -> None:
    """Draw the stacks as bars, each above the frame that called it."""
    matplotlib.use("Agg")
    root = tree(stacks)
    figure, axes = pyplot.subplots(figsize=(12, 7))
    deepest = _bars(axes, root, 0.0, 0, root.count, pyplot.get_cmap("Set3").colors)  # type: ignore[attr-defined]
    axes.set(xlim=(0, 1), ylim=(0, deepest + 1), yticks=[], xlabel="share of all looks")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _bars(
    axes: pyplot.Axes,  # type: ignore[name-defined]
    node: Node,
    left: float,
    depth: int,
    total: int,
    colours: Sequence[tuple[float, ...]],
) -> int:
    """Draw what lies below a node, from `left` on; return the greatest depth."""
    deepest = depth
    for frame, child in sorted(node.below.items(), key=lambda item: -item[1].count):
        width = child.count / total
        if width >= _SHOWN:
            room = frame.partition(":")[0]
            colour = colours[sum(map(ord, room)) % len(colours)]
            axes.barh(depth + 0.5, width, 0.94, left, color=colour, edgecolor="white")
            if width >= _LABELLED:
                function = frame.rpartition(": ")[2]
                text = f"{Path(room).stem}.{function}"[: int(width * 150)]
                axes.text(left + width / 2, depth + 0.5, text, ha="center", va="center", size=6)
            deepest = max(deepest, _bars(axes, child, left, depth + 1, total, colours))
        left += width
    return deepest


if __name__ == "__main__":
    main()
