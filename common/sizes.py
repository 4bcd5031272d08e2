"""Numbers of bytes in words."""


def size(count: float) -> str:
    """Write a number of bytes, in units of 1000."""
    if count < 999.5:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    count /= 1000
    return f"{count:.2f} GB"
