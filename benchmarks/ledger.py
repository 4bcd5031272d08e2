"""The measured figures of all programs of this folder: benchmarks/results.json, and its tables.

A program prints its figures as it goes, and with `--results FILE` enters them: its whole entry is
replaced, the others stay as they are, each with its own date, machine and versions. `make docs`
makes the tables of docs/performance.md from the file.
"""

import argparse
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from common.study.strict import Strict
from common.whole_file import write_whole

RESULTS = Path(__file__).parent / "results.json"
Images = Literal["none", "generated", "real"]
Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
_PACKAGES = ("torch", "numpy", "xgboost", "flwr")
_FLAGS = {"amx_tile": "AMX", "avx512_bf16": "AVX512-BF16", "avx512f": "AVX512", "avx2": "AVX2"}


class Figure(Strict):
    """One measured number."""

    name: str
    value: float
    unit: str
    aim: str = ""


class Entry(Strict):
    """What one program measured last."""

    command: str
    date: str
    machine: str
    versions: str
    images: Images
    figures: tuple[Figure, ...]


_FILE = TypeAdapter(dict[str, Entry])


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a program's parser, which knows where its figures are to be entered."""
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    made.add_argument("--results", type=Path, metavar="FILE", help="enter the figures here, too")
    return made


def with_images(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let a program take real images and weights; without them it generates smears."""
    made.add_argument("--data", type=Path, help="folder of real images, with a manifest.csv")
    made.add_argument("--weights", type=Path, help="folder of ImageNet weights")
    return made


def enter(asked: argparse.Namespace, figures: Sequence[Figure], images: Images = "none") -> None:
    """Print figures, and enter them where the command asked for it.

    Figures of real images are not replaced by those of generated ones: they would be others.

    Args:
        asked: what the program's parser returned.
        figures: of this program, all of them.
        images: what they were measured on.
    """
    for figure in figures:
        aim = f"  (aim {figure.aim})" if figure.aim else ""
        print(f"{figure.name}: {shown(figure)}{aim}", flush=True)
    if asked.results is None:
        return
    program = Path(sys.argv[0]).stem
    kept = read(asked.results)
    if program in kept and kept[program].images == "real" and images != "real":
        print(
            f"{program}: the figures of {kept[program].date}, of real images, are left as they are"
        )
        return
    kept[program] = Entry(
        command=_command(), date=datetime.now(UTC).date().isoformat(), machine=_machine(),
        versions=_versions(), images=images, figures=tuple(figures),
    )  # fmt: skip
    write_whole(asked.results, _FILE.dump_json(dict(sorted(kept.items())), indent=1) + b"\n")


def read(path: Path) -> dict[str, Entry]:
    """Return the entries of a file of results by program; none if there is no file."""
    return _FILE.validate_json(path.read_bytes()) if path.exists() else {}


def shown(figure: Figure) -> str:
    """Return a figure with three digits that count, those without a unit with three decimals."""
    digits = 0 if abs(figure.value) >= 100 else 1 if abs(figure.value) >= 10 else 2
    small = 0 < abs(figure.value) < 0.1
    if not figure.unit:
        return f"{figure.value:.3f}"
    number = f"{figure.value:.2g}" if small else f"{figure.value:.{digits}f}"
    return f"{number} {figure.unit}"


def figure_rows(entries: dict[str, Entry]) -> Rows:
    """Return head and rows of the table of figures."""
    machines = _machines(entries)
    rows: list[tuple[str, ...]] = [
        (
            f"`{program}`" if number == 0 else "",
            figure.name,
            shown(figure),
            figure.aim,
            f"{entry.date}, {machines[entry.machine, entry.versions]}" if number == 0 else "",
        )
        for program, entry in entries.items()
        for number, figure in enumerate(entry.figures)
    ]
    return ("program", "figure", "measured", "aim", "when, where"), rows


def command_rows(entries: dict[str, Entry]) -> Rows:
    """Return head and rows of the table of commands: what measured each program's figures."""
    rows: list[tuple[str, ...]] = [
        (f"`{program}`", f"`{entry.command}`", entry.images) for program, entry in entries.items()
    ]
    return ("program", "command", "images"), rows


def machine_rows(entries: dict[str, Entry]) -> Rows:
    """Return head and rows of the table of machines, each under its letter."""
    rows: list[tuple[str, ...]] = [(letter, *key) for key, letter in _machines(entries).items()]
    return ("", "machine", "versions"), rows


def _machines(entries: dict[str, Entry]) -> dict[tuple[str, str], str]:
    found = dict.fromkeys((entry.machine, entry.versions) for entry in entries.values())
    return {key: chr(ord("A") + number) for number, key in enumerate(found)}


def _command() -> str:
    """Return this command as one can give it, without the folders of this machine."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if word == "--results":
            next(words)
        elif word in ("--data", "--weights"):
            next(words)
            kept += [word, "DIR"]
        else:
            kept.append(Path(word).name if Path(word).is_absolute() else word)
    return shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *kept])


def _machine() -> str:
    """Name the processor, what it can do, its cores and the memory."""
    name, features = platform.machine(), ""
    information = Path("/proc/cpuinfo")
    if information.exists():
        text = information.read_text(encoding="utf-8")
        named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
        name = named[1] if named else name
        features = next((f", {word}" for flag, word in _FLAGS.items() if f" {flag}" in text), "")
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}{features}, {os.cpu_count()} cores, {gigabytes:.0f} GiB"


def _versions() -> str:
    packages = (f"{name} {version(name)}" for name in _PACKAGES)
    return ", ".join([f"Python {platform.python_version()}", *packages])
