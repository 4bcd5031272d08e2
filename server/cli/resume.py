"""`leukofed-server resume`: a run that was stopped goes on from its newest checkpoint."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION, RUNS


@click.command()
@click.argument("run", required=False, shell_complete=RUNS)
@click.option("--detach", is_flag=True, help="Return as soon as the run has begun.")
@FEDERATION
@plain_errors
def resume(run: str | None, detach: bool, federation: Path) -> None:
    """Let a RUN go on that was stopped, or whose process died; by default the newest unfinished.

    It goes on after its newest checkpoint, which is written after every round. To the sites it is
    the same run: what they answered before, they answer again with the same bytes. A site that
    was admitted anew since, with another key, takes part again.

    Example: leukofed-server resume --federation /srv/leukofed
    """
    from rich.console import Console

    from server.federation import Federation
    from server.following import logged, see_through
    from server.operations import alone, check_site_presence, resumable, submit
    from server.run_setup import renew_keys
    from server.sites import admitted_sites

    console, folder = Console(), Federation(federation)
    _ = folder.settings
    one = resumable(folder, run)
    with Console(stderr=True).status("Asking the SuperLink"):
        missing = check_site_presence(folder, one.study)
    if missing:
        console.print(f"Missing: {', '.join(missing)}; the quorum is {one.study.quorum}")
    with Console(stderr=True).status("Handing the run to the SuperLink"), alone(folder):
        for site in renew_keys(one.path, admitted_sites(folder)):
            console.print(f"{site} has another key than when the run was launched; it is used now")
        console.print(
            f"Run {one.run}, in {one.path}", markup=False, highlight=False, soft_wrap=True
        )
        since = logged(one.path)
        flower_run = submit(folder, one)
    see_through(folder, one.path, flower_run, console, detach=detach, since=since)
