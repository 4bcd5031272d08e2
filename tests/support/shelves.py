"""What a cache folder holds, read from its shelves' cards."""

from collections import Counter
from pathlib import Path

from client.data.shelf import is_shelf, keys_of, read_card, size_of


def records_by_kind(cache: Path) -> Counter[str]:
    """Count the records of each kind: `prepared`, `activations`, `features`."""
    return Counter({kind: count for kind, (count, _) in _kinds(cache).items()})


def needed_bytes(cache: Path) -> int:
    """Add up what a study needs; prepared images are kept in room to spare only."""
    return sum(size for kind, (_, size) in _kinds(cache).items() if kind != "prepared")


def _kinds(cache: Path) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for folder in cache.iterdir():
        card = read_card(folder) if is_shelf(folder) else None
        if card is not None:
            kind = card.holds.split()[0]
            count, size = found.get(kind, (0, 0))
            found[kind] = count + len(keys_of(folder)), size + size_of(folder)
    return found
