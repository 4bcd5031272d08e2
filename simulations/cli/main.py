"""`leukofed-sim`: the researcher's command."""

import click

from common.commands import LazyGroup, check_installation, plain_errors


@click.group(
    cls=LazyGroup,
    rooms={
        "compare": ("simulations.cli.compare:compare", "Compare arms over repeated folds."),
        "completion": ("common.completion:completion", "Let a shell complete this command."),
        "describe": ("simulations.cli.describe:describe", "Count a dataset, and its sites."),
        "export": ("simulations.cli.export:export", "Write a run for TensorBoard and the like."),
        "init-model": ("simulations.cli.init_model:init_model", "Make the arrays of round 0."),
        "partition": ("simulations.cli.partition:partition", "Divide a dataset, and draw it."),
        "preprocess": ("simulations.cli.preprocess:preprocess", "Show one image at every step."),
        "pretrain": ("simulations.cli.pretrain:pretrain", "Make the small backbones again."),
        "report": ("simulations.cli.report:report", "Write the report of a run again."),
        "run": ("simulations.cli.run:run", "Run a scenario, every phase, and report."),
        "sweep": ("simulations.cli.sweep:sweep", "Try settings, judged on validation alone."),
    },
)
@click.version_option(package_name="leukofed", prog_name="leukofed-sim")
@plain_errors
def main() -> None:
    """Run a whole federation on one machine, with virtual sites.

    The sites run the code that a hospital runs, so what holds here holds there.

    Example: leukofed-sim run synthetic
    """
    check_installation()
