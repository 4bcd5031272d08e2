"""What shows that the egress log is whole: its chain, its head, the outbox, a run's record."""

import time
from collections.abc import Sequence
from pathlib import Path

from client.egress.log import EgressLog, Line, Passage
from client.egress.outbox import Outbox
from common.digests import digest_value
from common.errors import ConfigError, CorruptFile
from common.log_head import EMPTY, LogHead, heads_told
from common.record import read_record

_BETWEEN_S = 1.0  # a site at work stores a release, and then writes its line
_FIX = "keep the state folder as evidence, find out who can write there, restore it from a backup"


def verify(log: EgressLog, outbox: Outbox, told: Sequence[LogHead] = ()) -> LogHead:
    """Walk a whole log; return its head if every line is the one that was written.

    The chain shows a line that was changed, removed or moved. The head's file and the outbox show
    an end that was cut off. Whoever can write all three can make them agree again; then only the
    heads that left this site, `told`, still tell.

    Args:
        log: of this site; it may grow meanwhile.
        outbox: of this site.
        told: heads that the coordinator's record holds.

    Raises:
        CorruptFile: naming the first line that is not, or no longer, the one that was written.
    """
    # Before the log: what a site at work adds meanwhile stands in the log, and is not missed here.
    kept, released = log.kept_head, list(outbox.lines())

    digests = [EMPTY.digest]  # by number of the line
    missing = {_digest(line): line for line in released}
    for line in log.lines():
        _check_place(line, len(digests), digests[-1])
        digests.append(line.head.digest)
        if line.passage is not None:
            missing.pop(_digest(line.passage), None)

    # A process killed after its very first line has not written the head's file yet.
    if kept is None and len(digests) > 2:
        raise _changed("the file that tells the head of the egress log, egress.head, is missing")
    if kept is not None:
        _check_heads([kept], digests, "egress.head")
    if missing:
        time.sleep(_BETWEEN_S)
        if lacking := [line for line in missing.values() if line not in log]:
            raise _lacking(lacking, len(released), len(digests) - 1)
    _check_heads(told, digests, "the record of the coordinator")
    return LogHead(lines=len(digests) - 1, digest=digests[-1])


def heads_in(record: Path, site: str, rehearsal: bool = False) -> list[LogHead]:
    """Read the heads that a site told in a run, from the run's record.

    Args:
        record: the file.
        site: its name.
        rehearsal: those of its log of rehearsals, instead of those of its log of runs.

    Raises:
        CorruptFile: the record cannot be read.
        ConfigError: it holds none of this site.
    """
    events = (e for e in read_record(record) if bool(e.get("rehearsal")) == rehearsal)
    heads = list(heads_told(events, site))
    if not heads:
        raise ConfigError(
            "the record holds no head of this site's log" + (" of rehearsals" if rehearsal else ""),
            fix="name the record.jsonl of a run in which this site took part, under its own name; "
            "that of a rehearsal together with --rehearsal, and no other",
            local_detail=f"{record}, site {site}",
        )
    return heads


def _check_place(line: Line, number: int, previous: str) -> None:
    if line.head.lines != number:
        raise _changed(
            f"where line {number} of the egress log should stand, stands one that was written as "
            f"line {line.head.lines}: lines were removed, moved or changed"
        )
    if line.previous != previous:
        raise _changed(
            f"line {number - 1} of the egress log was changed, or line {number} was: the later no "
            "longer follows the earlier"
            if number > 1
            else "line 1 of the egress log was changed: it names a line before it"
        )


def _check_heads(heads: Sequence[LogHead], digests: Sequence[str], source: str) -> None:
    last = len(digests) - 1
    for head in sorted(heads, key=lambda head: head.lines):
        if head.lines > last:
            raise _changed(
                f"the egress log ends after line {last}, and {source} tells of line "
                f"{head.lines}: its end was cut off"
            )
        if digests[head.lines] != head.digest:
            raise _changed(
                f"line {head.lines} of the egress log is not the one that {source} tells of: it "
                "was changed, or the log was written anew from there or from an earlier line"
            )


def _digest(passage: Passage) -> str:
    return digest_value(passage.model_dump(mode="json"))


def _lacking(missing: Sequence[Passage], released: int, last: int) -> CorruptFile:
    oldest = min(missing, key=lambda line: line.time)
    killed = "start the site, which adds the line that a killed process left out; otherwise "
    return CorruptFile(
        f"the egress log ends after line {last} and lacks {len(missing)} of the {released} replies "
        "that the outbox released: its end was cut off, or their lines were changed",
        fix=(killed if len(missing) == 1 else "") + _FIX,
        local_detail=f"the oldest: {oldest.time}, {oldest.run}, {oldest.phase}, "
        f"round {oldest.round}, exchange {oldest.exchange}",
    )


def _changed(problem: str) -> CorruptFile:
    return CorruptFile(problem, fix=_FIX)
