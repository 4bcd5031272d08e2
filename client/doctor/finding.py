"""What a check found: one line for the hospital."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from common.errors import LeukofedError
from common.plain_text import one_line

Verdict = Literal["ok", "warning", "problem"]
Watch = Callable[[str, int, int], None]
"""Told what is done now, how much of it is done, and of how much."""


def unwatched(what: str, done: int, of: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str  # what was looked at, in a word or two
    verdict: Verdict
    text: str  # what was found
    fix: str = ""  # what to do; empty if all is well


def ok(check: str, text: str) -> Finding:
    """Say that all is well."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, fix: str) -> Finding:
    """Say what will hinder, though not prevent."""
    return Finding(check, "warning", text, fix)


def problem(check: str, text: str, fix: str) -> Finding:
    """Say what prevents the site from taking part."""
    return Finding(check, "problem", text, fix)


def failed(check: str, error: LeukofedError) -> Finding:
    """Say that a check ended in an error an operator can repair; it is shown at home only."""
    detail = f" ({_line(error.local_detail)})" if error.local_detail else ""
    return problem(check, f"{_line(error.problem)}{detail}", _line(error.fix))


def _line(text: str, most: int = 300) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[:most]}…"
