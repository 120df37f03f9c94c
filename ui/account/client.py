"""What the gateway says of whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from data.errors import GatewayError
from ui.client import Gateway


@dataclass(frozen=True)
class Me:
    """``sign_in``: how they came, "" where nobody signs in: then there is nothing to sign out of."""

    user: str = ""
    name: str = ""
    role: str = ""
    sign_in: str = ""


async def me(gateway: Gateway) -> Me:
    """Whose page it is; nobody in particular while the gateway does not answer."""
    try:
        body = await gateway.request_json("GET", "/v1/me")
    except GatewayError:
        return Me()
    return Me(**{name: str(body.get(name) or "") for name in Me.__dataclass_fields__})
