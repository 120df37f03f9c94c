"""Who refuses, and how much is read: the verdict where passages are quoted, the model itself where one is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.home import Home
from data.prompts import refusal_text
from data.types import Page
from rag.answerable import Answerability
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.arms.events import Finished, Text
from serving.arms.rag import RagArm
from serving.arms.retrieval import Found
from serving.arms.turn import Turn
from serving.config import ServingConfig
from serving.router.decide import decide, weigh
from serving.router.features import NAMES
from tests.fakes import HashedWords, ScriptedEngine

QUESTION = "Which port does the gateway listen on?"
SAID = "It is port 7860 [1]."
CONFIG = RagConfig(top_k=2, wide_top_k=4, context_tokens=300, wide_context_tokens=600)

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    home = Home(tmp_path_factory.mktemp("gate"))
    pages = [
        Page(f"{n}.md", f"Port {n}", f"The gateway listens on port 786{n}.\n\nIt is number {n}.") for n in range(9)
    ]
    build_index(pages, home, CONFIG, embedder=HashedWords())
    return LiveIndex(home, CONFIG, HashedWords())


@pytest.fixture
def ask(live: LiveIndex) -> Ask:
    async def asked(score: float, engine: ScriptedEngine | None) -> tuple[str, Finished]:
        """What is said where the docs answer with this probability."""
        retriever = live.retriever()
        passages = retriever.search(QUESTION)
        found = Found(retriever, QUESTION, passages, Answerability(score >= 0.5, score, "as the test says"))
        arm = RagArm(live, lambda: engine, ServingConfig())
        events = [event async for event in arm.answer(Turn(QUESTION), found)]
        assert isinstance(events[-1], Finished)
        return "".join(event.text for event in events if isinstance(event, Text)), events[-1]

    return asked


@pytest.mark.parametrize(("score", "refused"), [(0.49, True), (0.51, False)])
async def test_quoting_mode_refuses_by_the_verdict(ask: Ask, score: float, refused: bool) -> None:
    said, finished = await ask(score, None)
    assert finished.refused is refused
    assert (said == refusal_text("en")) is refused


@pytest.mark.parametrize(("score", "asked"), [(0.01, False), (0.06, True), (0.9, True)])
async def test_a_model_is_asked_unless_the_docs_plainly_do_not_answer(ask: Ask, score: float, asked: bool) -> None:
    engine = ScriptedEngine(SAID, refuse_below=0.05)
    said, finished = await ask(score, engine)
    assert said == ("It is port 7860 ." if asked else refusal_text("en"))  # the citation is an event of its own
    assert (finished.refused, len(engine.asked)) == (not asked, int(asked))


@pytest.mark.parametrize("engine", [{"fail_after": 0}, {"logprobs": [-3.0], "quote_below": -1.0}, {"text": ""}])
async def test_where_no_answer_is_to_be_had_quoting_mode_decides(
    ask: Ask, engine: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "serving.arms.rag")
    said, finished = await ask(0.7, ScriptedEngine(**{"text": SAID, **engine}))
    assert said.startswith("> The gateway listens")
    assert finished.degraded
    assert not caplog.messages
    why = finished.degraded
    said, finished = await ask(0.3, ScriptedEngine(**{"text": SAID, **engine}))
    assert (said, finished.refused) == (refusal_text("en"), True)
    assert caplog.messages == [f"rag refuses in the place of an answer: {why}"]  # which a refusal does not tell


@pytest.mark.parametrize(("score", "quoted"), [(0.7, True), (0.3, False)])
async def test_a_small_models_refusal_counts_where_the_search_agrees(ask: Ask, score: float, quoted: bool) -> None:
    said, finished = await ask(score, ScriptedEngine(refusal_text("en"), quote_below=-0.5))
    assert (finished.refused, finished.degraded) == (not quoted, "model refused" if quoted else None)
    assert said.startswith("> The gateway listens") is quoted
    assert finished.usage is not None  # the model was asked


async def test_a_large_models_refusal_counts_always(ask: Ask) -> None:
    said, finished = await ask(0.9, ScriptedEngine(refusal_text("en")))
    assert (said, finished.refused, finished.degraded) == (refusal_text("en"), True, None)


async def test_what_was_said_before_a_failure_stays_and_quotes_follow(ask: Ask) -> None:
    said, finished = await ask(0.3, ScriptedEngine("It is port 7860 [1]. And more of it", fail_after=6))
    assert said.startswith("It is port 7860 ")
    assert "The model broke off here" in said
    assert not finished.refused


@pytest.mark.parametrize(("context", "passages"), [(None, 2), (1199, 2), (1200, 4), (32_768, 4)])
def test_a_model_with_room_reads_more(live: LiveIndex, context: int | None, passages: int) -> None:
    retriever = live.retriever()
    assert CONFIG.passages(context) == passages
    assert CONFIG.tokens(context) == {2: 300, 4: 600}[passages]
    engine = ScriptedEngine()
    engine.context = context
    found = Found(retriever, QUESTION, retriever.search(QUESTION, 8), Answerability(True, 1.0, ""))
    assert len(found.sections(engine)) == passages


def test_no_model_counts_as_one_with_room_where_that_is_turned_off() -> None:
    config = RagConfig(top_k=2, wide_top_k=4, context_tokens=300, wide_context_tokens=0)
    assert (config.passages(32_768), config.tokens(32_768)) == (2, 300)


def test_the_verdict_is_of_the_first_passages_however_many_were_found(live: LiveIndex) -> None:
    retriever = live.retriever()
    few, many = (retriever.answerability(QUESTION, retriever.search(QUESTION, k)).score for k in (6, 9))
    assert few == many


def test_the_threshold_is_a_setting(tmp_path: Path) -> None:
    page = Page("a.md", "A", "The gateway listens on port 7860.")
    build_index([page], Home(tmp_path), CONFIG, embedder=HashedWords())
    for threshold, answered in ((0.0, True), (1.0, False)):
        config = RagConfig(refuse_below=threshold)
        retriever = LiveIndex(Home(tmp_path), config, HashedWords()).retriever()
        assert retriever.answerability(QUESTION, retriever.search(QUESTION)).answerable is answered
        assert not retriever.answerability(QUESTION, []).answerable


@pytest.mark.parametrize(("verdict", "arms"), [(0.6, ("rag",)), (0.3, ("rag",)), (0.01, ())])
def test_auto_asks_the_voice_that_reads_where_no_other_knows(verdict: float, arms: tuple[str, ...]) -> None:
    features = {**dict.fromkeys(NAMES, 0.0), "verdict": verdict}
    route = decide(weigh(features, ["rag"], None, read_from=0.05), [], "en")
    assert route.arms == arms
    if verdict == 0.3:
        assert "reads the docs" in route.reason
        assert decide(weigh(features, ["rag"], None), [], "zh").arms == ()  # without an engine it would only quote
