"""A gateway that answers from a script, over real HTTP: for tests of what talks to one."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse


@dataclass(frozen=True)
class Script:
    """What is answered. ``text`` may hold markers of ``sources``; ``error`` is (HTTP status, message, code)."""

    text: str = "Yes."
    sources: tuple[dict[str, Any], ...] = ()
    thinking: str = ""
    query: str = ""
    refused: bool = False
    degraded: str | None = None
    arm: str = ""
    reason: str = "asked for"
    scores: dict[str, float] = field(default_factory=dict)
    checks: dict[str, Any] = field(
        default_factory=dict
    )  # support, unsupported, stale, truncated as the gateway has them
    error: tuple[int, str, str] | None = None
    breaks_off: bool = False  # the connection closes without an end
    fails_midway: str = ""  # an error event instead of the end
    pause: float = 0.0  # seconds between pieces
    other: Script | None = None  # a second choice, streamed at the same time


def source(n: int, title: str = "Ports", quote: str = "Set the port in docduet.toml.", **more: Any) -> dict[str, Any]:
    """A source as the gateway sends it."""
    page = more.pop("page_id", f"page{n}")
    body = {
        "n": n,
        "page_id": page,
        "url": f"guide/{page}.md",
        "href": f"{{base}}/pages/{page}?quote=x",
        "title": title,
    }
    return {
        **body,
        "heading_path": ["Setup", "Network"],
        "quote": quote,
        "marks": [],
        "lang": "en",
        "score": 0.9,
        **more,
    }


@dataclass
class FakeGateway:
    """``scripts`` maps questions to answers; any other question gets ``default``."""

    scripts: dict[str, Script] = field(default_factory=dict)
    default: Script = Script()
    mode: str = "engine"
    ready: bool = True
    demo: bool = False  # the engine is the demonstration's model
    voices: tuple[str, ...] = ("rag", "base")
    labels: tuple[tuple[str, str, str], ...] = ()  # (product, version, language) of each page
    refresh: dict[str, Any] = field(default_factory=lambda: {"state": "off"})
    me: dict[str, str] = field(default_factory=lambda: {"user": "local", "name": "", "role": "admin", "sign_in": ""})
    asked: list[dict[str, Any]] = field(default_factory=list)
    hung_up: int = 0

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/v1/models")(self._models)
        app.get("/v1/labels")(self._labels)
        app.get("/v1/me")(lambda: {"object": "user", **self.me})
        app.get("/readyz")(self._readyz)
        app.get("/healthz")(lambda: {"status": "ok"})
        app.get("/metrics")(lambda: Response("docduet_up 1\n", media_type="text/plain"))
        app.get("/pages/{page_id}")(self._page)
        app.post("/v1/chat/completions")(self._chat)
        return app

    def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self.voices]}

    def _labels(self) -> dict[str, Any]:
        data = [dict(zip(("product", "version", "lang"), entry, strict=True)) for entry in dict.fromkeys(self.labels)]
        values = {name: sorted({entry[name] for entry in data} - {""}) for name in ("product", "version", "lang")}
        return {"object": "list", "data": [entry | {"pages": 1} for entry in data], "values": values}

    def _readyz(self) -> JSONResponse:
        index = {"pages": 3} if self.ready else {"error": "nothing is indexed yet: run `docduet sync FOLDER`"}
        engines = {"base": {"state": "ready", "detail": "", "demo": True}} if self.demo else {}
        parts = {"index": index, "engines": engines, "refresh": self.refresh}
        body = {"ready": self.ready, "mode": self.mode, "parts": parts}
        return JSONResponse(body, 200 if self.ready else 503)

    def _page(self, page_id: str) -> HTMLResponse:
        return HTMLResponse(f"<title>{page_id}</title><h1>Stored page {page_id}</h1>")

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        script = self.scripts.get(body["messages"][-1]["content"], self.default)
        if script.error:
            status, message, code = script.error
            return JSONResponse({"error": {"message": message, "type": "e", "code": code, "param": None}}, status)
        base = str(request.base_url).rstrip("/")
        return StreamingResponse(self._stream(script, body, base), media_type="text/event-stream")

    async def _stream(self, script: Script, body: dict[str, Any], base: str) -> AsyncIterator[str]:
        complete = False
        try:
            for chunk in chunks(script, body, base):
                yield f"data: {json.dumps(chunk)}\n\n"
                await asyncio.sleep(script.pause)
            if not script.breaks_off:
                yield "data: [DONE]\n\n"
            complete = True
        finally:
            self.hung_up += not complete


def chunks(script: Script, body: dict[str, Any], base: str) -> Iterator[dict[str, Any]]:
    """The stream's chunks."""
    question = body["messages"][-1]["content"]
    if script.other:
        yield from _mixed(script, body, base)
        return
    route = {"reason": script.reason, "query": script.query or question, "rewritten": bool(script.query)}
    route |= {"scores": script.scores}
    yield _chunk({"role": "assistant", "content": ""}) | {"docduet": {"answer_id": "ans_1", "route": route}}
    if script.thinking:
        yield _chunk({"reasoning": script.thinking})
    sources = {s["n"]: {**s, "href": s["href"].replace("{base}", base)} for s in script.sources}
    yield from _text(script.text, sources)
    if script.breaks_off:
        return
    if script.fails_midway:
        yield {
            "error": {
                "message": script.fails_midway,
                "type": "server_error",
                "code": "engine_unavailable",
                "param": None,
            }
        }
        return
    times = {"retrieve": 12.4, "first_token": 40.2, "total": 912.0}
    last = _chunk({}, "stop")
    last["choices"][0]["docduet"] = {
        "arm": script.arm or body["model"],
        "sources": list(sources.values()),
        "refused": script.refused,
        "degraded": script.degraded,
        "timings_ms": times,
    } | script.checks
    yield last
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": 1234, "completion_tokens": 56, "total_tokens": 1290}
        yield {"id": "ans_1", "object": "chat.completion.chunk", "choices": [], "usage": usage}


