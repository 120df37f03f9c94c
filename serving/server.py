"""Run the gateway: in the foreground for `docduet serve`, in a thread for one question of `docduet ask`."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from data.address import local_url
from data.errors import DocDuetError, PortInUseError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Config

    from serving.gateway import Gateway

START_TIMEOUT_S = 60.0


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; PortInUseError names the way out. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        if error.errno == 98 or "in use" in str(error):
            raise PortInUseError(
                f"port {port} on {host} is in use: stop what listens there, or choose another with --port"
            ) from None
        raise DocDuetError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return sock


def url_of(sock: socket.socket) -> str:
    """The http URL of a bound socket, as a browser on this machine reaches it."""
    host, port = sock.getsockname()[:2]
    return local_url(host, port)


def answers(url: str) -> bool:
    """Whether a DocDuet gateway runs at ``url``."""
    import httpx

    try:
        return bool(httpx.get(f"{url}/healthz", timeout=1.0).json() == {"status": "ok"})
    except (httpx.HTTPError, ValueError):
        return False


def run(app: FastAPI, sock: socket.socket, started: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; answers under way may end (serving/ops/drain.py). A second signal ends at once.

    ``started`` is called once it answers. Logs go to standard error from here on.
    """
    from serving.ops.logs import configure
    from serving.ops.signals import serving_until_told
    from serving.settle import settle

    def ready() -> None:
        started()
        settle()

    gateway: Gateway = app.state.gateway
    configure(gateway.config)
    serving_until_told(_config(app), gateway, ready).run(sockets=[sock])


@contextlib.contextmanager
def in_background(app: FastAPI) -> Iterator[str]:
    """Serve on a free loopback port from a thread; gives the URL."""
    sock = listen("127.0.0.1", 0)
    import uvicorn

    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise DocDuetError("the gateway did not start: see the messages above")
        time.sleep(0.01)
    try:
        yield url_of(sock)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _config(app: FastAPI) -> Config:
    """uvicorn leaves logging to us, in serving/ops: lines of requests, and one format for all."""
    import uvicorn

    from serving.access.heads import protocol

    return uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5, access_log=False, http=protocol())
