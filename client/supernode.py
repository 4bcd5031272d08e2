"""Flower's SuperNode, which looks for work more often, and outlives the stop of a run.

    python -m client.supernode ARGUMENTS      as of `flower-supernode`

Flower's own waits three seconds between two looks for a message, and one second between two looks
for a task to start; in an exchange of a second's work that is most of its time. The first is no
setting of Flower's, so the clock of its main loop is replaced.

A run that is stopped while a message of it is being received leaves that message behind, in a
half-received state; it is worked on all the same, and its reply, which nobody wants, is taken for
that of the next message, whose own reply then stays here until a further message comes. So such
a message is given up as one that could not be received, and of replies only those of the run that
was asked last are sent.

Should another version of Flower not have what is replaced, it is Flower's SuperNode as it stands.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from flwr.app import Message
from flwr.supercore.run import RunNotRunningException
from flwr.supernode import start_client_internal as loop
from flwr.supernode.cli import flower_supernode
from flwr.supernode.nodestate import NodeState

QUICK_S, ANSWER_S, TASK_S = 0.5, 0.1, 0.1
"""Between two looks, in seconds: for a message, for the reply to it, for a task to start."""
EAGER_S = 30.0
"""How long after a message the next is looked for often, in seconds; after that, as Flower does."""
_TASK_VARIABLE = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"
_IDLE_S = 1.0  # Flower's loop sleeps longer than this for want of a message, and never else
_PULL, _PUSH = "_pull_and_store_message", "_push_messages"
_RECEIVING = ("pull_object", "confirm_message_received")  # what it calls once a message is stored


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


class Turns:
    """One message after the other, each with its own reply.

    Args:
        pull: Flower's: receives a message, and returns its run, or None.
        push: Flower's: waits for replies and sends them.
    """

    def __init__(self, pull: Callable[..., int | None], push: Callable[..., None]) -> None:
        self._pull, self._push = pull, push
        self._run: int | None = None

    def pull(self, **given: Any) -> int | None:
        """Receive a message; one whose run ends meanwhile is forgotten."""
        mended = {name: _failing(given[name]) for name in _RECEIVING}
        self._run = self._pull(**{**given, **mended})
        return self._run

    def push(self, *, state: NodeState, **given: Any) -> None:
        """Wait for the reply to the message that was received last, and send it."""
        self._push(state=_RepliesOf(state, self._run), **given)


class _RepliesOf:
    """A SuperNode's state, of which only one run's replies are seen."""

    def __init__(self, state: NodeState, run: int | None) -> None:
        self._state, self._runs = state, None if run is None else [run]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def get_messages_legacy(self, *, is_reply: bool) -> Sequence[Message]:
        return self._state.get_messages_legacy(run_ids=self._runs, is_reply=is_reply)


def _failing(call: Callable[..., Any]) -> Callable[..., Any]:
    """Have the end of a run raise an ordinary error, after which Flower drops what it stored."""

    def made(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except RunNotRunningException as error:  # no Exception of Python's
            raise RuntimeError("the run has ended") from error

    return made


def keep_turns() -> bool:
    """Replace how Flower's main loop receives and answers; tell whether it could be."""
    pull, push = vars(loop).get(_PULL), vars(loop).get(_PUSH)
    if pull is None or push is None:
        return False
    turns = Turns(pull, push)
    vars(loop).update({_PULL: turns.pull, _PUSH: turns.push})
    return True


def main() -> None:
    """Run Flower's SuperNode."""
    os.environ.setdefault(_TASK_VARIABLE, str(TASK_S))
    if not quicken():
        logging.getLogger("leukofed.supernode").warning(
            "this version of Flower looks for messages at its own pace: exchanges take longer"
        )
    if not keep_turns():
        logging.getLogger("leukofed.supernode").warning(
            "this version of Flower cannot be kept from confusing the replies of two runs: start "
            "the site anew if a run waits for it after another was stopped"
        )
    flower_supernode()


if __name__ == "__main__":
    main()
