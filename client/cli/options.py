"""The option that names a site's folder, which most of the hospital's commands have."""

from pathlib import Path

import click

SITE = click.option(
    "--site",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    metavar="DIR",
    help="The site's folder, which `leukofed-site init` made.",
)
SITE_FILE = click.option(
    "--site-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The site file, where it is not in that folder.  [default: SITE/site.yaml]",
)
