"""`leukofed-server plan`: what a study will take, before it is launched."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION, STUDIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.plan import Plan, SitePlan


_COLUMNS = 6  # more sites than these would not fit beside the phases


@click.command()
@click.argument("study", shell_complete=STUDIES)
@FEDERATION
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Images of a site whose census is not on record.",
)
@click.option(
    "--mbit",
    type=click.FloatRange(min=0, min_open=True),
    help="Bandwidth to the slowest site, in units of 10^6 bit/s.  [default: not counted]",
)
@click.option("--json", "as_json", is_flag=True, help="Print every figure.")
@plain_errors
def plan(study: str, federation: Path, images: int, mbit: float | None, as_json: bool) -> None:
    """Forecast minutes, bytes and disk of STUDY, per site and phase, before it is launched.

    STUDY is a study that was proposed (its name), or a folder that `leukofed-sim init-model` wrote.

    Bytes follow from the study alone, and are the most there can be: the booster's trees are taken
    to grow in full. Minutes follow from the records of this federation's runs and rehearsals: each
    site's seconds per image, the largest amount of work on record first, and what an exchange takes
    besides. In every exchange all wait for the slowest site.

    Example: leukofed-server plan trial-1 --federation /srv/leukofed
    """
    from common.errors import ConfigError
    from common.initial_model import read_initial
    from common.shapes import shapes_of
    from server.federation import Federation
    from server.plan import facts_of_runs
    from server.plan import plan as forecast
    from server.proposals import pinned_study

    found = Federation(federation)
    folder = found.studies / study if (found.studies / study).is_dir() else Path(study)
    if not (folder / "study.yaml").is_file():
        raise ConfigError(
            f"there is no study {study}, neither proposed nor as a folder",
            fix="name a proposed study, or a folder that `leukofed-sim init-model` wrote",
            local_detail=str(folder),
        )
    pinned = pinned_study(folder / "study.yaml")
    initial = read_initial(folder / "initial.safetensors", pinned.initial_model)
    made = forecast(pinned, shapes_of(initial), facts_of_runs(found), images=images, mbit=mbit)
    if as_json:
        click.echo(json.dumps(asdict(made), indent=1))
        return
    for line in _lines(made):
        click.echo(line)


def _lines(made: "Plan") -> "Iterator[str]":
    from common.columns import aligned
    from common.durations import duration
    from common.sizes import size

    first = made.sites[0]
    yield f"Study {made.study}, digest {made.digest[:12]}"
    yield ""
    shown = made.sites if len(made.sites) <= _COLUMNS else ()
    rows = [("phase", "exchanges", "time", "down", "up", *(one.name for one in shown))]
    for phase, exchanges in made.exchanges.items():
        works = (duration(one.work_s[phase]) for one in shown)
        rows.append(
            (
                phase, str(exchanges), duration(made.seconds[phase]), size(first.down[phase]),
                size(first.up[phase]), *works,
            )
        )  # fmt: skip
    rows.append(
        (
            "in all", str(sum(made.exchanges.values())), duration(sum(made.seconds.values())),
            size(sum(first.down.values())), size(sum(first.up.values())),
            *(duration(sum(one.work_s.values())) for one in shown),
        )
    )  # fmt: skip
    yield from aligned(rows, right=range(1, len(rows[0])))
    yield ""
    yield "Bytes are each site's" + ("; under a site's name stands its own work." if shown else ".")
    yield ""
    heads = ("site", "work", "images", "disk", "speed")
    yield from aligned([heads, *map(_site, made.sites)], right=(1, 2, 3))
    yield ""
    slowest = max(made.sites, key=lambda one: sum(one.work_s.values()))
    yield f"The slowest site, {slowest.name}, decides."
    source = "measured in earlier runs" if made.exchange_measured else "not measured here yet"
    yield f"An exchange takes {made.exchange_s:.1f} s besides the work ({source})."
    if made.mbit is None:
        yield "How long bytes travel is not counted; --mbit counts it."


def _site(one: "SitePlan") -> tuple[str, str, str, str, str]:
    from common.durations import duration
    from common.sizes import size

    work = duration(sum(one.work_s.values()))
    count = sum(one.images.values())
    disk = "not known" if one.disk is None else size(one.disk)
    speed = "measured" if one.speed_known else "not measured yet: as the slowest, or supposed"
    return one.name, work, f"{count}" if one.images_known else f"{count} supposed", disk, speed
