"""What the SuperLink knows of the sites: whether it answers, and which of them are connected."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from server.control import SUPERLINK, flwr
from server.federation import Federation

_HEALTH_S = 3.0


@dataclass(frozen=True)
class Node:
    """A site's SuperNode, as the SuperLink sees it."""

    status: str
    """`online`, `offline`, `registered` (never seen), `unregistered`, or `unknown`."""
    seen: str = ""
    """Of a node that is not online, when it left, as Flower writes it."""


UNKNOWN = Node("unknown")


def answers(federation: Federation) -> bool:
    """Say whether the SuperLink is up; takes milliseconds."""
    address = f"https://127.0.0.1:{federation.settings.link_port}/health"
    try:
        context = ssl.create_default_context(cafile=federation.authority)
        return httpx.get(address, verify=context, timeout=_HEALTH_S).status_code == 200
    except (httpx.HTTPError, OSError):
        return False


def nodes(federation: Federation, numbers: Mapping[str, str]) -> dict[str, Node]:
    """Ask the SuperLink for the nodes of some sites; a second or two of processor time.

    Args:
        federation: whose SuperLink.
        numbers: per site, Flower's number for its node.

    Raises:
        LinkError: it does not answer.
    """
    listed = {
        str(node["node-id"]): Node(
            str(node["status"]),
            "" if node.get("offline-at") in (None, "N/A") else str(node["offline-at"]),
        )
        for node in flwr(federation, "supernode", "list", SUPERLINK)["nodes"]
    }
    return {site: listed.get(number, UNKNOWN) for site, number in numbers.items()}
