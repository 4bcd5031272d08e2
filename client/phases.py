"""What a site does with a request: decide, work, and let the answer out through the one door."""

import logging
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from client.site import Site
from common.asks import Told
from common.errors import LeukofedError
from common.study.schema import Study
from common.wire import Reply, Request, decode_request, encode_reply

_LOG = logging.getLogger("leukofed.worker")
Answer = tuple[Told, Mapping[str, NDArray[Any]]]
Work = Callable[[Site, Study, Request], Answer]

# A kind's room is imported when it is first asked for, so that a site that only counts its
# examples never pays for training.
_ROOMS = {
    "census": "client.census",
    "moments": "client.fitting",
    "fit": "client.fitting",
    "booster": "client.growing",
    "trees": "client.growing",
    "collective": "client.collective",
    "calibration": "client.evaluation",
    "evaluation": "client.evaluation",
}


def handle(data: bytes, site: Site) -> bytes:
    """Answer one request; the only way in and out of a site.

    The same request gets the same reply again. A step of a rehearsal is answered from generated
    images, and kept apart (`Site.rehearsal`). A request that the site declines, or whose data
    break the contract, is answered with the reason; bugs keep their traceback.

    Args:
        data: an encoded `common.wire.Request`.
        site: whose images are meant.

    Returns:
        The head of the site's egress log (`common.log_head`), and an encoded `common.wire.Reply`.

    Raises:
        WireError: the bytes are no request.
        RequestRefused: not even a refusal could be written down.
        CorruptFile: the egress log is damaged at its end.
        DataError: the cache of the site's rehearsals is in use.
    """
    request = decode_request(data)
    if request.step.rehearsal:
        site = site.rehearsal
    start = time.monotonic()
    try:
        study = site.study(request)
        earlier = site.door.earlier(request)
        if earlier is not None:
            return earlier
        site.door.admit(request, study)
        needs = tuple(site.parts.take(request))
        if needs:
            reply = Reply(request.step, request.digest, "needs-parts", needs=needs)
            return site.door.turn_away(request, encode_reply(reply))
        with site.bench(study).computing():
            told, arrays = _work(request)(site, study, request)
        site.study(request)  # the hospital may have withdrawn it meanwhile
        seconds = time.monotonic() - start
        reply = Reply(request.step, request.digest, "done", told, arrays, seconds=seconds)
        _LOG.info("%s: answered in %.1f s", request.step.name, seconds)
        return site.door.release(request, encode_reply(reply))
    except LeukofedError as error:
        detail = f" ({error.local_detail})" if error.local_detail else ""
        _LOG.info("%s: refused: %s%s", request.step.name, error.problem, detail)
        reply = Reply(request.step, request.digest, "refused", problem=error.problem, fix=error.fix)
        return site.door.turn_away(request, encode_reply(reply), error.local_detail)


def _work(request: Request) -> Work:
    kind = request.ask.kind
    work: Work = getattr(import_module(_ROOMS[kind]), f"answer_{kind}")
    return work
