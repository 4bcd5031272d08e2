"""`leukofed-site withdraw`: a study ends at this site, at once."""

from pathlib import Path

import click

from client.cli.options import SITE, SITE_FILE, approved_studies
from common.commands import plain_errors


@click.command()
@click.argument("study", shell_complete=approved_studies)
@SITE
@SITE_FILE
@click.option(
    "--desk",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The worker's socket for administrators.  [default: SITE/run/desk.sock]",
)
@plain_errors
def withdraw(study: str, site: Path, site_file: Path | None, desk: Path | None) -> None:
    """Withdraw the approval of STUDY: its name, the beginning of its digest, or its file.

    The worker answers nothing more for it. Work in progress stops at its next batch, and nothing
    of it leaves; the coordinator is told that the study was withdrawn. What left before cannot be
    called back: `leukofed-site log` shows it.

    The study can be approved again with its file, which is kept in approved/withdrawn.

    Example: leukofed-site withdraw trial-1 --site /var/lib/leukofed
    """
    from rich.console import Console

    from client.approved_site import open_site
    from client.withdrawal import wait_until_stopped
    from common.durations import duration

    opened = open_site(site, site_file)
    found = opened.approvals.withdraw(study)
    for one in found:
        click.echo(f"Withdrawn: study {one.study.name}, digest {one.digest[:12]}.")
    with Console(stderr=True).status("Waiting for the worker to stop its work"):
        seconds = wait_until_stopped(desk or opened.folder.desk, {one.digest for one in found})
    if seconds is None:
        click.echo("No worker could be asked; one that runs stops its work at the next batch.")
    elif seconds == 0:
        click.echo("The worker was not at work on it, and takes no more requests for it.")
    else:
        click.echo(f"The worker stopped its work on it within {duration(max(1.0, seconds))}.")
