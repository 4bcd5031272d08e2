"""What several of the coordinator's commands have: the federation's folder, and names from it."""

from pathlib import Path

import click

from common.completion import below

FEDERATION = click.option(
    "--federation",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default=Path(),
    show_default="this folder",
    metavar="DIR",
    help="The federation's folder, which `leukofed-server init` made.",
)
RUNS = below("federation", "runs")
SITES = below("federation", "sites", suffix=".yaml")
STUDIES = below("federation", "studies")
