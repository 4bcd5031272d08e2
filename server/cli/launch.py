"""`leukofed-server launch`: a proposed study, run with its sites."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION, STUDIES


@click.command()
@click.argument("study", shell_complete=STUDIES)
@click.option("--run", metavar="NAME", help="The run's name.  [default: STUDY with a number]")
@click.option("--rehearse", is_flag=True, help="Let the sites work on generated images.")
@click.option(
    "--deadline-hours",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    metavar="HOURS",
    help="The longest that an exchange waits for replies.  [default: 12]",
)
@click.option("--detach", is_flag=True, help="Return as soon as the run has begun.")
@click.option("--yes", is_flag=True, help="Do not ask, even if sites are missing.")
@FEDERATION
@plain_errors
def launch(
    study: str,
    run: str | None,
    rehearse: bool,
    deadline_hours: float | None,
    detach: bool,
    yes: bool,
    federation: Path,
) -> None:
    """Run a proposed STUDY with its sites, and follow the run.

    STUDY is a name in the federation's folder of studies, as `leukofed-server propose` left it.
    Before anything is sent, it is checked that the study is signed and as it was signed, that its
    sites are admitted and a quorum of them is connected, that no other run is at work, and that
    there is room on the disk.

    Rehearse first: with --rehearse the whole study runs at the real sites over the real network,
    on generated images; no real image is read.

    The run goes on when this command ends: Ctrl-C only ends the view. `leukofed-server status`
    shows it again, `stop` stops it, `resume` lets it go on.

    Example: leukofed-server launch trial --rehearse --federation /srv/leukofed

    Example: leukofed-server launch trial --detach --yes
    """
    from rich.console import Console

    from server.federation import Federation
    from server.following import see_through
    from server.operations import alone, check_site_presence, submit
    from server.readiness import check_admitted, proposed
    from server.run_setup import prepare_run
    from server.sites import admitted_sites
    from server.standing import standing

    console, folder = Console(), Federation(federation)
    _ = folder.settings
    with Console(stderr=True).status("Checking the study and asking the SuperLink"):
        source, found = proposed(folder, study)
        sites = admitted_sites(folder)
        check_admitted(found, sites)
        missing = check_site_presence(folder, found)
    there = [site for site in found.sites if site not in missing]
    console.print(
        f"Study {study}, digest {found.digest[:12]}"
        + (", a rehearsal on generated images" if rehearse else "")
        + f"\nConnected: {', '.join(there)}"
        + (f"\nMissing: {', '.join(missing)}; the quorum is {found.quorum}" if missing else ""),
        markup=False,
        highlight=False,
    )
    if not yes:
        click.confirm("Launch it?", default=not missing, abort=True)
    with Console(stderr=True).status("Handing the run to the SuperLink"), alone(folder):
        path = prepare_run(
            folder, source, found, sites, run=run, rehearse=rehearse, deadline_hours=deadline_hours
        )
        console.print(f"Run {path.name}, in {path}", markup=False, highlight=False, soft_wrap=True)
        flower_run = submit(folder, standing(path))
    see_through(folder, path, flower_run, console, detach=detach)
