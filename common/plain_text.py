"""Text that another party, or a process, gave: as a terminal or a log may be given it.

A terminal obeys control characters: they could hide a line, or change one that was shown.
"""

_KEPT = "\n\u00a0"


def plain(text: str) -> str:
    r"""Return a text whose unprintable characters are written out, as in `\x1b`; lines stay."""
    return "".join(c if c.isprintable() or c in _KEPT else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Return a text on one line, its unprintable characters written out."""
    return plain(" ".join(text.split()))
