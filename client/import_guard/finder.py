"""The guard itself: the first of Python's import finders, which refuses what was not installed.

`leukofed-site guard install` copies the text of this module into the environment, where every
Python process runs it before anything else. So it imports only what Python has loaded by then.
"""

import os
import sys

TYPE_CHECKING = False  # importing `typing` would cost every process a few milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ImportGuard:
    """Finds modules as the finders behind it do, and refuses those that lie outside the roots.

    Args:
        roots: folders without symbolic links, each ending in the separator.
    """

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = roots

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return the first answer of the finders behind, so that what was checked is what loads.

        Raises:
            ImportError: the module lies elsewhere. Flower sends this text to the coordinator, so
                it tells no path.
        """
        # A guard that was taken out of the list has no place in it: the ValueError ends the import.
        behind = sys.meta_path[sys.meta_path.index(self) + 1 :]
        for finder in behind:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if not self._is_installed(spec):
                    raise ImportError(
                        f"site policy: module {name!r} is not from the installed environment",
                        name=name,
                    )
                return spec
        return None

    def _is_installed(self, spec: "ModuleSpec") -> bool:
        if spec.has_location:
            places = [str(spec.origin)]
        else:
            # A namespace package is its folders. Built-in and frozen modules, and what a finder
            # makes without a file, have none: they are part of code that is loaded already.
            places = list(spec.submodule_search_locations or ())
        return all(self._is_inside(place) for place in places)

    def _is_inside(self, place: str) -> bool:
        # Flower 1.41 joins an app's version to a path as it stands, so an app can choose where it
        # is unpacked, but only by `..`, and that stays in the path from which it is imported.
        leads_up = f"{os.sep}{os.pardir}{os.sep}" in f"{place}{os.sep}"
        return not leads_up and os.path.realpath(place).startswith(self.roots)


def stand(roots: tuple[str, ...]) -> None:
    """Put a guard before all other finders of this process."""
    sys.meta_path.insert(0, ImportGuard(roots))
