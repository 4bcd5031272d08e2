"""Whether the SuperLink answers, asked as its front asks it."""

import ssl

import httpx

from server.federation import Federation

_PATIENCE_S = 3.0


def answers(federation: Federation) -> bool:
    """Say whether the SuperLink is up; takes milliseconds, unlike Flower's own commands."""
    address = f"https://127.0.0.1:{federation.settings.link_port}/health"
    try:
        context = ssl.create_default_context(cafile=federation.authority)
        return httpx.get(address, verify=context, timeout=_PATIENCE_S).status_code == 200
    except (httpx.HTTPError, OSError):
        return False
