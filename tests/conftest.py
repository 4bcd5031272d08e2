"""The order of the tests: the longest one first, so that nothing waits for it at the end."""

import pytest

_LONGEST = ("test_recovery.py", "test_by_the_book.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first; the others stay in their order."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)
