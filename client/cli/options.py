"""What several of the hospital's commands have: the site's folder, and names from it."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from common.completion import below, matching

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


def approved_studies(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Complete an approved study's name; its file is called NAME-DIGEST.yaml."""
    files = below("site", "approved", suffix=".yaml")(context, parameter, "")
    return matching({item.value.rpartition("-")[0] for item in files}, incomplete)
