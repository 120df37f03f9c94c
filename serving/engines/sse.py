"""Server-sent events out of bytes as they come. Pure: no I/O, no JSON."""

from __future__ import annotations

MAX_LINE = 2**21
"""A longer line is an endless one (bytes)."""


class LineTooLong(ValueError):
    """The server sends an endless line."""


class EventReader:
    """``feed`` bytes, get the data of the events that are complete. Lines end in LF or CRLF; fields other than ``data``
    are of no use here. ``close`` gives what a server left without a blank line behind it."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, read: bytes) -> list[bytes]:
        """Raises LineTooLong."""
        *lines, self._rest = (self._rest + read).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise LineTooLong
        found = []
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif self._data and not line:
                found.append(self._take())
        return found

    def close(self) -> list[bytes]:
        last = self.feed(b"\n")
        return [*last, self._take()] if self._data else last

    def _take(self) -> bytes:
        data, self._data = self._data, []
        return data[0] if len(data) == 1 else b"\n".join(data)
