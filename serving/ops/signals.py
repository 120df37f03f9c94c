"""uvicorn's server with the signals of `docduet serve`: stop in good order, stop at once, read the configuration again.

SIGTERM and SIGINT (Ctrl-C) begin to stop; the second one ends the process there and then. SIGHUP reloads
(serving/ops/reload.py), or stops, when it says that the terminal was closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn

from data.errors import DocDuetError

if TYPE_CHECKING:
    from serving.gateway import Gateway

log = logging.getLogger(__name__)


def serving_until_told(config: uvicorn.Config, gateway: Gateway, started: Callable[[], None]) -> uvicorn.Server:
    """A server of ``gateway``; ``started`` is called once it answers."""
    return _Server(config, gateway, started)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, gateway: Gateway, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._announce = started
        self._terminal = _has_terminal()
        self._reloads: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up)
        self._announce()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A signal handler: the second signal ends the process; engines end with it (serving/reaper.py)."""
        if self._gateway.drain.begun or not self.started:
            os._exit(128 + sig)
        self._captured_signals.append(sig)
        self._gateway.drain.begin()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to stop listening and end."""
        drain = self._gateway.drain
        told = await super().on_tick(counter)
        return told or (drain.begun and drain.over(self._gateway.config.shutdown_timeout_s))

    def _hung_up(self) -> None:
        if self._terminal and not _has_terminal():
            self.handle_exit(signal.SIGTERM, None)
            return
        task = asyncio.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        if self._gateway.reloader is None:
            return
        try:
            await self._gateway.reloader.reload()
        except DocDuetError as error:
            log.error("the configuration stays as it was: %s", error)


def _has_terminal() -> bool:
    """Whether the process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
