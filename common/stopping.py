"""What ends a program that serves: an event that signals set."""

import os
import signal
import threading


def stopped_by(*signals: signal.Signals) -> threading.Event:
    """Return an event that is set once one of these signals has come; for the main thread.

    Python runs a handler in the main thread, between two of its steps. A handler that sets the
    event may so interrupt the main thread inside the event's `wait`, where it holds the lock that
    `set` takes; and a signal that comes just before the wait begins is handled only after it. So
    the handlers here do nothing: the interpreter writes what has come into a pipe at once, whatever
    the main thread does, and a thread that reads the pipe sets the event.
    """
    stopping = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, _nothing)

    def wait() -> None:
        while os.read(reader, 1)[0] not in signals:
            pass
        stopping.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stopping


def _nothing(*_: object) -> None:
    """Stand for a signal's default, which would end the process."""
