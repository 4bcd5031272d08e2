"""The parts of the model that came down to a site, whole or step by step."""

from contextlib import suppress
from dataclasses import dataclass, field

from common.digests import digest_arrays
from common.parts import Arrays
from common.updates.coding import CodingError, decoded
from common.updates.differences import apply
from common.wire import Request


@dataclass
class PartStore:
    """The newest arrays of each part that came down, in memory: a restarted site asks again.

    The gate has checked that a request names the parts that its work needs, and no others.
    """

    held: dict[str, tuple[str, Arrays]] = field(default_factory=dict)

    def take(self, request: Request) -> list[str]:
        """Keep the parts that travel with a request; return the parts that are missing.

        A step that leads from what is held to another part than the one that is named, or that
        starts from a part that is not held, is of no use: the whole part is missing then.
        """
        for name, arrays in request.arrays.items():
            if name not in request.since:
                self.held[name] = (request.parts[name], arrays)
            elif name in self.held and self.held[name][0] == request.since[name]:
                self._advance(name, arrays, request.parts[name])
        return [
            name
            for name, digest in request.parts.items()
            if name not in self.held or self.held[name][0] != digest
        ]

    def __getitem__(self, name: str) -> Arrays:
        return self.held[name][1]

    def _advance(self, name: str, coded: Arrays, digest: str) -> None:
        """Take the step that `server.renewal` took, with the same arithmetic and the same bits."""
        before = self[name]
        sizes = {key: array.shape for key, array in before.items()}
        with suppress(CodingError):
            after = apply(before, decoded(coded, sizes, "int8", share=1.0))
            if digest_arrays(after) == digest:
                self.held[name] = (digest, after)
