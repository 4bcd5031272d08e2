"""A comparison as tables: on the screen, and in Markdown."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table

from common.figures import Interval, Number
from server.report.words import UNKNOWN, duration, number, signed, span
from simulations.comparing.account import Comparison, Contrast, Told

_TITLES = {"macro_f1": "macro F1", "accuracy": "accuracy"}


def title(metric: str) -> str:
    """Return a metric's name in words."""
    return _TITLES[metric]


def figure(told: Told | None) -> str:
    """Write a figure with its interval."""
    return UNKNOWN if told is None else f"{number(told.mean)}{span(told.interval)}"


def verdict(found: Contrast | None) -> str:
    """Say what a difference from the reference comes to."""
    if found is None:
        return ""
    if not found.distinguishable:
        return "not distinguishable"
    return "lower" if (found.mean or 0) > 0 else "higher"


def difference(mean: Number, interval: Interval) -> str:
    """Write a difference with its interval."""
    return f"{signed(mean)}{span(interval, signed)}"


def protocol(found: Comparison) -> str:
    """Say in a sentence or two what the figures rest on."""
    folds = (
        f"{found.of_folds} folds"
        if len(found.folds) == found.of_folds
        else f"fold {', '.join(map(str, found.folds))} of {found.of_folds}"
    )
    seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds" + (
        ", divided once" if found.same_folds else ", each with a division of its own"
    )  # fmt: skip
    held_back = (
        "each image tested by models that never saw its group"
        if found.part == "test"
        else "figures of validation images alone, on which settings may be chosen"
    )
    return (
        f"{found.images} images in {found.groups} groups "
        f"(same {', '.join(found.kept_together) or 'image'}); {folds}, {seeds}: {held_back}. "
        f"In brackets: 95 % intervals of {found.replicates} bootstrap replicates over groups; "
        "differences are paired."
    )


def rows(found: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield name, macro F1, accuracy, softmax, difference, verdict and seconds of every arm."""
    for name, arm in found.arms.items():
        gain = found.against_reference(name)
        yield (
            name,
            figure(arm.macro_f1),
            figure(arm.accuracy),
            number(arm.softmax["macro_f1"].mean) if arm.softmax else UNKNOWN,
            difference(gain.mean, gain.interval) if gain else "",
            verdict(gain),
            duration(arm.seconds) if arm.seconds else "",
        )


def headings(found: Comparison) -> tuple[str, ...]:
    """Return the headings of `rows`."""
    return (
        "arm", "macro F1", "accuracy", "softmax, macro F1",
        f"{found.reference} minus this, macro F1", f"than {found.reference}", "time, a trial",
    )  # fmt: skip


def screen(found: Comparison) -> Table:
    """Return the table for a terminal of 80 columns: intervals stand below their figures."""
    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=protocol(found), caption_justify="left"
    )
    table.add_column("arm", overflow="fold", min_width=12)
    for heading in (
        "macro F1", f"{found.reference}\nminus this", "accuracy", "softmax,\nmacro F1",
        "time,\na trial",
    ):  # fmt: skip
        table.add_column(heading, no_wrap=True)
    for name, f1, accuracy, softmax, gain, than, seconds in rows(found):
        table.add_row(
            name,
            f1.replace(" [", "\n["),
            gain.replace(" [", "\n[") + f"\n{than}" * bool(than),
            accuracy.partition(" ")[0],
            softmax,
            seconds.replace("min ", "min\n"),
        )
    return table


def markdown(found: Comparison) -> str:
    """Return the whole comparison in Markdown."""
    parts = [
        f"# {found.name}: {len(found.arms)} arms compared",
        *(["**Generated images: these figures say nothing about patients.**"] * found.synthetic),
        protocol(found),
        _markdown_table(headings(found), rows(found)),
        "## Every two arms",
        _markdown_table(
            ("first", "second", "figure", "first minus second", ""),
            (
                (one.a, one.b, title(one.metric), difference(one.mean, one.interval),
                 "" if one.distinguishable else "not distinguishable")
                for one in found.differences
            ),
        ),
        "## By fold",
        _markdown_table(
            ("arm", "macro F1 of each fold alone", "their mean"),
            (
                (name, "; ".join(", ".join(map(number, seed)) for seed in arm.macro_f1.by_fold),
                 number(arm.macro_f1.mean_of_folds))
                for name, arm in found.arms.items()
            ),
        ),
    ]  # fmt: skip
    if found.settings:
        parts += [
            "## What the variants change",
            _markdown_table(
                ("arm", "setting", "value"),
                (
                    (name, setting, str(value))
                    for name, own in found.settings.items()
                    for setting, value in own.items()
                ),
            ),
        ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(head: tuple[str, ...], body: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
