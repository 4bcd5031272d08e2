"""`leukofed-server`: the coordinator's command."""

import click

from common.commands import LazyGroup, check_installation, plain_errors


@click.group(
    cls=LazyGroup,
    rooms={
        "key": ("server.cli.key:key", "Make the signing key, or show its public half."),
        "plan": ("server.cli.plan:plan", "Forecast a study's minutes, bytes and disk."),
        "propose": ("server.cli.propose:propose", "Sign a study for hospitals to approve."),
        "study": ("server.cli.study:study", "Check a study file and show it in full."),
    },
)
@click.version_option(package_name="leukofed", prog_name="leukofed-server")
@plain_errors
def main() -> None:
    """Coordinate one classifier across hospitals that keep their images.

    The coordinator agrees on a study with the sites, runs it, and releases the model. It never
    sees an image.

    Example: leukofed-server study configs/studies/xincept-all.yaml
    """
    check_installation()
