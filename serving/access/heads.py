"""Limits on what comes before a request: its line and headers. The parser (httptools) itself takes any amount.

uvicorn.Config(app, http=protocol())
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Protocol

MAX_BYTES = 64 * 1024
TIMEOUT_S = 30.0
LINGER_S = 1.0
"""What still comes is read so long: closing with data unread resets the connection, and the answer may be lost."""


def protocol(max_bytes: int = MAX_BYTES, timeout_s: float = TIMEOUT_S) -> type[Protocol]:
    """uvicorn's HTTP protocol, which hangs up on headers that are too large or take too long to come."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Limited(HttpToolsProtocol):
        _head = 0
        _hung_up = False
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._head = 0
            self._start_timer()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._head = -1  # from here on it is the body, which serving/api/bodylimit.py limits
            self._stop_timer()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            if self._hung_up:
                return
            super().data_received(data)
            if self._head >= 0:
                self._head += len(data)
            if self._head > max_bytes and not self.transport.is_closing():
                self._hang_up()

        def _hang_up(self) -> None:
            self._hung_up = True
            self._stop_timer()
            self.transport.write(_TOO_LARGE)
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.transport.close)

        def _start_timer(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(timeout_s, self.transport.close)

        def _stop_timer(self) -> None:
            if self._timer:
                self._timer.cancel()
                self._timer = None

    return Limited


_BODY = (
    b'{"error":{"message":"the headers are too large","type":"invalid_request_error",'
    b'"code":"headers_too_large","param":null}}'
)
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY
