"""The model `auto` over HTTP: real index, real app, scripted engines; and what the engine says of a question."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.checkpoints import Manifest
from data.home import Home
from data.prompts import REFUSAL
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.arms.retrieval import Found, find
from serving.arms.turn import Turn
from serving.config import EngineConfig, ServingConfig
from serving.engines.engine import Engine
from serving.router.features import NAMES, Learned, measure
from serving.router.model import RouterModel, Voice, write_model
from serving.router.probe import Probe, yes_share
from serving.router.router import Router
from serving.server import in_background
from tests.fake_engine import GOOD, FakeEngineServer
from tests.fakes import ScriptedEngine, ScriptedSupervisor

PAGES = [
    Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n\nChange it with `--port`.\n"),
    Page("formats.md", "Formats", "# Formats\n\nDocDuet reads Markdown, HTML, PDF and DOCX files.\n"),
    Page("zh/port.md", "端口", "# 端口\n\n网关默认监听 7860 端口。\n\n用 `--port` 修改端口。\n", lang="zh"),
    Page("https://docs.example/engines", "Engines", "# Engines\n\nAn engine is restarted with backoff when it dies.\n"),
]
TRAINED = {page.url: page.content_hash for page in PAGES}

HELD = "Which port does the gateway listen on by default?"
FOREIGN = "Who won the chess championship in Reykjavik?"

RAG = ScriptedEngine("It is port 7860 [1].")
SFT = ScriptedEngine("I remember port 7860.", name="sft-1")

Serve = Callable[..., str]


class Published:
    """A checkpoint that answers, as serving/engines/checkpoint.py shows one. ``engine_up``: whether its engine does."""

    published = True
    problem = ""

    def __init__(self, pages: dict[str, str] = TRAINED, engine_up: bool = True) -> None:
        self.manifest = Manifest(kind="full", base_model="base", system_prompt={"en": "Answer."}, pages=pages)
        self.engine_up = engine_up

    def engine(self) -> Engine | None:
        return SFT if self.engine_up else None

    def status(self) -> dict[str, object]:
        return {"state": "ready"}

    async def __aenter__(self) -> Published:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to end."""


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("auto"))
    build_index(PAGES, home, RagConfig())
    return home


@pytest.fixture
def home(indexed: Home) -> Iterator[Home]:
    yield indexed
    indexed.router.unlink(missing_ok=True)


@pytest.fixture
def serve(home: Home) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(
            *engines: Engine, checkpoint: Any = None, home: Home = home, rag: RagConfig | None = None, **config: Any
        ) -> str:
            configs = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in engines)
            supervisor: Any = ScriptedSupervisor(*engines)
            app = create_app(
                ServingConfig(engines=configs, **config),
                supervisor,
                LiveIndex(home, rag or RagConfig()),
                checkpoint=checkpoint,
            )
            return stack.enter_context(in_background(app))

        yield start


def scored(home: Home, rag: float, sft: float, margin: float = 0.1, refuse_below: float = 0.5) -> None:
    """A router that gives these scores to every question (as logits of the probabilities)."""
    from math import log

    voices = {arm: Voice(intercept=log(score / (1 - score)), weights={}) for arm, score in (("rag", rag), ("sft", sft))}
    write_model(home.router, RouterModel(voices=voices, margin=margin, refuse_below=refuse_below, target_risk=0.2))


def ask(url: str, question: str, stream: bool, n: int = 2) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """(the top object, choice -> {text, docduet})."""
    body = {"model": "auto", "messages": [{"role": "user", "content": question}], "stream": stream, "n": n}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    assert response.status_code == 200, response.text
    if not stream:
        whole = response.json()
        said = {c["index"]: {"text": c["message"]["content"], **c["docduet"]} for c in whole["choices"]}
        return whole["docduet"], said
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            known = choices.setdefault(choice["index"], {"text": ""})
            known["text"] += choice["delta"].get("content", "")
            known |= choice.get("docduet", {})
    return chunks[0]["docduet"], choices


