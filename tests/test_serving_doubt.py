"""Answers that a small model is not sure of: held back, quoted instead, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.arms.doubt import LOOP, UNSURE, Doubt
from serving.config import EngineConfig, ServingConfig
from serving.engines.delta import EngineDelta, delta_of, joined
from serving.engines.engine import Engine
from serving.engines.supervisor import Supervisor
from serving.server import in_background
from tests.fake_engine import DONE, USAGE, FakeEngineServer, chunk
from tests.fakes import ScriptedEngine, ScriptedSupervisor

QUESTION = "Which port does the gateway listen on by default?"


def shown(doubt: Doubt, text: str, logprobs: Sequence[float], cut: int = 4) -> str:
    told: list[float] = []
    out = ""
    for at in range(0, len(text), cut):
        told.append(logprobs[min(at // cut, len(logprobs) - 1)])
        out += doubt.feed(text[at : at + cut], told)
    return out + doubt.close("", told)


def test_an_engine_without_the_setting_is_not_watched() -> None:
    doubt = Doubt(0.0)
    assert doubt.feed("Port", [-9.0]) == "Port"
    assert shown(doubt, "Say it again. " * 9, [-9.0]) == "Say it again. " * 9
    assert not doubt.reason


@pytest.mark.parametrize(
    "text", ["It is port 7860 [1]. More.", "端口是 7860。[1] 可以修改。", "- Port 7860 [1]\n- b", "7860"]
)
def test_a_sure_answer_comes_whole_and_an_unsure_one_not_at_all(text: str) -> None:
    sure = Doubt(-0.5)
    assert shown(sure, text, [-0.4]) == text
    assert not sure.reason
    unsure = Doubt(-0.5)
    assert shown(unsure, text, [-0.6]) == ""
    assert unsure.reason == UNSURE


def test_nothing_is_shown_before_the_first_sentence_is_decided() -> None:
    doubt = Doubt(-0.5)
    assert doubt.feed("It is port 7860 [1].", [-0.1]) == ""  # markers may follow
    assert doubt.feed(" It can", [-0.1, -0.2]) == "It is port 7860 [1]. It can"
    assert doubt.feed(" change", [-0.1, -0.2, -99.0]) == " change"  # later doubts come too late


def test_an_engine_that_tells_no_logprobs_is_believed() -> None:
    doubt = Doubt(-0.5)
    assert doubt.feed("A port. Another", []) == "A port. Another"


def test_a_sentence_without_end_is_decided_as_it_stands() -> None:
    doubt = Doubt(-0.5)
    assert shown(doubt, "word and " * 100, [-2.0]) == ""
    assert doubt.reason == UNSURE


@pytest.mark.parametrize(
    "text",
    [
        "Open the port. Then wait. " * 4,
        "It is " + "a port and " * 20,
        "打开网关的设置页面。" * 5,
        "x\n" + "the cat\n" * 9,
    ],
)
def test_a_loop_ends_soon(text: str) -> None:
    doubt = Doubt(-5.0)
    out = shown(doubt, text, [-0.1])
    assert doubt.reason == LOOP
    assert text.startswith(out)
    assert len(out) < len(text)


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n|---|---|\n| 1 | yes |\n| 2 | yes |\n| 3 | yes |\n\n----------------------------\n",
        "```\nrun it now please\nrun it now please\nrun it now please\nrun it now please\n```\n",
        "1. Open it. [1]\n2. Open it. [1]\n3. Close it. [1]\n",
        "The key is 000000000000000000000000.",
    ],
)
def test_tables_code_and_short_lines_are_no_loops(text: str) -> None:
    doubt = Doubt(-5.0)
    assert shown(doubt, text, [-0.1]) == text
    assert not doubt.reason


def test_logprobs_of_a_stream() -> None:
    told = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}
    first = delta_of({"choices": [{"delta": {"content": "ab"}, "logprobs": told}]})
    assert first.logprobs == (-0.5, -1.0)
    for odd in ({"content": None}, {"content": [{}]}, [], "x", {"content": 3}):
        assert delta_of({"choices": [{"delta": {"content": "ab"}, "logprobs": odd}]}).logprobs == ()
    assert list(joined([first, EngineDelta("c", logprobs=(-2.0,))])) == [
        EngineDelta("abc", logprobs=(-0.5, -1.0, -2.0))
    ]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    home = Home(tmp_path_factory.mktemp("doubt"))
    build_index([Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860.\n")], home, RagConfig())
    return LiveIndex(home, RagConfig())


@pytest.fixture
def asked(live: LiveIndex) -> Iterator[Any]:
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(engine: ScriptedEngine) -> tuple[dict[str, Any], str]:
            config = ServingConfig(engines=(EngineConfig(name="base", base_url="http://scripted"),))
            supervisor: Any = ScriptedSupervisor(engine)
            url = stack.enter_context(in_background(create_app(config, supervisor, live)))
            body = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}]}
            choice: dict[str, Any] = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).json()["choices"][
                0
            ]
            return choice, httpx.get(f"{url}/metrics").text

        yield start


def test_an_unsure_answer_is_quoted_and_counted(asked: Any) -> None:
    engine = ScriptedEngine("It is port 80 [1]. Surely.", logprobs=[-3.0], quote_below=-1.0)
    choice, metrics = asked(engine)
    assert choice["message"]["content"] == "> The gateway listens on port 7860. [1]"
    assert choice["docduet"]["degraded"] == "low confidence"
    assert len(choice["docduet"]["sources"]) == 1
    assert 'docduet_degraded_total{arm="rag",reason="low confidence"} 1.0' in metrics
    assert engine.closed_early == 1  # it does not go on writing for nobody


def test_a_sure_answer_stays(asked: Any) -> None:
    choice, metrics = asked(ScriptedEngine("It is port 7860 [1].", logprobs=[-0.1], quote_below=-1.0))
    assert choice["message"]["content"] == "It is port 7860 [1]."
    assert choice["docduet"]["degraded"] is None
    assert "docduet_degraded_total{" not in metrics


def test_a_refusal_of_what_the_search_found_is_quoted_and_counted(asked: Any) -> None:
    refusal = "I could not find this in the documentation."
    choice, metrics = asked(ScriptedEngine(refusal, logprobs=[-0.1], quote_below=-1.0))
    assert choice["message"]["content"] == "> The gateway listens on port 7860. [1]"
    assert choice["docduet"]["degraded"] == "model refused"
    assert 'docduet_degraded_total{arm="rag",reason="model refused"} 1.0' in metrics


def test_a_loop_is_broken_off_and_quotes_follow(asked: Any) -> None:
    choice, _ = asked(ScriptedEngine("It is port 7860 [1]. " * 20, logprobs=[-0.1], quote_below=-1.0))
    said = choice["message"]["content"]
    assert said.count("It is port 7860") < 4
    assert "The model broke off here" in said
    assert said.endswith("> The gateway listens on port 7860. [1]")
    assert choice["docduet"]["degraded"] == "repetition"


async def test_logprobs_are_asked_for_only_where_they_are_used(tmp_path: Path) -> None:
    script = (chunk("Yes"), chunk(finish="stop"), USAGE, DONE)
    async with FakeEngineServer(script) as server:
        for below in (-1.0, 0.0):
            configs = (EngineConfig(name="base", base_url=server.url, quote_below=below),)
            async with Supervisor(configs, tmp_path) as supervisor:
                engine = supervisor.engine("base")
                assert isinstance(engine, Engine)
                async for _ in engine.serving("twin", {}).chat([]):
                    pass
        assert [request.get("logprobs") for request in server.requests] == [True, None]
