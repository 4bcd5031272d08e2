"""The administrators' side of the worker's second socket."""

from pathlib import Path

import grpc

from common.errors import ConfigError
from common.worker_pb2 import LookRequest, Outlook

_PATIENCE_S = 5.0


def look(socket: Path) -> Outlook:
    """Ask the worker how things stand.

    Raises:
        ConfigError: no worker answers there.
    """
    with grpc.insecure_channel(f"unix:{socket.resolve()}") as channel:
        ask = channel.unary_unary(
            "/leukofed.Desk/Look",
            request_serializer=LookRequest.SerializeToString,
            response_deserializer=Outlook.FromString,
        )
        try:
            outlook: Outlook = ask(LookRequest(), timeout=_PATIENCE_S)
        except grpc.RpcError as error:
            raise ConfigError(
                "no worker answers at this socket",
                fix="start `leukofed-site worker`, or name its socket with --desk; it can be used "
                "by the worker's own user only",
                local_detail=f"{socket}: {error.code().name}",
            ) from error
    return outlook
