"""`leukofed-sim report`: the reports of runs written again, and a page that lists them."""

from pathlib import Path

import click

from common.commands import plain_errors
from simulations.cli.options import RUNS


@click.command()
@RUNS
@click.option(
    "--index",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Page that lists the runs.  [default: index.html beside the first of several]",
)
@plain_errors
def report(runs: tuple[Path, ...], index: Path | None) -> None:
    """Write report.html of RUNS again, from their metrics: what a newer version draws differently.

    RUNS are folders of runs, of leukofed-server too. Of several, a page is written that lists them
    with their figures; it links to their reports, and tells of runs that have not come to an end
    what their record holds. Folders without a run are left out.

    \b
    Examples:
      leukofed-sim report runs/latest
      leukofed-sim report runs/* /srv/leukofed/runs/* --index all.html
    """  # noqa: D301 - click reads \b as "do not wrap"
    from server.report.index import check_runs, write_again, write_index

    folders = list(dict.fromkeys(path.resolve() for path in runs))  # `latest` is a link to another
    found = [write_again(folder) for folder in folders]
    for folder, run in zip(folders, found, strict=True):
        if run is None:
            click.echo(f"{folder.name}: left out, no run")
        elif run.metrics is None:
            click.echo(f"{run.name}: not finished, {run.rounds} rounds are over")
        else:
            click.echo(f"{run.name}: {run.report}")
    listed = check_runs(found)
    if index is None and len(listed) > 1:
        index = listed[0].report.parent.parent / "index.html"
    if index is not None:
        write_index(listed, index)
        click.echo(f"index: {index}")
