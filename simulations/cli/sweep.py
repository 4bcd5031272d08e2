"""`leukofed-sim sweep`: settings of a study, tried and chosen on validation images alone."""

from pathlib import Path

import click
from rich.console import Console

from common.commands import plain_errors
from simulations.cli.options import CACHE, CACHE_GB, DATA, NUMERICS, SCENARIO, WEIGHTS


@click.command()
@SCENARIO
@click.option(
    "--over",
    "axes",
    multiple=True,
    required=True,
    metavar="FIELD=VALUES",
    help="A study field by its dotted path, and values with commas between them; with --random "
    "also a range LOW..HIGH, drawn log-uniformly. May be given again for other fields.",
)
@click.option(
    "--random",
    type=click.IntRange(min=1),
    metavar="N",
    help="Draw N studies instead of trying every combination.",
)
@click.option(
    "--halving", is_flag=True, help="Begin with few rounds; keep the best 1/ETA at each rung."
)
@click.option(
    "--eta", type=click.IntRange(min=2), default=2, show_default=True, help="Of --halving."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Trials at a time, each in a process with a cache of its own.  "
    "[default: one for two cores and 4 GB of free memory]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of this sweep: its trials, its table and its picture.",
)
@DATA
@WEIGHTS
@CACHE
@CACHE_GB
@NUMERICS
@click.option(
    "--final", is_flag=True, help="At the end run the best study once, and show its test figures."
)
@plain_errors
def sweep(
    scenario: str,
    axes: tuple[str, ...],
    random: int | None,
    halving: bool,
    eta: int,
    jobs: int | None,
    out: Path,
    data: Path | None,
    weights: Path | None,
    cache: Path | None,
    cache_gb: float,
    numerics: Path | None,
    final: bool,
) -> None:
    """Try values of study fields in SCENARIO, and say which is best on the validation images.

    The best has the highest macro F1; ties go to the lower log-loss. Only the federated arm is
    trained, and no site is asked about its test images: the test part stays unseen until --final
    runs the best study once, with all arms of the scenario. Entries of a list are named by their
    number or their name, as in network.backbones.0.cut and phases.fusion.rounds.

    With --halving, studies are first trained with a fraction of their rounds, and only the best go
    on to more (Jamieson & Talwalkar 2016). The table, sweep.csv, sweep.json and sweep.png are
    written to OUT. Trials that are done are kept there by digest: the same command goes on after
    Ctrl-C, and another sweep in OUT repeats none of them.

    \b
    Examples:
      leukofed-sim sweep synthetic --over network.h2=8,16 --over imaging.contrast=none,camsr --out s
      leukofed-sim sweep synthetic --over phases.backbones.learning_rate=1e-5..1e-3 \\
        --random 8 --halving --out s
    """  # noqa: D301 - click reads \b as "do not wrap"
    from simulations.scenario import load_scenario
    from simulations.sweep.candidates import candidates
    from simulations.sweep.fields import read_axis

    found, study = load_scenario(scenario)
    tried = candidates(study, [read_axis(axis) for axis in axes], random)

    from common.metrics import load_metrics  # a wrong field is told before torch is imported
    from server.progress import progress_for
    from simulations.prepare import Places
    from simulations.sweep import account
    from simulations.sweep import sweep as sweeping
    from simulations.sweep.runner import most_jobs

    console = Console()
    if found.data.kind == "synthetic":
        console.print("Images are generated: figures of this sweep say nothing about patients.")
    jobs = min(most_jobs() if jobs is None else jobs, len(tried))
    console.print(f"{len(tried)} studies, {jobs} at a time.", highlight=False)
    places = Places(data, weights, out, cache or out / "cache", cache_gb, numerics)
    try:
        with progress_for(console) as watch:
            places = sweeping.same_numerics(study, places, jobs, watch)
            trials = sweeping.sweep(
                found, tried, places, watch, eta=eta if halving else None, jobs=jobs
            )
            account.write_account(trials, found.name, out)
            tested = sweeping.final(found, trials[0].candidate, places, watch) if final else None
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped; nothing that was finished is lost.\n  To go on: give the same command again."
        ) from None
    click.echo("\n".join(account.table(trials)))
    click.echo(account.chosen(trials))
    click.echo(f"table:   {out / 'sweep.csv'}\npicture: {out / 'sweep.png'}")
    if tested is None:
        click.echo(
            "No site was asked about its test images: --final runs the best once and shows them."
        )
        return
    folder, others = tested
    click.echo(account.revealed(load_metrics(folder.path / "metrics.json"), others))
    click.echo(f"report:  {folder.report}")
