"""`leukofed-server`: the coordinator's command."""

import click

from common.commands import LazyGroup, check_installation, plain_errors


@click.group(
    cls=LazyGroup,
    rooms={
        "admit": ("server.cli.admit:admit", "Admit a hospital, and write its kit."),
        "completion": ("common.completion:completion", "Let a shell complete this command."),
        "init": ("server.cli.init:init", "Make a federation."),
        "key": ("server.cli.key:key", "Make the signing key, or show its public half."),
        "launch": ("server.cli.launch:launch", "Run a proposed study with its sites."),
        "logs": ("server.cli.logs:logs", "Show what a run's process said."),
        "plan": ("server.cli.plan:plan", "Forecast a study's minutes, bytes and disk."),
        "propose": ("server.cli.propose:propose", "Sign a study for hospitals to approve."),
        "renew": ("server.cli.renew:renew", "Make new certificates; no site needs a new kit."),
        "resume": ("server.cli.resume:resume", "Let a run go on that was stopped."),
        "revoke": ("server.cli.revoke:revoke", "Cut a site off, for good."),
        "runs": ("server.cli.runs:runs", "List the runs."),
        "sites": ("server.cli.sites:sites", "List the sites that were admitted."),
        "start": ("server.cli.start:start", "Run what the sites reach, and keep it running."),
        "status": (
            "server.cli.status:status",
            "Show the run, its sites, and what needs attention.",
        ),
        "stop": ("server.cli.stop:stop", "Stop a run; it can be resumed."),
        "study": ("server.cli.study:study", "Check a study file and show it in full."),
    },
    notices=("federation", "server.cli.notices:notices"),
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
