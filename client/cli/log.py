"""`leukofed-site log`: what left this site, for the hospital to read."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.commands import plain_errors

if TYPE_CHECKING:
    from client.egress.log import Passage

_HEAD = ("time", "run", "phase", "round", "asked", "answer", "arrays", "numbers", "bytes", "sha256")


@click.command()
@click.option(
    "--site-file",
    required=True,
    type=click.Path(path_type=Path),
    help="The site file; its `state` folder holds the log.",
)
@click.option(
    "--study", default="", metavar="DIGEST", help="Only this study; a beginning is enough."
)
@click.option("--json", "as_json", is_flag=True, help="Print every field, one JSON object a line.")
@plain_errors
def log(site_file: Path, study: str, as_json: bool) -> None:
    """Show every reply that left this site, oldest first.

    `numbers` counts the values in the arrays that left; counts and sums that left beside them
    are in the field `told` of --json. A refusal leaves no numbers; its reason follows its line.

    Example: leukofed-site log --site-file /etc/leukofed/site.yaml
    """
    from client.egress.log import EgressLog
    from client.site_config import load_site_config

    lines = EgressLog(load_site_config(site_file).state / "egress.jsonl")
    chosen = (line for line in lines if line.study.startswith(study))
    if as_json:
        for line in chosen:
            click.echo(line.model_dump_json())
    else:
        _show(chosen)


def _show(lines: Iterable["Passage"]) -> None:
    rows: list[tuple[Sequence[str], str]] = [(_HEAD, "")]
    rows += [(_cells(line), f"{line.problem} {line.local_detail}".strip()) for line in lines]
    if len(rows) == 1:
        click.echo("Nothing has left this site.")
        return
    widths = [max(len(cells[i]) for cells, _ in rows) for i in range(len(_HEAD))]
    for cells, reason in rows:
        aligned = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(aligned).rstrip())
        if reason:
            click.echo(f"    {reason}")


def _cells(line: "Passage") -> tuple[str, ...]:
    arrays = f"{line.arrays} {'/'.join(line.dtypes)}" if line.arrays else "-"
    return (
        line.time,
        line.run,
        line.phase,
        str(line.round) if line.exchange == 0 else f"{line.round}.{line.exchange}",
        line.ask,
        line.status,
        arrays,
        str(line.elements),
        str(line.bytes),
        line.sha256[:12],
    )
