"""A dataset described: its tables on the screen, in a CSV file and as pictures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from client.data.describe import Counts, count, look_at, usable
from client.data.manifest import Example, Manifest
from client.data.pictures import draw_bars, draw_samples
from client.data.splits import PARTS, split
from client.data.tables import file_lines, screen_table, table_csv
from client.pulse import Pulse
from common.errors import DataError
from common.study.data import EVERY_IMAGE, Split
from common.study.schema import Study


@dataclass(frozen=True)
class Division:
    """A way to divide the images into the columns of a table."""

    by: str  # in a word
    places: Sequence[str]  # the column of each image
    columns: Sequence[str]  # in order
    is_shown: bool = True  # on the screen too; else it would be too wide


@dataclass(frozen=True)
class Wanted:
    """Files that are asked for besides what the screen shows."""

    csv: Path | None = None
    picture: Path | None = None
    samples: Path | None = None


Divide = Callable[[Sequence[Example]], Sequence[Division]]


def show(
    manifest: Manifest, classes: Sequence[str], divide: Divide, wanted: Wanted, console: Console
) -> None:
    """Read every image, and tell what there is.

    Args:
        manifest: as read; its labels are indices into `classes`.
        classes: the labels' names.
        divide: says where each image belongs, of those that can be used.
        wanted: files to write; the picture shows the first division.
        console: the screen.

    Raises:
        DataError: an image cannot be read from disk, the images do not divide, or a file cannot be
            written.
    """
    with _progress(console, len(manifest.examples)) as (digested, decoded):
        examples, excluded = usable(manifest, digested, decoded)
    divisions = divide(examples)
    tables = {
        one.by: count(examples, one.places, classes, one.columns) for one in divisions
    }  # fmt: skip
    groups = len({example.group for example in examples})
    for one in divisions:
        if one.is_shown:
            title = f"{len(examples)} images in {groups} groups" + f", by {one.by}" * bool(
                one.columns
            )
            console.print(screen_table(tables[one.by], title))
    grouping = manifest.grouped_by
    console.print(
        f"grouped by: {grouping}"
        + (" (no column of the manifest groups the images)" * (grouping == EVERY_IMAGE)),
        highlight=False,
    )
    for line in file_lines(look_at(examples), excluded):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    _write(wanted, tables, examples, classes, console)


def by_part(examples: Sequence[Example], study: Study | None, site: str | None) -> list[Division]:
    """Divide by part: as the manifest says, else as a study draws at a site, else not at all."""
    if site is not None and study is not None:
        parts = split(examples, study.data.split, study.seed, site)
    elif any(example.split for example in examples):
        parts = split(examples, Split(), 0, "")
    else:
        return [Division("class", [""] * len(examples), ())]
    part_of = {example.image: part for part, found in parts.items() for example in found}
    return [Division("part", [part_of[example.image] for example in examples], PARTS)]


def _write(
    wanted: Wanted,
    tables: dict[str, Counts],
    examples: Sequence[Example],
    classes: Sequence[str],
    console: Console,
) -> None:
    if wanted.csv is not None:
        try:
            wanted.csv.write_text(table_csv(tables), encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"the table cannot be written: {error.strerror}",
                fix="name another file, in a folder that exists and has room",
                local_detail=str(wanted.csv),
            ) from error
    if wanted.picture is not None:
        by, counts = next(iter(tables.items()))
        title = "Images by class" + f" and {by}" * (len(counts.columns) > 1)
        draw_bars(counts, wanted.picture, title)
    if wanted.samples is not None:
        draw_samples(examples, classes, wanted.samples)
        console.print(f"{wanted.samples} shows images: it must not leave this machine")


@contextmanager
def _progress(console: Console, images: int) -> Iterator[tuple[Pulse, Pulse]]:
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        digests = progress.add_task("files digested", total=images)
        pixels = progress.add_task("images decoded", total=images)
        yield lambda: progress.advance(digests), lambda: progress.advance(pixels)