def _mixed(script: Script, body: dict[str, Any], base: str) -> Iterator[dict[str, Any]]:
    """Two choices, a chunk of each in turn; the object at the top comes once."""
    assert script.other
    sides = [list(chunks(side, body, base)) for side in (replace(script, other=None), script.other)]
    del sides[1][0]["docduet"]
    for pair in zip_longest(*sides):
        for index, chunk in enumerate(pair):
            if chunk and chunk["choices"]:
                chunk["choices"][0]["index"] = index
            if chunk and (chunk["choices"] or index):
                yield chunk


def _text(text: str, sources: dict[int, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[int] = set()
    at = 0
    for piece in re.findall(r"\[\d+\]|\s*[^\s\[]+|\s+|\[", text):
        marked = re.fullmatch(r"\[(\d+)\]", piece)
        cited = sources.get(int(marked[1])) if marked else None
        if cited:
            name = " > ".join([cited["title"], *cited["heading_path"]])
            if cited["n"] not in seen:
                seen.add(cited["n"])
                yield _chunk({}) | {"event": {"type": "source", "data": _chip(cited, f"[{cited['n']}] {name}")}}
            place = {"start_index": at, "end_index": at + len(piece), "title": name, "url": cited["href"]}
            yield _chunk({"content": piece, "annotations": [{"type": "url_citation", "url_citation": place}]})
        else:
            yield _chunk({"content": piece})
        at += len(piece)


def _chip(cited: dict[str, Any], name: str) -> dict[str, Any]:
    about = {"source": {"name": name, "url": cited["href"]}, "document": [cited["quote"]]}
    return {**about, "metadata": [{"source": cited["href"], "name": name}], "distances": [cited["score"]]}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "ans_1", "object": "chat.completion.chunk", "created": 1, "model": "rag", "choices": [choice]}


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """``app`` on a free loopback port, in a thread; yields its URL."""
    with in_thread(lambda _: app) as url:
        yield url


@contextmanager
def in_thread(make: Any, port: int = 0) -> Iterator[str]:
    """``make(url)`` is served at ``url``: for an app that must know its own address. ``port``: 0 takes a free one."""
    import socket

    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server may come back to the port it had
    sock.bind(("127.0.0.1", port))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(make(url), log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.02)
        yield url
    finally:
        server.should_exit = True
        thread.join(10)
        sock.close()
