"""`leukofed-sim run`: a whole federation on this machine, ending in a report."""

from pathlib import Path

import click
from rich.console import Console

from common.commands import plain_errors
from simulations.cli.options import CACHE, CACHE_GB, DATA, NUMERICS, SCENARIO, WEIGHTS


@click.command()
@SCENARIO
@DATA
@WEIGHTS
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder of all runs.",
)
@CACHE
@CACHE_GB
@NUMERICS
@click.option(
    "--engine",
    type=click.Choice(["inprocess", "ray"]),
    help="Where the sites compute: one after another in this process, or several at once on Ray.  "
    "[default: the scenario's]",
)
@click.option("--fresh", is_flag=True, help="Start over; do not go on with an unfinished run.")
@plain_errors
def run(
    scenario: str,
    data: Path | None,
    weights: Path | None,
    out: Path,
    cache: Path | None,
    cache_gb: float,
    numerics: Path | None,
    engine: str | None,
    fresh: bool,
) -> None:
    """Run SCENARIO, a file or the name of one that ships with leukofed.

    Every phase of the study runs, from the census to the release, for each arm of the
    comparison: all sites together, each site alone, pooled, and two baselines. The newest
    unfinished run of the same scenario and data is continued.

    \b
    Examples:
      leukofed-sim run synthetic
      leukofed-sim run taleqani-3-sites --data DIR --weights DIR
      leukofed-sim run synthetic --engine ray
    """  # noqa: D301 - click reads \b as "do not wrap"
    from server.progress import progress_for
    from simulations.engines.settings import with_engine
    from simulations.prepare import Places
    from simulations.run import simulate
    from simulations.scenario import load_scenario

    found, study = load_scenario(scenario)
    found = found.model_copy(update={"engine": with_engine(found.engine, engine)})
    console = Console()
    if found.data.kind == "synthetic":
        console.print("Images are generated: figures of this run say nothing about patients.")
    places = Places(data, weights, out, cache or out / "cache", cache_gb, numerics)
    try:
        with progress_for(console) as watch:
            folder = simulate(found, study, places, watch, fresh=fresh)
    except KeyboardInterrupt:
        raise click.ClickException(
            f"stopped; nothing that was finished is lost.\n"
            f"  To go on: give the same command again. The run is in {out / 'latest'}"
        ) from None
    console.print(f"report:  {folder.report}", highlight=False, soft_wrap=True)
    console.print(f"release: {folder.path / 'release.zip'}", highlight=False, soft_wrap=True)
    if found.exports:
        console.print(f"exports: {folder.path / 'exports'}", highlight=False, soft_wrap=True)
