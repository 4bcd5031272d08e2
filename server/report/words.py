"""How a report writes figures: plain text, a dash for what is not known."""

from collections.abc import Callable

from common import durations
from common.figures import Interval, Number

UNKNOWN = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def number(value: Number) -> str:
    """Write a rate to three decimals."""
    return UNKNOWN if value is None else f"{value:.3f}".replace("-", _MINUS)


def signed(value: Number) -> str:
    """Write a difference to three decimals, with its sign; zero has none."""
    if value is None:
        return UNKNOWN
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", _MINUS)


def span(interval: Interval, write: Callable[[Number], str] = number) -> str:
    """Write an interval, with a space before it; nothing if it is not known."""
    low, high = interval
    return "" if low is None or high is None else f" [{write(low)}, {write(high)}]"


def duration(seconds: float) -> str:
    """Write a length of time, with tenths of a second below 100."""
    return f"{seconds:.1f} s" if seconds < 99.95 else durations.duration(seconds)


def spoken(name: str) -> str:
    """Write a key, for example a column or phase, as words."""
    return name.replace("_", " ").replace("-", " ")
