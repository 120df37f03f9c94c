"""`docduet serve` as a real process over a real HTTP engine: what it logs, and how it reloads and stops."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from tests.fake_engine import DONE, USAGE, FakeEngineServer, chunk
from tests.serve_process import Served, serving, until

ODD = [
    "quokkaflange",
    "zirconbagel",
    "xylotrombone",
    "wombatgasket",
    "fjordpickle",
    "yaktinsel",
    "gnuvelcro",
    "袋熊法兰",
]
"""Words of questions, answers, pages and of what an engine complains about; none may be logged."""
PAGE = Page("odd.md", "Quokkaflange", "# Quokkaflange\n\nThe quokkaflange fits the zirconbagel by default.\n")
QUESTION = "Does the quokkaflange fit the zirconbagel?"
ANSWER = (chunk("Yes: xylotrombone "), chunk("wombatgasket [1]."), chunk(finish="stop"), USAGE, DONE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With an index of one page."""
    build_index([PAGE], Home(tmp_path / "home"), RagConfig())
    return tmp_path


def toml(engine: FakeEngineServer, **more: Any) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    own = ['name = "base"', f'base_url = "{engine.url}"', "refuse_below = 0.5"]  # one question is refused unasked
    return "\n".join(["[serving]", *lines, "[[serving.engines]]", *own, ""])


def question(text: str, **more: Any) -> dict[str, Any]:
    return {"json": {"model": "rag", "messages": [{"role": "user", "content": text}], **more}}


async def ask_oddly(served: Served, engine: FakeEngineServer) -> None:
    """Good and bad requests of all kinds, each with odd words in it."""
    post, odd = served.client.post, {"X-Request-ID": "from-the-client-1"}
    path = "/v1/chat/completions"
    engine.script = ANSWER
    answer = await post(path, **question(QUESTION), headers=odd)
    assert "wombatgasket" in answer.json()["choices"][0]["message"]["content"]
    assert answer.headers["x-request-id"] == "from-the-client-1"
    assert engine.headers[-1]["X-Request-ID"] == "from-the-client-1"
    await served.stream(QUESTION, model="rag")
    assert (await post(path, **question("What is a gnuvelcro?"))).json()["choices"][0]["docduet"]["refused"]
    assert (await post(path, **question("袋熊法兰是什么？"))).status_code == 200
    assert (await post(path, **question(QUESTION, model="gnuvelcro"))).status_code == 404
    assert (await post(path, **question("gnuvelcro", docduet={"filters": {"product": "gnuvelcro"}}))).status_code == 400
    assert (
        await post(path, content=b'{"gnuvelcro": ', headers={"Content-Type": "application/json"})
    ).status_code == 400
    assert (await served.client.get("/gnuvelcro?fjordpickle=yaktinsel")).status_code == 404
    assert (await served.client.get(f"/pages/{PAGE.id}", params={"quote": "the zirconbagel"})).status_code == 200
    assert (await post("/v1/search", json={"query": QUESTION})).json()["data"]
    engine.script = (chunk("xylotrombone"), None)
    assert (await served.stream("yaktinsel"))[-1]["error"]["code"] == "engine_unavailable"
    engine.script = (chunk("x"), b'data: {"error": {"message": "no fjordpickle in: yaktinsel"}}\n\n')
    assert "fjordpickle" in (await served.stream("yaktinsel"))[-1]["error"]["message"]
    both = await served.stream(QUESTION, model="compare", docduet={"arms": ["rag", "base"]})
    assert "fjordpickle" in str(both)
    engine.script = (b"data: fjordpickle\n\n",)
    await served.stream(QUESTION, model="rag")
    engine.script = (chunk("xylotrombone"), 30.0)
    with pytest.raises(httpx.ReadTimeout):
        await post(path, **question("yaktinsel", model="base", stream=True), timeout=0.5)
    bad = "no spaces allowed"
    made = (await served.client.get("/healthz", headers={"X-Request-ID": bad})).headers["x-request-id"]
    assert made.startswith("req_")


def texts_in(lines: list[str]) -> list[str]:
    """Odd words that were logged, in whatever way they are escaped."""
    said = "".join(lines)
    said += said.encode().decode("unicode_escape", errors="replace")
    return [word for word in ODD if word.lower() in said.lower()]


