"""The engine client against a real HTTP server that misbehaves in every way known of engines."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from data.errors import EngineError
from data.prompts import Message
from serving.engines.delta import EngineDelta
from serving.engines.engine import Engine
from tests.fake_engine import DONE, GOOD, USAGE, FakeEngineServer, chunk

ASK = [Message(role="user", content="hi")]


async def deltas(server: FakeEngineServer, **options: Any) -> list[EngineDelta]:
    params = options.pop("params", {})
    engine = Engine("base", server.url, **options)
    try:
        return [delta async for delta in engine.chat(ASK, **params)]
    finally:
        await engine.aclose()


def text(found: list[EngineDelta]) -> str:
    return "".join(delta.text for delta in found)


async def test_a_good_stream() -> None:
    async with FakeEngineServer() as server:
        found = await deltas(server, params={"temperature": 0.0, "max_tokens": 9}, api_key="secret")
    assert text(found) == "Hello world"
    assert found[-1].usage == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    request = server.requests[0]
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("served", 0.0, 9)
    assert server.headers[0]["Authorization"] == "Bearer secret"


async def test_what_kills_an_engine_is_not_sent_to_it() -> None:
    async with FakeEngineServer() as server:
        await deltas(server, params={"temperature": 0.5, "seed": 7}, ignores=frozenset({"seed"}))
        await deltas(server, params={"seed": 7})
    assert server.requests[0]["temperature"] == 0.5
    assert "seed" not in server.requests[0]
    assert server.requests[1]["seed"] == 7


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_bytes_may_be_split_anywhere(size: int) -> None:
    whole = b"".join([chunk("Grüße 🙂 "), chunk("世界"), chunk(finish="stop"), DONE])
    async with FakeEngineServer(tuple(whole[i : i + size] for i in range(0, len(whole), size))) as server:
        assert text(await deltas(server)) == "Grüße 🙂 世界"


ODD_BUT_FINE = [
    tuple(piece.replace(b"\n", b"\r\n") for piece in GOOD),
    (b": keep-alive\n\n", *GOOD),
    (b"event: message\nid: 7\n" + GOOD[0], *GOOD[1:]),
    (*GOOD[:3], USAGE),  # no [DONE]
    (*GOOD[:2], GOOD[2].rstrip(b"\n")),  # no last blank line
    (b'data: {"choices": []}\n\n', *GOOD),
    (b'data: {"choices": [{"delta": null, "finish_reason": null}]}\n\n', *GOOD),
    (chunk("Hello world", finish="stop"), DONE),
]


@pytest.mark.parametrize("script", ODD_BUT_FINE)
async def test_odd_but_fine(script: tuple[bytes, ...]) -> None:
    async with FakeEngineServer(script) as server:
        assert text(await deltas(server)) == "Hello world"


async def test_thinking_under_either_name() -> None:
    script = (chunk(reasoning="why "), chunk(reasoning_content="so"), chunk("x", finish="stop"), DONE)
    async with FakeEngineServer(script) as server:
        found = await deltas(server)
    assert ("".join(delta.reasoning for delta in found), text(found)) == ("why so", "x")


BROKEN = [
    ((*GOOD[:2], None), "cannot be reached|broke off"),
    (GOOD[:2], "broke off"),
    ((GOOD[0], b'data: {"error": {"message": "out of memory"}}\n\n'), "out of memory"),
    ((GOOD[0], b'data: {"error": "boom"}\n\n'), "boom"),
    ((GOOD[0], b"data: <html>\n\n"), "not JSON"),
    ((GOOD[0], b"data: [1, 2]\n\n"), "not a chunk"),
    ((GOOD[0], b"data: " + b"x" * 3_000_000), "endless line"),
    ((GOOD[0], 5.0), "fell silent"),
    ((5.0, *GOOD), "said nothing|fell silent"),
]


@pytest.mark.parametrize(("script", "message"), BROKEN)
async def test_broken_streams_are_engine_errors(script: tuple[Any, ...], message: str) -> None:
    async with FakeEngineServer(script) as server:
        with pytest.raises(EngineError, match=message):
            await deltas(server, idle_timeout_s=0.3, first_timeout_s=0.6)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_http_errors_carry_the_servers_words(status: int) -> None:
    async with FakeEngineServer(status=status) as server:
        with pytest.raises(EngineError, match=f"answered {status}: too many cooks"):
            await deltas(server)


async def test_nobody_there() -> None:
    engine = Engine("base", "http://127.0.0.1:9/v1")
    assert not await engine.ready()
    with pytest.raises(EngineError, match="is it running"):
        await anext(engine.chat(ASK))
    await engine.aclose()


async def test_ready_needs_the_model() -> None:
    async with FakeEngineServer(models=("a",)) as server:
        for model, expected in (("", True), ("a", True), ("b", False)):
            engine = Engine("base", server.url, model=model)
            assert await engine.ready() is expected
            await engine.aclose()


@pytest.mark.parametrize("data", ["x", ["x"], {"id": "x"}, [{"id": None}], 7, None])
async def test_a_list_of_models_that_is_none(data: Any) -> None:
    """Whoever watches an engine asks for it again and again: nothing that a server says may end that."""

    class Odd(FakeEngineServer):
        async def _models(self, _: web.Request) -> web.Response:
            return web.json_response({"data": data})

    async with Odd() as server:
        engine = Engine("base", server.url)
        assert not await engine.ready()
        with pytest.raises(EngineError, match="lists no model"):
            await anext(engine.chat(ASK))
        await engine.aclose()


@pytest.mark.parametrize("choice", [{"delta": "x"}, {"delta": ["x"]}, {"delta": 7, "finish_reason": ["stop"]}, "x"])
async def test_pieces_that_are_none_say_nothing(choice: Any) -> None:
    odd = b"data: " + json.dumps({"choices": [choice], "usage": "x"}).encode() + b"\n\n"
    async with FakeEngineServer((odd, *GOOD)) as server:
        assert text(await deltas(server)) == "Hello world"


async def test_endless_nesting_is_an_engines_error() -> None:
    async with FakeEngineServer((b"data: " + b"[" * 200_000 + b"\n\n", *GOOD)) as server:
        with pytest.raises(EngineError, match="not JSON"):
            await deltas(server)


async def test_closing_the_stream_ends_the_work_upstream() -> None:
    async with FakeEngineServer((GOOD[0], *(step for _ in range(500) for step in (0.02, chunk("more "))))) as server:
        engine = Engine("base", server.url)
        stream = engine.chat(ASK)
        await anext(stream)
        await stream.aclose()
        for _ in range(100):
            if server.disconnected:
                break
            await asyncio.sleep(0.02)
        assert server.disconnected == 1
        await engine.aclose()


async def test_only_sampling_parameters_get_through() -> None:
    async with FakeEngineServer() as server:
        with pytest.raises(TypeError, match="chat_template"):
            await deltas(server, params={"chat_template": "{{ evil }}"})
        await deltas(server, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}