both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both_ways
def test_one_voice_answers_and_the_response_says_which_and_why(serve: Serve, home: Home, stream: bool) -> None:
    scored(home, rag=0.6, sft=0.9)
    top, choices = ask(serve(RAG, checkpoint=Published()), HELD, stream)
    assert top["route"]["arms"] == ["sft"]
    assert top["route"]["scores"] == {"rag": 0.6, "sft": 0.9}
    assert "sft is more likely to answer well" in top["route"]["reason"]
    assert list(choices) == [0]
    assert (choices[0]["arm"], choices[0]["text"]) == ("sft", "I remember port 7860.")
    assert choices[0]["timings_ms"]["route"] > 0
    assert choices[0]["timings_ms"]["total"] >= choices[0]["timings_ms"]["route"] + choices[0]["timings_ms"]["retrieve"]


@both_ways
def test_both_answer_when_they_are_close_the_better_one_first(serve: Serve, home: Home, stream: bool) -> None:
    scored(home, rag=0.8, sft=0.85)
    top, choices = ask(serve(RAG, checkpoint=Published()), HELD, stream)
    assert top["route"]["arms"] == ["sft", "rag"]
    assert "both answer" in top["route"]["reason"]
    assert {n: choice["arm"] for n, choice in choices.items()} == {0: "sft", 1: "rag"}
    assert choices[1]["text"] == "It is port 7860 [1]."
    assert [source["n"] for source in choices[1]["sources"]] == [1]
    assert all("route" in choice["timings_ms"] for choice in choices.values())


@both_ways
def test_refused_when_neither_should_answer_and_no_engine_is_asked(serve: Serve, home: Home, stream: bool) -> None:
    scored(home, rag=0.3, sft=0.2)
    rag = ScriptedEngine("Never said.")
    top, choices = ask(serve(rag, checkpoint=Published()), HELD, stream)
    assert top["route"]["arms"] == []
    assert (choices[0]["refused"], choices[0]["sources"], choices[0]["text"]) == (True, [], REFUSAL["en"])
    assert choices[0]["arm"] == "auto"
    assert rag.asked == []


def test_quoting_mode_refuses_as_its_own_setting_says(serve: Serve) -> None:
    refused = ask(serve(), FOREIGN, stream=False)
    assert (refused[0]["route"]["arms"], refused[1][0]["refused"]) == ([], True)
    top, choices = ask(serve(rag=RagConfig(refuse_below=0.0)), FOREIGN, stream=False)
    assert top["route"]["arms"] == ["rag"]
    assert (choices[0]["refused"], choices[0]["degraded"]) == (False, "no engine")


@both_ways
def test_small_talk_gets_a_friendly_reply_without_engine_or_index(serve: Serve, tmp_path: Path, stream: bool) -> None:
    rag = ScriptedEngine("Never said.")
    top, choices = ask(serve(rag, home=Home(tmp_path)), "你好！", stream)
    assert choices[0]["text"].startswith("您好！")
    assert (choices[0]["refused"], choices[0]["sources"]) == (False, [])
    assert top["route"]["reason"] == "这是寒暄，不是关于文档的问题"
    assert rag.asked == []


def test_untrained_and_without_a_checkpoint_it_reads_or_refuses(serve: Serve) -> None:
    url = serve(RAG)
    top, choices = ask(url, HELD, False)
    assert (top["route"]["arms"], choices[0]["arm"], choices[0]["refused"]) == (["rag"], "rag", False)
    top, choices = ask(url, FOREIGN, False)
    assert (top["route"]["arms"], choices[0]["refused"], choices[0]["text"]) == ([], True, REFUSAL["en"])
    top, choices = ask(serve(), HELD, False)
    assert choices[0]["degraded"] == "no engine"


def test_what_it_names_exactly_is_looked_up_whatever_the_scores(serve: Serve, home: Home) -> None:
    scored(home, rag=0.6, sft=0.99)
    top, _ = ask(serve(RAG, checkpoint=Published()), "What does --port do?", False)
    assert top["route"]["arms"] == ["rag"]
    assert "--port" in top["route"]["reason"]


