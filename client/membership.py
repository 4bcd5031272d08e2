"""What a site keeps between two requests of a collective."""

from dataclasses import dataclass

from common.children import Child
from common.self_signed import Identity


@dataclass
class Membership:
    """One attempt's."""

    identity: Identity
    child: Child | None = None

    def end(self) -> None:
        """End the child, if there is one."""
        if self.child is not None:
            self.child.end()
            self.child = None
