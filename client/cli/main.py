"""`leukofed-site`: the hospital's command."""

import click

from common.commands import LazyGroup, check_installation, plain_errors


@click.group(
    cls=LazyGroup,
    rooms={
        "guard": ("client.cli.guard:guard", "Refuse code that was not installed here."),
        "init": ("client.cli.init:init", "Make a site, its key, and its enrolment request."),
        "join": ("client.cli.join:join", "Take the coordinator's kit."),
        "log": ("client.cli.log:log", "Show what left this site."),
        "manifest": ("client.cli.manifest:manifest", "List the images of class folders."),
        "status": ("client.cli.status:status", "Show what the worker is at."),
        "worker": ("client.cli.worker:worker", "Answer requests from this site's images."),
        "predict": ("client.cli.predict:predict", "Apply a released model to images."),
    },
    notices=("site", "client.cli.notices:notices"),
)
@click.version_option(package_name="leukofed", prog_name="leukofed-site")
@plain_errors
def main() -> None:
    """Take part in a study with images that never leave this hospital.

    Example: leukofed-site manifest /data/smears --out /data/smears/manifest.csv
    """
    check_installation()