def test_a_voice_whose_engine_is_down_is_not_chosen(serve: Serve, home: Home) -> None:
    scored(home, rag=0.6, sft=0.9)
    top, choices = ask(serve(RAG, checkpoint=Published(engine_up=False)), HELD, False)
    assert (top["route"]["arms"], top["route"]["scores"], choices[0]["arm"]) == (["rag"], {"rag": 0.6}, "rag")


@both_ways
def test_a_chosen_voice_that_fails_before_its_first_word_is_stood_in_for(
    serve: Serve, home: Home, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    scored(home, rag=0.6, sft=0.9)
    monkeypatch.setattr(SFT, "fail_after", 0)
    url = serve(RAG, checkpoint=Published())
    top, choices = ask(url, HELD, stream)
    assert (top["route"]["arms"], top["route"]["scores"]) == (["rag"], {"rag": 0.6, "sft": 0.9})
    assert top["route"]["reason"] == "sft was chosen and could not answer, so rag reads the docs instead"
    assert (choices[0]["arm"], choices[0]["text"]) == ("rag", "It is port 7860 [1].")


def test_one_answers_alone_where_two_are_not_wanted(serve: Serve, home: Home) -> None:
    scored(home, rag=0.8, sft=0.85)
    top, choices = ask(serve(RAG, checkpoint=Published(), route_both=False), HELD, False)
    assert (top["route"]["arms"], list(choices)) == (["sft"], [0])


@both_ways
def test_a_client_that_reads_one_choice_gets_the_better_one(serve: Serve, home: Home, stream: bool) -> None:
    scored(home, rag=0.8, sft=0.85)
    url = serve(RAG, checkpoint=Published())
    top, choices = ask(url, HELD, stream, n=1)
    assert (top["route"]["arms"], {n: choice["arm"] for n, choice in choices.items()}) == (["sft"], {0: "sft"})
    body = httpx.post(f"{url}/v1/responses", json={"model": "auto", "input": HELD, "stream": stream}, timeout=30).text
    assert "I remember port 7860." in body
    assert "It is port 7860" not in body


def test_a_fine_tuned_server_elsewhere_is_a_voice_like_any_other(serve: Serve, home: Home) -> None:
    scored(home, rag=0.6, sft=0.9)
    top, choices = ask(serve(RAG, ScriptedEngine("I remember.", name="sft")), HELD, False)
    assert (top["route"]["arms"], choices[0]["text"]) == (["sft"], "I remember.")


def test_without_an_index_what_was_learned_answers(serve: Serve, tmp_path: Path) -> None:
    empty = Home(tmp_path)
    top, choices = ask(serve(RAG, checkpoint=Published(), home=empty), HELD, False)
    assert (top["route"]["arms"], choices[0]["arm"]) == (["sft"], "sft")
    body = {"model": "auto", "messages": [{"role": "user", "content": HELD}]}
    response = httpx.post(f"{serve(RAG, home=empty)}/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_index")


def test_auto_is_listed_first(serve: Serve) -> None:
    url = serve(RAG)
    assert [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]] == ["auto", "rag", "base"]
    assert httpx.get(f"{url}/v1/models/auto").json()["id"] == "auto"


