"""`leukofed-server resume`: a run that was stopped goes on from its newest checkpoint."""

from pathlib import Path

import click

from common.commands import plain_errors


@click.command()
@click.argument("run", required=False)
@click.option("--detach", is_flag=True, help="Return as soon as the run has begun.")
@click.option(
    "--federation",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="The federation's folder.  [default: here]",
)
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
    from server.following import follow
    from server.operations import check_site_presence, resumable, submit, wait_until_begun
    from server.run_setup import renew_keys
    from server.sites import admitted_sites

    console, folder = Console(), Federation(federation.resolve())
    _ = folder.settings
    one = resumable(folder, run)
    with Console(stderr=True).status("Asking the SuperLink"):
        missing = check_site_presence(folder, one.study)
    for site in renew_keys(one.path, admitted_sites(folder)):
        console.print(f"{site} has another key than when the run was launched; it is used now")
    if missing:
        console.print(f"Missing: {', '.join(missing)}; the quorum is {one.study.quorum}")
    with Console(stderr=True).status(f"Waiting for {one.run} to begin"):
        flower_run = submit(folder, one)
        wait_until_begun(folder, one.path, flower_run, lambda text: click.echo(text, err=True))
    console.print(f"{one.run} goes on.", highlight=False)
    if detach:
        return
    try:
        ended = follow(folder, one.run, console)
    except KeyboardInterrupt:
        console.print("The run goes on. To see it again: `leukofed-server status --watch`")
        return
    if ended.run is not None:
        console.print(f"{one.run}: {ended.run.state}", markup=False, highlight=False)
        if ended.run.report:
            console.print(f"Report: {ended.run.report}", markup=False, soft_wrap=True)
