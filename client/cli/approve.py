"""`leukofed-site approve`: what a proposed study would do here, and the hospital's yes."""

from pathlib import Path

import click

from client.cli.options import SITE, SITE_FILE
from common.commands import plain_errors


@click.command()
@click.argument("proposal", type=click.Path(dir_okay=False, path_type=Path))
@SITE
@SITE_FILE
@click.option("--yes", is_flag=True, help="Approve without asking, once all is shown.")
@plain_errors
def approve(proposal: Path, site: Path, site_file: Path | None, yes: bool) -> None:
    """Show what the study in PROPOSAL would do on this machine, then ask whether to approve it.

    Shown are who asks, the phases with what each does here, minutes, disk, what would leave and how
    many bytes, what this site's limits would refuse, and what changed since the last study of the
    same name that was approved. No image is opened, nothing is sent.

    The worker, which need not be restarted, then runs exactly this study: any other, by a single
    setting, has another digest and is refused. `leukofed-site withdraw` ends it.

    Example: leukofed-site approve trial-1.proposal.yaml --site /var/lib/leukofed
    """
    from rich.console import Console

    from client.approved_site import open_site
    from client.prospect import own_timings, prospect
    from client.prospect_words import told
    from common.plain_text import plain
    from common.proposal import read_proposal

    opened = open_site(site, site_file)
    approvals = opened.approvals
    study = read_proposal(proposal, approvals.key)
    for one in approvals.approved():
        if one.digest == study.digest:
            click.echo(f"Study {study.name}, digest {study.digest[:12]}, is approved already,")
            click.echo(f"since {one.since[:16].replace('T', ' ')} UTC. Nothing was changed.")
            return
    known = {one.digest: one.study for one in [*approvals.earlier(), *approvals.approved()]}
    known[study.digest] = study
    with Console(stderr=True).status("Working out what the study would take"):
        from common.model.initial import model_shapes

        timings = own_timings(opened.config.state, opened.config.name, known)
        found = prospect(study, model_shapes(study), opened.config, timings)
    for line in told(found, opened.config, opened.kit, approvals.last_of(study.name)):
        click.echo(plain(line))
    others = [one for one in approvals.approved() if one.study.name == study.name]
    click.echo()
    if not yes and not click.confirm("Approve this study?"):
        click.echo("Not approved; nothing was changed.")
        return
    place = approvals.approve(proposal, study)
    click.echo(f"Approved: {place}")
    click.echo(f"The worker runs the study of digest {study.digest[:12]}, and no other version.")
    for one in others:
        click.echo(
            f"Version {one.digest[:12]} stays approved besides; to end it: "
            f"leukofed-site withdraw {one.digest[:12]}"
        )
