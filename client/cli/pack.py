"""`leukofed-site pack`: a study's papers for a data-protection officer."""

from pathlib import Path

import click

from client.cli.options import SITE, SITE_FILE
from common.commands import plain_errors


@click.command()
@click.argument("study")
@SITE
@SITE_FILE
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    metavar="DIR",
    help="Folder to write to.",
)
@plain_errors
def pack(study: str, site: Path, site_file: Path | None, out: Path) -> None:
    """Write the papers of STUDY for a data-protection officer: one HTML page, to be printed.

    STUDY is a name or the beginning of a digest, as `leukofed-site studies --all` lists them, or
    the file of a proposal that is not approved yet.

    The page tells the parties, the purpose, the data used in counts, what leaves and to whom, what
    has left so far, how long things are kept, technical measures, threats, and has lines to fill
    in for what only the hospital knows. It holds counts that a coordinator is not told: keep it
    in the hospital, or look through it first.

    Example: leukofed-site pack trial-1 --site /var/lib/leukofed --out papers
    """
    from rich.console import Console

    from client.approved_site import open_site
    from client.pack.facts import chosen_study, gather
    from client.pack.page import write_papers

    opened = open_site(site, site_file)
    chosen, approval = chosen_study(opened.approvals, study)
    with Console(stderr=True).status("Gathering what the papers tell"):
        from common.model.initial import model_shapes

        place = write_papers(gather(opened, chosen, approval, model_shapes(chosen)), out)
    click.echo(f"Written to {place}")
