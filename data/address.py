"""The address of a server, as something on this machine reaches it."""

from __future__ import annotations


def local_url(host: str, port: int) -> str:
    """``http://host:port``; a server that listens everywhere is reached at 127.0.0.1, IPv6 stands in brackets."""
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
