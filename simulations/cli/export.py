"""`leukofed-sim export`: a run's records for TensorBoard, MLflow, or as tables."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.commands import plain_errors
from simulations.cli.options import RUNS

if TYPE_CHECKING:
    from simulations.scenario import ExportFormat


@click.command()
@RUNS
@click.option(
    "--to",
    "formats",
    type=click.Choice(["tensorboard", "mlflow", "csv", "parquet"]),
    multiple=True,
    required=True,
    help="Which form; may be given again.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="Folder of exports; one of the same run is replaced.",
)
@plain_errors
def export(runs: tuple[Path, ...], formats: tuple["ExportFormat", ...], out: Path) -> None:
    """Write the records of RUNS, folders of finished runs, in forms that other programs read.

    Runs of leukofed-server serve as well. CSV and Parquet are tables: exchanges, losses, scores,
    classes, confusion, phases, attendance, images, seconds and settings; columns.csv says what
    each column means. The test figures of a run are among them.

    \b
    Examples:
      leukofed-sim export runs/latest --to csv --to parquet
      leukofed-sim export runs/synthetic-* --to tensorboard
      tensorboard --logdir exports/tensorboard
    """  # noqa: D301 - click reads \b as "do not wrap"
    from simulations.exports.export import export_run

    for run in dict.fromkeys(path.resolve() for path in runs):
        for folder in export_run(run, dict.fromkeys(formats), out):
            click.echo(f"{run.name}: {folder}")
