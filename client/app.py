"""The Flower ClientApp: it carries bytes between the network and the worker, and sees neither
images nor what the bytes mean.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from client.relay import relay
from client.sockets import PULSE_VARIABLE, SOCKET_VARIABLE
from common.flower import from_records, to_records
from common.troubles import Trouble, Unanswered
from common.wire import WireError

_LOG = logging.getLogger("leukofed.carrier")
app = ClientApp()


@app.query()
def carry(message: Message, context: Context) -> Message:
    """Carry a request to the worker and its reply back.

    Whatever fails is told by one word of `common.troubles`: an exception's own text could hold a
    path, and Flower would send it.
    """
    _pulse()
    try:
        socket = Path(os.environ[SOCKET_VARIABLE])
        return Message(
            to_records(relay(from_records(message), socket, pulse=_pulse)), reply_to=message
        )
    except Unanswered as error:
        trouble = error.trouble
        _LOG.warning("no reply: %s", error.problem)
    except WireError as error:
        trouble = Trouble.NOT_A_REQUEST
        _LOG.warning("no reply: %s", error.problem)
    except Exception:  # the outermost frame: no text of a bug may travel
        trouble = Trouble.CARRIER_FAILED
        _LOG.exception("the carrier failed")
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, trouble.value), reply_to=message)


def _pulse() -> None:
    if file := os.environ.get(PULSE_VARIABLE):
        with suppress(OSError):  # it is for the watcher only; the request goes on
            Path(file).touch()