@pytest.mark.timeout(300)
async def test_a_whole_life(folder: Path) -> None:
    """Logs in both formats without texts, then with; SIGHUP in between; then SIGTERM with answers under way."""
    async with FakeEngineServer() as engine, serving(folder, toml(engine, log="json", log_level="debug")) as served:
        await ask_oddly(served, engine)
        await served.says('"cancelled": true')
        await served.says('"route": "/healthz"')
        entries = [json.loads(line) for line in served.said if line.startswith("{")]
        requests = [entry for entry in entries if "route" in entry]
        first = next(entry for entry in requests if entry["request_id"] == "from-the-client-1")
        assert (first["method"], first["route"], first["status"]) == ("POST", "/v1/chat/completions", 200)
        assert (first["arm"], first["prompt_tokens"], first["completion_tokens"]) == ("rag", 3, 2)
        assert first["answer_id"].startswith("ans_")
        assert (first["user"], first["level"]) == ("local", "info")
        assert first["ms"] > 0
        assert {"/pages/{page_id}", "/v1/search", "unmatched", "/healthz"} <= {entry["route"] for entry in requests}
        assert any(entry.get("refused") for entry in requests)
        assert any(entry.get("degraded") == "engine failed" for entry in requests)
        broke = [entry for entry in entries if "broke off" in entry["message"]]
        assert broke
        assert all(entry["request_id"].startswith("req_") for entry in broke)

        await sighup(served, folder, toml(engine, log="text", shutdown_timeout_s=1.5, port=1))
        assert "needs a restart: nothing" in served.said[-1]  # the command line's --port still holds
        await ask_oddly(served, engine)
        assert await served.says(r"INFO serving.ops.requests: POST /v1/search 200 \d+ ms request_id=req_")
        assert texts_in(served.said) == []
        assert texts_in([path.read_text() for path in (folder / "home" / "logs").glob("*.log")]) == []

        (folder / "docduet.toml").write_text('[serving]\nlog_text = "yes"\n')
        served.process.send_signal(signal.SIGHUP)
        assert await served.says("stays as it was.*did you mean 'log_texts'")
        await sighup(served, folder, toml(engine, log_texts=True, shutdown_timeout_s=1.5))
        engine.script = ANSWER
        await served.client.post("/v1/chat/completions", **question(QUESTION))
        assert await served.says('question="Does the quokkaflange.* answer="Yes: xylotrombone wombatgasket')

        await stop(served, engine)


async def sighup(served: Served, folder: Path, text: str) -> None:
    before = len(served.said)
    (folder / "docduet.toml").write_text(text)
    served.process.send_signal(signal.SIGHUP)
    await until(lambda: any("configuration read again" in line for line in served.said[before:]))


async def asked_for(engine: FakeEngineServer, *questions: str) -> None:
    await until(lambda: set(questions) <= {request["messages"][-1]["content"] for request in engine.requests})


async def not_ready(served: Served) -> bool:
    return await served.status() == 503


async def stop(served: Served, engine: FakeEngineServer) -> None:
    """SIGTERM while one answer ends in time, and two do not."""
    engine.script = (chunk("slow "), 0.7, chunk("but sure"), chunk(finish="stop"), USAGE, DONE)
    in_time = asyncio.create_task(served.stream("slow"))
    await asked_for(engine, "slow")
    engine.script = tuple(step for _ in range(600) for step in (chunk("on and on "), 0.05))
    for_ever = asyncio.create_task(served.stream("for ever"))
    whole = asyncio.create_task(served.client.post("/v1/chat/completions", **question("whole", model="base")))
    await asked_for(engine, "for ever", "whole")
    served.process.send_signal(signal.SIGTERM)
    await until(lambda: not_ready(served))
    down = (await served.client.get("/readyz")).json()["down"][0]
    assert down["part"] == "gateway"
    assert "shutting down" in down["reason"]
    refused = await served.client.post("/v1/chat/completions", **question("new"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
    assert int(refused.headers["retry-after"]) > 0

    chunks = await in_time
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "slow but sure"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    *_, last, error = await for_ever
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["choices"][0]["docduet"]["degraded"] == "shutting down"
    assert error["error"]["code"] == "shutting_down"
    answer = await whole
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
    assert await served.process.wait() in (0, -signal.SIGTERM)
    assert engine.disconnected >= 2


@pytest.mark.timeout(120)
async def test_a_second_signal_ends_at_once(folder: Path) -> None:
    async with FakeEngineServer() as engine, serving(folder, toml(engine)) as served:
        engine.script = (chunk("x"), 60.0)
        asked = asyncio.create_task(served.stream("for ever"))
        await until(lambda: engine.requests)
        served.process.send_signal(signal.SIGTERM)
        await until(lambda: not_ready(served))
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 128 + signal.SIGTERM
        with pytest.raises(httpx.RemoteProtocolError):
            await asked


async def test_the_command_line_says_what_a_dead_gateway_needs(folder: Path) -> None:
    """A configuration that is wrong from the start ends the process with one line."""
    (folder / "docduet.toml").write_text("[serving]\nlogs = 1\n")
    with pytest.raises(AssertionError, match=re.escape("did you mean 'log'")):
        async with serving(folder, "[serving]\nlogs = 1\n"):
            pass
