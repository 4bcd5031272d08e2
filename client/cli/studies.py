"""`leukofed-site studies`: what this site approved."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from client.cli.options import SITE, SITE_FILE
from common.commands import plain_errors


@click.command()
@SITE
@SITE_FILE
@click.option("--all", "with_earlier", is_flag=True, help="List withdrawn studies as well.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a study.")
@plain_errors
def studies(site: Path, site_file: Path | None, with_earlier: bool, as_json: bool) -> None:
    """List the approved studies: name, digest, since when, and what this site answered so far.

    `runs` and `answers` count what left for a study in all its runs, from the log that
    `leukofed-site log` shows; a dash says that this user may not read the log.

    Example: leukofed-site studies --site /var/lib/leukofed
    """
    from client.approved_site import open_site
    from client.left_so_far import NOTHING, left_by_study
    from common.columns import aligned
    from common.plain_text import plain
    from common.sizes import size

    opened = open_site(site, site_file)
    left = left_by_study(opened.config.state)
    found = [(one, "approved") for one in opened.approvals.approved()]
    if with_earlier:
        found += [(one, "withdrawn") for one in opened.approvals.earlier()]
    rows = [("study", "digest", "state", "since (UTC)", "runs", "answers", "left")]
    for one, state in found:
        so_far = None if left is None else left.get(one.digest, NOTHING)
        if as_json:
            facts = {"name": one.study.name, "digest": one.digest, "state": state}
            counts = {} if so_far is None else asdict(so_far)
            click.echo(json.dumps({**facts, "since": one.since, "left": counts or None}))
            continue
        cells = ("-", "-", "-")
        if so_far is not None:
            cells = (str(so_far.runs), str(so_far.answers), size(so_far.bytes))
        since = one.since[:16].replace("T", " ")
        rows.append((one.study.name, one.digest[:12], state, since, *cells))
    if as_json:
        return
    if len(rows) == 1:
        click.echo("No study is approved; `leukofed-site approve PROPOSAL` approves one.")
    else:
        click.echo("\n".join(aligned(rows, right=(4, 5, 6))))
    for name, problem in opened.approvals.without_effect():
        click.echo(plain(f"{name} approves nothing: {problem}"))
