"""`leukofed-site log`: what left this site, for the hospital to read."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.cli.options import SITE, SITE_FILE
from common.commands import plain_errors
from common.plain_text import plain

if TYPE_CHECKING:
    from client.egress.forgotten import Forgotten
    from client.egress.log import EgressLog, Line, Passage
    from client.site_config import SiteConfig
    from client.site_folder import SiteFolder
    from common.log_head import LogHead

_HEAD = (
    "line", "time", "run", "phase", "round", "asked", "answer", "arrays", "numbers", "bytes",
    "sha256",
)  # fmt: skip


@click.command()
@SITE
@SITE_FILE
@click.option(
    "--study",
    default="",
    help="Only this study: its name, or the beginning of its digest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every field, one JSON object a line.")
@click.option(
    "--verify",
    is_flag=True,
    help="Check instead that the lines are those that were written, and all of them.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --verify: the record.jsonl of a run's release. Every head of this log that it "
    "tells of must be in the log.",
)
@click.option(
    "--rehearsal", is_flag=True, help="The log of rehearsals, which stands apart, instead."
)
@plain_errors
def log(
    site: Path,
    site_file: Path | None,
    study: str,
    as_json: bool,
    verify: bool,
    record: Path | None,
    rehearsal: bool,
) -> None:
    """Show every reply that left this site, oldest first.

    `numbers` counts the values in the arrays that left; counts and sums that left beside them
    are in the field `told` of --json. A refusal leaves no numbers; its reason follows its line.
    `forgotten` stands where `leukofed-site forget` removed data here: nothing left with it.

    Each line holds the digest of the line before: --verify finds lines that were changed,
    removed or moved. An end that was cut off shows in the head, which is kept beside the log,
    and in the outbox. Whoever can write all three can make them agree again, but cannot call
    back what left: every reply told the coordinator the head of the log at that time. So check
    with the --record of each release, too.

    What left in rehearsals, whose images are generated, has a log of its own: --rehearsal.

    Example: leukofed-site log --site /var/lib/leukofed

    Example: leukofed-site log --verify --record record.jsonl
    """
    from client.egress.audit import heads_in
    from client.egress.log import EgressLog
    from client.site_config import load_site_config, rehearsal_config
    from client.site_folder import SiteFolder

    if verify and (study or as_json):
        raise click.UsageError("--verify checks the whole log: leave out --study and --json")
    if record is not None and not verify:
        raise click.UsageError("--record goes with --verify")
    config = load_site_config(site_file or SiteFolder(site).site_file)
    if rehearsal:
        config = rehearsal_config(config)
    kept = EgressLog(config.state / "egress.jsonl")
    if verify:
        _verify(kept, config, [] if record is None else heads_in(record, config.name, rehearsal))
        return
    beginnings = _digests(study, config, SiteFolder(site))
    chosen = (
        line
        for line in kept.lines()
        if (not study if line.passage is None else line.passage.study.startswith(beginnings))
    )
    if as_json:
        for line in chosen:
            click.echo(line.stored)
    else:
        _show(chosen, " for this study" if study else "")


def _digests(study: str, config: "SiteConfig", folder: "SiteFolder") -> tuple[str, ...]:
    """Return the digests, or beginnings of them, that a name or a beginning stands for.

    Raises:
        ConfigError: it is no digest's beginning, and no study of this name was approved here.
    """
    from client.approvals import Approvals
    from common.errors import ConfigError
    from common.signing import public_key

    named: tuple[str, ...] = ()
    if study and config.coordinator is not None:
        approvals = Approvals(folder.approved, public_key(config.coordinator))
        known = [*approvals.approved(), *approvals.earlier()]
        named = tuple(one.digest for one in known if one.study.name == study)
    if not named and not re.fullmatch("[0-9a-f]{0,64}", study):
        raise ConfigError(
            "no study of this name was approved here",
            fix="name one that `leukofed-site studies --all` lists, or a digest's beginning",
            local_detail=study,
        )
    return named or (study,)


def _verify(log: "EgressLog", config: "SiteConfig", told: Sequence["LogHead"]) -> None:
    from client.egress.audit import verify
    from client.egress.outbox import Outbox

    head = verify(log, Outbox(config.state / "outbox"), told)
    click.echo(f"{head.lines} lines, chain intact, head {head.digest}")
    if told:
        click.echo(f"The log holds all {len(told)} heads that the record tells of.")


def _show(lines: Iterable["Line"], whose: str) -> None:
    rows: list[tuple[Sequence[str], str]] = [(_HEAD, "")]
    rows += [(_cells(line), _reason(line.entry)) for line in lines]
    if len(rows) == 1:
        click.echo(f"Nothing has left this site{whose}.")
        return
    widths = [max(len(cells[i]) for cells, _ in rows) for i in range(len(_HEAD))]
    for cells, reason in rows:
        aligned = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(aligned).rstrip())
        if reason:
            click.echo(f"    {plain(reason)}")


def _reason(entry: "Passage | Forgotten") -> str:
    from client.egress.forgotten import Forgotten

    if isinstance(entry, Forgotten):
        return (
            f"{entry.images} images forgotten: {entry.records} records and {entry.findings} "
            f"findings of the cache, {entry.replies} kept replies; nothing left with this line"
        )
    return f"{entry.problem} {entry.local_detail}".strip()


def _cells(line: "Line") -> tuple[str, ...]:
    left = line.passage
    if left is None:
        nothing = ["-"] * (len(_HEAD) - 4)
        return (str(line.head.lines), line.entry.time, "", "forgotten", *nothing)
    return (
        str(line.head.lines),
        left.time,
        left.run,
        left.phase,
        str(left.round) if left.exchange == 0 else f"{left.round}.{left.exchange}",
        left.ask,
        left.status,
        f"{left.arrays} {'/'.join(left.dtypes)}" if left.arrays else "-",
        str(left.elements),
        str(left.bytes),
        left.sha256[:12],
    )
