"""`leukofed-sim`: the researcher's command."""

import click

from common.commands import LazyGroup, check_installation, plain_errors


@click.group(
    cls=LazyGroup,
    rooms={
        "compare": ("simulations.cli.compare:compare", "Compare arms over repeated folds."),
        "describe": ("simulations.cli.describe:describe", "Count a dataset, and its sites."),
        "init-model": ("simulations.cli.init_model:init_model", "Make the arrays of round 0."),
        "preprocess": ("simulations.cli.preprocess:preprocess", "Show one image at every step."),
        "pretrain": ("simulations.cli.pretrain:pretrain", "Make the small backbones again."),
        "run": ("simulations.cli.run:run", "Run a scenario, every phase, and report."),
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
