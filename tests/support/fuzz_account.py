"""What came of a number of spoilt messages."""

from collections import Counter
from dataclasses import dataclass, field

ACCEPTED = "ACCEPTED"


@dataclass
class Account:
    """How many messages there were, and what came of them; memory is in bytes."""

    messages: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    resident: dict[int, int] = field(default_factory=dict)
    """What the process held after so many messages."""

    @property
    def growth_mb(self) -> float:
        """How much more the process held after the last message than after the first count."""
        held = [self.resident[count] for count in sorted(self.resident)]
        return (held[-1] - held[0]) / 1e6

    @property
    def accepted(self) -> list[str]:
        """Which kinds of message were taken for good."""
        return [why for why in self.reasons if ACCEPTED in why]

    def __str__(self) -> str:
        reasons = "\n".join(f"  {n:5} {why}" for why, n in sorted(self.reasons.items()))
        held = ", ".join(f"{held / 1e6:.1f} MB after {n}" for n, held in self.resident.items())
        return f"{self.messages} messages\n{reasons}\n  memory: {held}; {self.growth_mb:+.1f} MB"
