"""Flower's SuperNode, which looks for work more often while a run is under way.

    python -m client.supernode ARGUMENTS      as of `flower-supernode`

Flower's own waits three seconds between two looks for a message, and one second between two looks
for a task to start; in an exchange of a second's work that is most of its time. The first is no
setting of Flower's, so the clock of its main loop is replaced. Should another version of Flower
not have that clock, it is Flower's SuperNode as it stands, and slow.
"""

import logging
import os
import time
from types import SimpleNamespace

from flwr.supernode import start_client_internal as loop
from flwr.supernode.cli import flower_supernode

QUICK_S, ANSWER_S, TASK_S = 0.5, 0.1, 0.1
"""Between two looks, in seconds: for a message, for the reply to it, for a task to start."""
EAGER_S = 30.0
"""How long after a message the next is looked for often, in seconds; after that, as Flower does."""
_TASK_VARIABLE = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"
_IDLE_S = 1.0  # Flower's loop sleeps longer than this for want of a message, and never else


class Pace:
    """How long the main loop sleeps: it is in haste while messages come."""

    def __init__(self) -> None:
        self._last = -EAGER_S  # when a message was at work, by `time.monotonic`

    def seconds(self, asked_s: float, now: float) -> float:
        """Return how long to sleep where Flower would sleep `asked_s`, in seconds.

        Args:
            asked_s: short while a reply is waited for, long if there was no message.
            now: by `time.monotonic`.
        """
        if asked_s <= _IDLE_S:
            self._last = now
            return min(asked_s, ANSWER_S)
        return min(asked_s, QUICK_S) if now < self._last + EAGER_S else asked_s

    def sleep(self, asked_s: float) -> None:
        """Sleep, in the place of `time.sleep`."""
        time.sleep(self.seconds(asked_s, time.monotonic()))


def quicken() -> bool:
    """Replace the clock of Flower's main loop; tell whether it was there."""
    if vars(loop).get("time") is not time:
        return False
    vars(loop)["time"] = SimpleNamespace(**{**vars(time), "sleep": Pace().sleep})
    return True


def main() -> None:
    """Run Flower's SuperNode."""
    os.environ.setdefault(_TASK_VARIABLE, str(TASK_S))
    if not quicken():
        logging.getLogger("leukofed.supernode").warning(
            "this version of Flower looks for messages at its own pace: exchanges take longer"
        )
    flower_supernode()


if __name__ == "__main__":
    main()
