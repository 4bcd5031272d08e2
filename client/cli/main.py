"""`leukofed-site`: the hospital's command."""

import click

from common.commands import LazyGroup, check_installation, plain_errors


@click.group(
    cls=LazyGroup,
    rooms={
        "approve": ("client.cli.approve:approve", "Approve a study, after reading what it does."),
        "cache": ("client.cli.cache:cache", "Show what the cache holds, or clear it."),
        "check": ("client.cli.check:check", "Find what stands in the way here, and what to do."),
        "completion": ("common.completion:completion", "Let a shell complete this command."),
        "describe": ("client.cli.describe:describe", "Count the images, in tables and pictures."),
        "fields": ("client.cli.fields:fields", "Find images that show one field, or are copies."),
        "forget": ("client.cli.forget:forget", "Remove what is kept of a patient or a dataset."),
        "guard": ("client.cli.guard:guard", "Refuse code that was not installed here."),
        "init": ("client.cli.init:init", "Make a site, its key, and its enrolment request."),
        "join": ("client.cli.join:join", "Take the coordinator's kit."),
        "log": ("client.cli.log:log", "Show what left this site."),
        "manifest": ("client.cli.manifest:manifest", "List a folder's images, or a laboratory's."),
        "pack": ("client.cli.pack:pack", "Write a study's papers for a data-protection officer."),
        "quality": ("client.cli.quality:quality", "Find images that are unfit, and why."),
        "run": ("client.cli.run:run", "Take part: keep worker and SuperNode running."),
        "status": ("client.cli.status:status", "Show what the worker is at."),
        "studies": ("client.cli.studies:studies", "List the approved studies."),
        "suspects": ("client.cli.suspects:suspects", "Find labels that are doubtful."),
        "withdraw": ("client.cli.withdraw:withdraw", "End a study at this site at once."),
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
