"""Many sites in one process: they speak Flower's fleet protocol, and train nothing.

    python -m tests.support.stand_ins FOLDER

What they send is as large as what real sites send, and differs from site to site and from round
to round. They stand where thirty SuperNodes, workers and models would not fit into a machine.
FOLDER holds `stand-ins.json`, `ca.crt`, `initial.safetensors` and each site's `NAME.key`.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.app import Message
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import (
    inflate_object_from_contents,
    pull_objects,
    push_object_contents_from_iterable,
)
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_connection import http_request_response
from numpy.typing import NDArray

from common.asks import TRAINED, CensusTold, FitAsk, FitTold, MomentsTold, Told
from common.digests import digest_value
from common.flower import from_records, to_records
from common.initial_model import InitialModel, read_initial
from common.log_head import LogHead, with_head
from common.parts import flattened
from common.seeds import stream
from common.signing import open_signed, public_key
from common.wire import Reply, Request, encode_reply

EXAMPLES = 100  # of each class, at each site
_POLL_S = 0.2
Arrays = Mapping[str, NDArray[Any]]


def answer(request: Request, model: InitialModel, classes: tuple[str, ...]) -> Reply:
    """Answer a request as a site would, with arrays that mean nothing."""
    told, arrays = _told(request, model, classes)
    return Reply(request.step, request.digest, "done", told, arrays)


def _told(request: Request, model: InitialModel, classes: tuple[str, ...]) -> tuple[Told, Arrays]:
    ask, step = request.ask, request.step
    chance = stream(1, "stand-in", step.site, step.phase, step.round)
    trained = EXAMPLES * len(classes)
    if ask.kind == "census":
        told = CensusTold(
            examples={"train": dict.fromkeys(classes, EXAMPLES)}, withheld={}, fewest_examples=0,
            groups={"train": EXAMPLES}, grouped_by="patient", excluded={},
            weights=dict(model.fronts), software={}, numerics={},
        )  # fmt: skip
        return told, {}
    if ask.kind == "moments":
        width = sum(a.shape[1] for name, a in model.parts["heads"].items() if "weight" in name)
        sums = {name: chance.integers(1, 1 << 20, width) for name in ("sum", "square")}
        return MomentsTold(examples=trained), sums
    if isinstance(ask, FitAsk):
        held = flattened({part: model.parts[part] for part in TRAINED[ask.stage]})
        arrays = {
            name: (chance.standard_normal(a.shape, np.float32) * 1e-4).astype(np.float16)
            for name, a in held.items()
        }
        told_of_fit = FitTold(
            examples=trained, loss_sum=1.0 * trained,
            validation_examples=0, validation_correct=0, validation_loss_sum=0.0,
        )  # fmt: skip
        return told_of_fit, arrays
    raise ValueError(f"a stand-in knows nothing of {ask.kind}")


class StandIn:
    """One site's node: what it is handed, it answers at once.

    Args:
        connection: as Flower's `http_request_response` yields it.
        reply: makes the bytes of a reply from those of a request.
        seen: the objects that some node has fetched; equal ones are not fetched again, since all
            would be in this one process.
    """

    def __init__(
        self,
        connection: tuple[Any, ...],
        reply: Callable[[bytes], bytes],
        seen: dict[str, bytes],
    ) -> None:
        (self._node, self._receive, self._send, _, _, self._pull, self._push, self._confirm) = (
            connection
        )
        self._reply = reply
        self._seen = seen

    def step(self) -> bool:
        """Look for a message and answer it; tell whether there was one."""
        if (received := self._receive()) is None:
            return False
        message, tree = received
        run = message.metadata.run_id
        wanted = list(dict.fromkeys(part.object_id for part in iterate_object_tree(tree)))
        absent = [key for key in wanted if key not in self._seen]
        if len(absent) == len(wanted):
            self._seen.clear()  # another round's; two rounds' models would be held else
        self._seen |= pull_objects(absent, partial(self._pull, run))
        self._confirm(run, tree.object_id)
        whole = inflate_object_from_contents(tree.object_id, self._seen, keep_object_contents=True)
        if not isinstance(whole, Message):
            raise TypeError(whole)
        whole.metadata.__dict__["_message_id"] = tree.object_id
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, self._node, 1
        self._answer(Message(to_records(self._reply(from_records(whole))), reply_to=whole))
        return True

    def _answer(self, reply: Message) -> None:
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            tree = get_object_tree(reply)
            parts = get_all_nested_objects(reply)
            wanted, session = self._send(reply, tree, 0.1)

            def contents() -> Iterator[tuple[str, bytes]]:
                for key, part in parts.items():
                    if key in wanted:
                        yield key, part.deflate()

            push_object_contents_from_iterable(
                contents(), partial(self._push, reply.metadata.run_id, session)
            )


def main() -> None:
    """Serve until it is ended."""
    folder = Path(sys.argv[1])
    facts = json.loads((folder / "stand-ins.json").read_bytes())
    model = read_initial(folder / "initial.safetensors")
    coordinator = public_key(facts["coordinator"])
    answered = 0

    def reply(message: bytes) -> bytes:
        nonlocal answered
        answered += 1
        request = open_signed(message, coordinator).request
        body = encode_reply(answer(request, model, tuple(facts["classes"])))
        return with_head(body, LogHead(lines=answered, digest=digest_value(answered)))

    seen: dict[str, bytes] = {}
    with ExitStack() as connections:
        nodes = []
        for name in facts["sites"]:
            key = load_ssh_private_key((folder / f"{name}.key").read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError(name)
            connection = connections.enter_context(
                http_request_response(
                    facts["address"],
                    insecure=False,
                    root_certificates=(folder / "ca.crt").read_bytes(),
                    authentication_keys=(key, key.public_key()),
                )
            )
            nodes.append(StandIn(connection, reply, seen))
        print("all nodes are online", flush=True)
        while True:
            if not [node for node in nodes if node.step()]:
                time.sleep(_POLL_S)


if __name__ == "__main__":
    main()
