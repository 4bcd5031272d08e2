"""`leukofed-sim compare`: arms over repeated folds, with paired intervals."""

from pathlib import Path
from typing import Literal

import click
from rich.console import Console

from common.commands import plain_errors


@click.command()
@click.argument("scenario")
@click.option(
    "--arms",
    help="Arms, with commas between: federated, local_only, pooled, linear_probe, colour_only, a "
    "VARIANT, or a variant's arm as VARIANT/pooled. The first is what the others are compared "
    "with.  [default: the scenario's arms and variants]",
)
@click.option(
    "--variants",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file of variants of the study, NAME: {settings}, beside the scenario's own.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Folds of a division: no group of images lies in two.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Repetitions: each with a seed and a division into folds of its own.",
)
@click.option(
    "--fold",
    "only",
    type=click.IntRange(min=1),
    multiple=True,
    help="Run this fold alone; may be given more than once.",
)
@click.option(
    "--same-folds", is_flag=True, help="Divide once for all seeds: training varies alone."
)
@click.option(
    "--on",
    "part",
    type=click.Choice(["test", "validation"]),
    default="test",
    show_default=True,
    help="Images whose figures are shown; choose settings on validation.",
)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    help="Use at most so many, of every group alike: a quick look.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the dataset that the scenario names.",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pre-trained weights, ARCHITECTURE.safetensors.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the comparison; what is there is not computed again.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of cached activations; may be deleted at any time.  [default: OUT/cache]",
)
@click.option(
    "--cache-gb",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Most disk that it may take.",
)
@click.option(
    "--numerics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compute as another run did, by its numerics.json, to repeat its bits.",
)
@plain_errors
def compare(
    scenario: str,
    arms: str | None,
    variants: Path | None,
    folds: int,
    seeds: int,
    only: tuple[int, ...],
    same_folds: bool,
    part: Literal["test", "validation"],
    images: int | None,
    data: Path | None,
    weights: Path | None,
    out: Path,
    cache: Path | None,
    cache_gb: float,
    numerics: Path | None,
) -> None:
    """Compare arms of SCENARIO over repeated folds, and say which differ.

    Each group of images (a patient, slide, stain cluster or field) is tested once per seed, by
    models that never saw it. Intervals come from resampling groups, the same ones for all arms,
    so a difference is told from what the choice of images alone would bring.

    The frozen part of the backbones sees every image once, whatever the number of arms, folds and
    seeds. Give the command again to go on, or with more arms: what was computed is kept in OUT.

    \b
    Examples:
      leukofed-sim compare synthetic --folds 3 --out compared
      leukofed-sim compare taleqani-3-sites --data DIR --weights DIR --out compared \\
          --arms federated,pooled,local_only,linear_probe,colour_only
      leukofed-sim compare taleqani-3-sites --data DIR --weights DIR --out compared \\
          --variants levers.yaml --fold 1 --on validation
    """  # noqa: D301 - click reads \b as "do not wrap"
    from simulations.comparing.compare import Protocol
    from simulations.comparing.compare import compare as compare_arms
    from simulations.comparing.entrants import entrants
    from simulations.comparing.outcome import write_outcome
    from simulations.comparing.progress import TrialsWatch
    from simulations.comparing.words import screen
    from simulations.prepare import Places
    from simulations.scenario import load_scenario, load_variants

    found, study = load_scenario(scenario)
    named = load_variants(scenario, study, variants)
    names = [*found.arms, *named] if arms is None else [name.strip() for name in arms.split(",")]
    entered = entrants(names, study, named)
    places = Places(data, weights, out, cache or out / "cache", cache_gb, numerics)
    protocol = Protocol(folds, seeds, only, same_folds, images, part)
    console = Console()
    try:
        with TrialsWatch(console) as watch:
            comparison = compare_arms(found, study, entered, places, protocol, watch)
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped; nothing that was finished is lost.\n  To go on: give the same command again."
        ) from None
    console.print(screen(comparison))
    for path in write_outcome(comparison, out):
        console.print(str(path), highlight=False, soft_wrap=True)
