"""Stock clients, unmodified, against the running gateway: openai (this environment's and 3.x), langchain-openai,
LlamaIndex, curl. Those with environments of their own are marked real; Open WebUI has a file to itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client_gateway import (
    ANSWER,
    CLEAN,
    QUESTION,
    client_python,
    engine_in_thread,
    handbook_gateway,
    index_handbook,
    says,
)
from tests.client_script import openai as see_with_openai
from tests.fake_engine import FakeEngineServer

SCRIPT = Path(__file__).with_name("client_script.py")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = index_handbook(tmp_path_factory.mktemp("clients"))
    with engine_in_thread(FakeEngineServer(script=says(ANSWER))) as engine, handbook_gateway(home, engine) as url:
        yield url


def seen(client: str, python: Path | str, gateway: str) -> dict[str, Any]:
    """What a client in an environment of its own saw."""
    command = [str(python), str(SCRIPT), client, f"{gateway}/v1", QUESTION]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode == 0, ran.stderr[-2000:]
    body: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return body


def check_openai(saw: dict[str, Any]) -> None:
    texts = {saw[way] for way in ("text", "streamed", "response", "response_streamed")}
    assert texts == {CLEAN}
    assert saw["cited"] == saw["response_cited"] == ["[1]", "[2]"]
    assert (saw["streamed_cited"], saw["usage"], saw["response_ended"]) == (2, 5, "response.completed")
    assert (saw["models"], saw["refused"]) == (["auto", "rag", "base"], "unsupported_parameter tool_choice")


def test_openai_sdk_2(gateway: str) -> None:
    saw = see_with_openai(f"{gateway}/v1", QUESTION)
    assert saw["version"].startswith("2.")
    check_openai(saw)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_openai_sdk_3(gateway: str) -> None:
    saw = seen("openai", client_python("openai-3", "openai>=3,<4"), gateway)
    assert saw["version"].startswith("3.")
    check_openai(saw)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_langchain_openai(gateway: str) -> None:
    saw = seen("langchain", client_python("langchain-openai", "langchain-openai==1.7.4"), gateway)
    assert {saw[way] for way in ("text", "streamed", "chat", "chat_streamed")} == {CLEAN}
    assert len(saw["cited"]) == saw["streamed_cited"] == 2
    assert saw["usage"] == 5


@pytest.mark.real
@pytest.mark.timeout(600)
def test_llamaindex_openai_like(gateway: str) -> None:
    python = client_python("llama-index-openai-like", "llama-index-llms-openai-like==0.8.1")
    assert seen("llamaindex", python, gateway) == dict.fromkeys(("text", "streamed", "completed"), CLEAN)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl: apt-get install curl")
def test_curl(gateway: str) -> None:
    body = json.dumps({"model": "rag", "stream": True, "messages": [{"role": "user", "content": QUESTION}]})
    command = ["curl", "-sSN", f"{gateway}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", body]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = [line.removeprefix("data: ") for line in said.splitlines() if line]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == CLEAN
    assert sum(len(delta.get("annotations", [])) for delta in deltas) == 2
