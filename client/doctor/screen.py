"""How findings, and what would leave, look on a screen and as JSON."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from client.doctor.finding import Finding
from client.dry_run import ArraySent, Sent, whole_study
from common.forecast import Traffic
from common.study.schema import Study

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "red")}
_MARK_WIDTH, _CHECK_WIDTH = 9, 18
_HEAD = ("array", "shape", "type", "bytes", "norm")


def finding_line(finding: Finding) -> Text:
    """Return one line: the verdict, what was looked at, what was found, what to do."""
    mark, style = _MARKS[finding.verdict]
    line = Text(mark.ljust(_MARK_WIDTH), style=style)
    line.append(finding.check.ljust(_CHECK_WIDTH), style="bold")
    line.append(finding.text, style="default")
    if finding.fix:
        line.append(f" -> {finding.fix}", style=style)
    return line


def summary(findings: Sequence[Finding]) -> str:
    """Say in a sentence what the checks come to."""
    counts = {v: sum(f.verdict == v for f in findings) for v in ("problem", "warning")}
    if not any(counts.values()):
        return f"All {len(findings)} checks are well."
    told = ", ".join(f"{n} {kind}{'s' * (n != 1)}" for kind, n in counts.items() if n)
    end = "" if counts["problem"] else "; nothing prevents this site from taking part"
    return f"{len(findings)} checks: {told}{end}."


def findings_json(findings: Sequence[Finding], left_out: Sequence[str]) -> str:
    """Return all findings for monitoring."""
    return json.dumps(
        {
            "problems": sum(finding.verdict == "problem" for finding in findings),
            "warnings": sum(finding.verdict == "warning" for finding in findings),
            "findings": [dataclasses.asdict(finding) for finding in findings],
            "left_out": list(left_out),
        },
        indent=2,
    )


def sent_lines(sent: Sent, with_purpose: bool = True) -> Iterator[str]:
    """Yield the lines that tell what one reply holds, and why it leaves."""
    exchange = f", exchange {sent.exchange}" if sent.exchange else ""
    yield f"{sent.phase}, round {sent.round}{exchange}: {sent.work}"
    if with_purpose:
        yield f"  why: {sent.purpose}"
    if sent.status != "done":
        yield f"  refused by this site's own limits or data: {sent.problem}"
        return
    if sent.told:
        yield f"  told: {', '.join(_told(sent.told))}"
    if sent.arrays:
        yield from _table(sent.arrays)
    many = f", {_size(sent.bytes * sent.times)} in {sent.times} such replies"
    yield f"  {_size(sent.bytes)}{many if sent.times > 1 else ', once'}"


def total_line(passing: Sequence[Traffic], sent: Sequence[Sent]) -> str:
    """Say how much the whole study sends."""
    replies, size = whole_study(passing, sent)
    return (
        f"In the whole study: {replies} replies of about {_size(size)} together. Rounds of the "
        "booster that start again after a loss, and refusals, come on top."
    )


def sent_json(study: Study, images: str, passing: Sequence[Traffic], sent: Sequence[Sent]) -> str:
    """Return everything that would leave, for reading by another program."""
    replies, size = whole_study(passing, sent)
    return json.dumps(
        {
            "study": study.name,
            "digest": study.digest,
            "images": images,
            "replies": replies,
            "bytes": size,
            "sent": [dataclasses.asdict(one) | {"purpose": one.purpose} for one in sent],
        },
        indent=2,
    )


def _told(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _told(value, f"{name}.")
        elif isinstance(value, list):
            yield f"{name} [{' '.join(map(str, value))}]"
        elif isinstance(value, str) and len(value) == 64:  # a digest
            yield f"{name} {value[:12]}"
        else:
            yield f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"


def _table(arrays: Sequence[ArraySent]) -> Iterator[str]:
    rows = [_HEAD] + [
        (a.name, " x ".join(map(str, a.shape)) or "1", a.dtype, str(a.bytes), f"{a.norm:.4g}")
        for a in arrays
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


def _size(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