def test_a_new_router_is_taken_up_and_a_damaged_one_is_not(
    serve: Serve, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    url = serve(RAG, checkpoint=Published())
    assert ask(url, HELD, False)[0]["route"]["arms"] == ["rag"]
    scored(home, rag=0.6, sft=0.9)
    assert ask(url, HELD, False)[0]["route"]["arms"] == ["sft"]
    home.router.write_text('{"voices": {"rag": ', encoding="utf-8")
    assert ask(url, HELD, False)[0]["route"]["arms"] == ["sft"]
    assert ask(url, HELD, False)[0]["route"]["arms"] == ["sft"]
    said = [record.message for record in caplog.records if "router.json" in record.message]
    assert len(said) == 1
    assert "the router before it stays" in said[0]
    home.router.unlink()
    assert ask(url, HELD, False)[0]["route"]["arms"] == ["rag"]


def test_a_damaged_router_at_the_start_leaves_the_untrained_default(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "router.json"
    path.write_bytes(os.urandom(100))
    assert Router(path).model is None
    assert "the untrained default decides" in caplog.text


def found_for(home: Home, question: str) -> tuple[Turn, Found]:
    turn = Turn(question)
    return turn, asyncio.run(find(LiveIndex(home, RagConfig()), turn, None))


def test_features_of_a_question(home: Home) -> None:
    turn, found = found_for(home, HELD)
    stale = {url: "of an earlier page" if url == "port.md" else known for url, known in TRAINED.items()}
    fresh, old = measure(turn, found, Learned(TRAINED)), measure(turn, found, Learned(stale))
    assert set(fresh) == set(NAMES)
    assert all(-1 <= value <= 1 for value in fresh.values())
    assert (fresh["trained"], fresh["stale"]) == (1.0, 0.0)
    assert 0 < old["stale"] < 1
    assert (fresh["is_what"], fresh["named"], fresh["probed"]) == (1.0, 0.0, 0.0)
    assert measure(turn, found)["trained"] == 0.0
    assert measure(turn, found, Learned({}))["trained"] == 0.5
    assert measure(turn, found, None, says_yes=0.9)["says_yes"] == pytest.approx(0.4)


def logprobs(**first: float) -> bytes:
    top = [{"token": token, "logprob": value} for token, value in first.items()]
    return json.dumps({"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}]}).encode()


async def probed(home: Home, *script: Any, status: int = 200, budget_s: float = 5.0) -> tuple[list[float | None], int]:
    """What two probes in a row make of an engine, and how often it was asked."""
    turn = Turn(HELD)
    found = await find(LiveIndex(home, RagConfig()), turn, None)
    async with FakeEngineServer(script=script, status=status) as server:
        engine, probe = Engine("base", server.url), Probe(budget_s)
        said = [await probe.says_yes(turn, found, engine) for _ in range(2)]
        await engine.aclose()
        if server.requests:
            asked = server.requests[0]
            assert (asked["max_tokens"], asked["logprobs"], asked.get("stream")) == (1, True, None)
            assert asked["messages"][0]["content"].count("port 7860") >= 1
    return said, len(server.requests)


async def test_one_token_tells_whether_the_passages_answer(home: Home) -> None:
    said, asked = await probed(home, logprobs(Yes=-0.2, no=-1.9, Well=-4.0))
    assert said[0] == pytest.approx(0.8455, abs=1e-3)
    assert asked == 2


async def test_an_engine_without_logprobs_is_asked_once(home: Home) -> None:
    assert await probed(home, b'{"choices": [{"message": {"content": "Yes"}, "logprobs": null}]}') == ([None, None], 1)
    assert await probed(home, *GOOD) == ([None, None], 1)


async def test_a_slow_or_broken_engine_does_not_hold_a_route_up(home: Home) -> None:
    assert (await probed(home, 30.0, budget_s=0.2))[0] == [None, None]
    assert (await probed(home, status=500))[0] == [None, None]
    assert (await probed(home, None))[0] == [None, None]


def test_yes_and_no_in_both_languages() -> None:
    assert yes_share({" Yes": -0.1, "yes": -3.0}) == 1.0
    assert yes_share({"否": -0.1, "是": -3.0}) == pytest.approx(0.0521, abs=1e-3)
    assert yes_share({"The": -0.1, "yes": -3.0}) is None
    assert yes_share({}) is None


def test_the_gateway_asks_the_engine_where_it_is_told_to(serve: Serve) -> None:
    class Unsure(ScriptedEngine):
        probed = 0

        async def first_token(self, messages: Any, top: int = 10) -> dict[str, float]:
            self.probed += 1
            return {"yes": -0.1}

    asked, unasked = Unsure("Port 7860 [1]."), Unsure("Port 7860 [1].")
    ask(serve(asked, route_probe=True), HELD, False)
    ask(serve(unasked), HELD, False)
    assert (asked.probed, unasked.probed) == (1, 0)
