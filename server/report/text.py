"""Numbers as a reader expects them: figures, intervals, sizes, durations."""

from collections.abc import Sequence

MISSING = "–"  # noqa: RUF001 - an en dash, as tables print it
ARM_NAMES = {
    "federated": "Federated",
    "pooled": "Pooled",
    "linear_probe": "Linear probe",
    "colour_only": "Colour only",
}


def figure(value: float | None) -> str:
    """Write a share or score with three decimals."""
    return MISSING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Write a difference with its sign."""
    return MISSING if value is None else f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def interval(ends: tuple[float | None, float | None]) -> str:
    """Write an interval, `[0.880, 0.940]`."""
    return f"[{figure(ends[0])}, {figure(ends[1])}]"


def signed_interval(ends: tuple[float | None, float | None]) -> str:
    """Write an interval of a difference."""
    return f"[{signed(ends[0])}, {signed(ends[1])}]"


def size(count: float) -> str:
    """Write bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float | None) -> str:
    """Write seconds as a clock would: `48 s`, `21 min 52 s`, `3 h 04 min`."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def listing(names: Sequence[str]) -> str:
    """Join names: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def arm_name(arm: str) -> str:
    """Name an arm; `local_only.north` is `Only north`."""
    kind, _, site = arm.partition(".")
    return f"Only {site}" if kind == "local_only" else ARM_NAMES.get(arm, arm)
