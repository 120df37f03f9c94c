"""An engine that costs next to nothing: what a gateway in front of it takes is the gateway's own.

    python benchmarks/fast_engine.py --port 8000 [--pieces 32]

Speaks the two OpenAI routes a gateway needs, streaming (one write per piece) and whole, with the same bytes for
everybody. Understands only well-formed requests. A request's ``seed``, which every gateway passes on, is taken for the
milliseconds between two pieces.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import cast

import uvloop

WORDS = ("The ", "gateway ", "listens ", "on ", "port ", "7860 ", "by ", "default ")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_STREAM = re.compile(rb'"stream": ?true')
_SEED = re.compile(rb'"seed": ?(\d+)')
_USAGE = {"prompt_tokens": 100, "completion_tokens": 32, "total_tokens": 132}
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "base"}


def pieces(count: int) -> list[bytes]:
    """The events of a stream: role, ``count`` pieces of text, the end, the usage, [DONE]."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": WORDS[n % len(WORDS)]}, None) for n in range(count)]
    deltas += [({}, "stop")]
    head = _HEAD | {"object": "chat.completion.chunk"}
    bodies = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    bodies.append(head | {"choices": [], "usage": _USAGE})
    events = [b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies]
    return [*events, b"data: [DONE]\n\n"]


def whole(count: int) -> bytes:
    """The same answer in one piece."""
    message = {"role": "assistant", "content": "".join(WORDS[n % len(WORDS)] for n in range(count))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps(_HEAD | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


def response(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(),
        len(body),
        body,
    )


class FastEngine(asyncio.Protocol):
    """One connection. ``say``: the stream as HTTP chunks; ``plain``: the whole response."""

    models = response(b'{"object": "list", "data": [{"id": "base", "object": "model", "owned_by": "bench"}]}')
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    def __init__(self, count: int) -> None:
        self.say = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces(count)] + [b"0\r\n\r\n"]
        self.plain = response(whole(count))
        self.interval = 0.0
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or (length and len(rest) < int(length[1])):
            return
        self.buffer = b""
        if head.startswith(b"GET"):
            self.transport.write(self.models)
        elif _STREAM.search(rest):
            seed = _SEED.search(rest)
            self.interval = int(seed[1]) / 1000 if seed else 0.0
            self.stream(self.head, 0)
        else:
            self.transport.write(self.plain)

    def stream(self, head: bytes, start: int) -> None:
        """All pieces at once, each a write of its own, or one now and the next after the interval."""
        for number in range(start, len(self.say)):
            if self.transport.is_closing():
                return
            self.transport.write(head + self.say[number])
            head = b""
            if self.interval and number < len(self.say) - 2:
                asyncio.get_running_loop().call_later(self.interval, self.stream, b"", number + 1)
                return


async def serve(port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: FastEngine(count), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pieces", type=int, default=32)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.pieces))


if __name__ == "__main__":
    main()
