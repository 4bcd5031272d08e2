"""The option that names a federation's folder, which most of the coordinator's commands have."""

from pathlib import Path

import click

FEDERATION = click.option(
    "--federation",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default=Path(),
    show_default="this folder",
    metavar="DIR",
    help="The federation's folder, which `leukofed-server init` made.",
)
