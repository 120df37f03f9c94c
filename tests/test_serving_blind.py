"""compare over HTTP: two choices, streamed or whole; a blind one gives nothing away before the vote."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.api.wire import reveal
from serving.app import create_app
from serving.arms.events import Cited, Failed, Finished, Started, Text
from serving.arms.sources import Source
from serving.blind import Mask
from serving.config import EngineConfig, ServingConfig
from serving.exchange import Answer
from serving.server import in_background
from tests.fakes import HashedWords, ScriptedEngine, ScriptedSupervisor

PAGES = [
    Page("https://docs.example/port.md", "Harbours", "# Harbours\n\nThe gateway listens on port 7860 by default.\n"),
    Page("formats.md", "Shapes", "# Shapes\n\nDocDuet reads Markdown, HTML, PDF and DOCX files.\n"),
]
QUESTION = "Which port does the gateway listen on by default?"
READ, LEARNED = "It is port 7860 [1]. Nothing else [1].", "Port 7860, as I have learned."

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    home = Home(tmp_path_factory.mktemp("compare"))
    embedder = HashedWords()
    build_index(PAGES, home, RagConfig(), embedder=embedder)
    return LiveIndex(home, RagConfig(), embedder)


@pytest.fixture
def serve(live: LiveIndex) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(*engines: ScriptedEngine, live: LiveIndex = live) -> str:
            configs = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in engines)
            supervisor: Any = ScriptedSupervisor(*engines)
            return stack.enter_context(in_background(create_app(ServingConfig(engines=configs), supervisor, live)))

        yield start


def both(**failing: int) -> tuple[ScriptedEngine, ScriptedEngine]:
    read = ScriptedEngine(READ, cut=3, fail_after=failing.get("base"))
    return read, ScriptedEngine(LEARNED, cut=4, fail_after=failing.get("sft"), name="sft")


def post(url: str, **more: Any) -> httpx.Response:
    body = {"model": "compare", "messages": [{"role": "user", "content": QUESTION}], **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)


def chunks(raw: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in raw.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def texts(found: list[dict[str, Any]]) -> dict[int, str]:
    said: dict[int, str] = {}
    for chunk in found:
        for choice in chunk.get("choices", []):
            said[choice["index"]] = said.get(choice["index"], "") + choice["delta"].get("content", "")
    return said


def test_two_choices_over_one_search(serve: Serve) -> None:
    url = serve(*both())
    body = post(url).json()
    first, second = body["choices"]
    assert (first["docduet"]["arm"], second["docduet"]["arm"]) == ("rag", "sft")
    assert first["message"]["content"] == READ
    assert second["message"]["content"] == LEARNED
    assert first["docduet"]["sources"]
    assert first["docduet"]["timings_ms"]["retrieve"] > 0
    assert "retrieve" not in second["docduet"]["timings_ms"]  # it was done once, for both
    assert body["docduet"]["route"]["query"] == QUESTION
    assert body["usage"]["completion_tokens"] == -(-len(READ) // 3) + -(-len(LEARNED) // 4)
    assert "compare" in [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]]


def test_the_stream_says_what_the_whole_answer_says(serve: Serve) -> None:
    found = chunks(post(serve(*both()), stream=True).text)
    assert texts(found) == {0: READ, 1: LEARNED}
    ends = {c["index"]: c["docduet"] for chunk in found for c in chunk["choices"] if c["finish_reason"] == "stop"}
    assert [ends[index]["arm"] for index in (0, 1)] == ["rag", "sft"]


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_fails_says_so_and_the_other_answers(serve: Serve, stream: bool) -> None:
    response = post(serve(*both(sft=1)), stream=stream)
    if stream:
        found = chunks(response.text)
        ends = {c["index"]: c for chunk in found for c in chunk["choices"] if c["finish_reason"]}
        said = texts(found)
    else:
        ends = {choice["index"]: choice for choice in response.json()["choices"]}
        said = {index: choice["message"]["content"] for index, choice in ends.items()}
    assert said == {0: READ, 1: f"{LEARNED[:4]}\n\n*This voice broke off here.*"}
    assert (ends[0]["finish_reason"], ends[1]["finish_reason"]) == ("stop", "error")
    assert ends[1]["docduet"]["error"] == {"message": "the engine broke off", "code": "engine_unavailable"}


def test_an_engine_called_sft_is_the_voice_of_that_name(serve: Serve) -> None:
    url = serve(ScriptedEngine(LEARNED, name="sft"))
    assert [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]] == [
        "rag",
        "sft",
        "sft-rag",
        "compare",
    ]
    choice = post(url, model="sft").json()["choices"][0]
    assert (choice["docduet"]["arm"], choice["message"]["content"]) == ("sft", LEARNED)
    assert choice["docduet"]["support"]


def test_any_two(serve: Serve) -> None:
    url = serve(*both())
    body = post(url, docduet={"arms": ["base", "rag"]}).json()
    assert [choice["docduet"]["arm"] for choice in body["choices"]] == ["base", "rag"]


BAD: list[tuple[dict[str, Any], int, str, str]] = [
    ({"docduet": {"arms": ["rag"]}}, 400, "docduet.arms", "two different voices"),
    ({"docduet": {"arms": ["rag", "rag"]}}, 400, "docduet.arms", "two different voices"),
    ({"docduet": {"arms": ["rag", "base", "sft"]}}, 400, "docduet.arms", "two different voices"),
    ({"docduet": {"arms": ["rag", "oracle"]}}, 404, "docduet.arms", "needs oracle"),
    ({"model": "rag", "docduet": {"arms": ["rag", "base"]}}, 400, "docduet.arms", "'compare' only"),
    ({"model": "rag", "docduet": {"blind": True}}, 400, "docduet.blind", "'compare' only"),
]


@pytest.mark.parametrize(("more", "status", "param", "says"), BAD)
def test_what_cannot_be_compared(serve: Serve, more: dict[str, Any], status: int, param: str, says: str) -> None:
    response = post(serve(*both()), **more)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert says in error["message"]


def test_without_a_fine_tuned_model_it_says_what_is_missing(serve: Serve) -> None:
    url = serve(ScriptedEngine(READ))
    response = post(url)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert "compare needs sft" in response.json()["error"]["message"]
    assert "compare" not in [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]]
    assert len(post(url, docduet={"arms": ["rag", "base"]}).json()["choices"]) == 2


def test_none_that_can_answer_is_an_error(serve: Serve, tmp_path: Path) -> None:
    url = serve(*both(sft=0), live=LiveIndex(Home(tmp_path), RagConfig(), HashedWords()))
    response = post(url)
    assert response.status_code == 503
    assert "rag: nothing is indexed" in response.json()["error"]["message"].lower()


def test_without_an_index_the_learned_voice_still_answers(serve: Serve, tmp_path: Path) -> None:
    url = serve(*both(), live=LiveIndex(Home(tmp_path), RagConfig(), HashedWords()))
    read, learned = post(url).json()["choices"]
    assert (read["finish_reason"], read["docduet"]["error"]["code"]) == ("error", "no_index")
    assert learned["message"]["content"] == LEARNED
    assert learned["docduet"]["support"] is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failing", [{}, {"sft": 1}, {"base": 1}])
def test_a_blind_answer_gives_nothing_away(serve: Serve, stream: bool, failing: dict[str, int]) -> None:
    raw = post(serve(*both(**failing)), stream=stream, docduet={"blind": True}).text
    said = re.sub(r"learned|The gateway listens on port 7860 by default", "", raw)  # the answers' own words
    for word in ("rag", "sft", "base", "docs.example", "port.md", "formats.md", "Harbours", "Shapes", "[1]"):
        assert not re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", said), word
    for key in ("sources", "timings", "retrieve", 'annotations":[{', "event", "query", "stale", "degraded"):
        assert key not in said, key


def test_blind_words_are_the_answers_without_markers(serve: Serve) -> None:
    url = serve(*both())
    whole = {choice["message"]["content"] for choice in post(url, docduet={"blind": True}).json()["choices"]}
    streamed = set(texts(chunks(post(url, stream=True, docduet={"blind": True}).text)).values())
    assert whole == streamed == {"It is port 7860. Nothing else.", LEARNED}


def test_sides_are_shuffled_and_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    url = serve(*both())
    seen = set()
    with caplog.at_level(logging.INFO, "serving.gateway"):
        for _ in range(30):
            body = post(url, docduet={"blind": True}).json()
            first = "rag" if body["choices"][0]["message"]["content"] != LEARNED else "sft"
            order = next(line for line in caplog.messages if body["id"] in line)
            assert order.endswith("rag, sft" if first == "rag" else "sft, rag")
            seen.add(first)
    assert seen == {"rag", "sft"}


SOURCE = Source(1, "id", "u", "T", (), "quote", (), "en", 1.0)


def test_a_marker_takes_its_space_along_wherever_deltas_end() -> None:
    events = [Started("q", False), Text("A"), Text(" "), Cited(SOURCE, True), Text(". B "), Text("c\n\n> d"),
              Text("\n>\n> "), Cited(SOURCE, False), Text("\n\nend "), Finished("rag")]  # fmt: skip
    mask = Mask()
    seen = [masked for event in events for masked in mask.of(event)]
    assert "".join(event.text for event in seen if isinstance(event, Text)) == "A. B c\n\n> d\n\nend "
    assert seen[-1] == Finished("")


def test_the_vote_reveals_all() -> None:
    left, right = Answer(), Answer()
    for event in (Started("q", False), Text("A "), Cited(SOURCE, True), Finished("rag", (SOURCE,))):
        left.add(event)
    right.add(Failed("sft", "gone", "engine_unavailable"))
    shown = reveal(("rag", "sft"), {1: right, 0: left}, "http://here")
    assert shown["order"] == ["rag", "sft"]
    assert shown["choices"][0]["message"]["content"] == "A [1]"
    assert shown["choices"][0]["docduet"]["sources"][0]["title"] == "T"
    assert shown["choices"][1]["docduet"]["error"]["message"] == "gone"
