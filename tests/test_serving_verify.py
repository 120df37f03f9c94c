"""Answers checked against the docs: learned ones sentence by sentence, cited ones against what they cite."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import pytest

from data.checkpoints import Manifest
from data.home import Home
from data.prompts import REFUSAL
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.api.wire import choice_body
from serving.arms.findings import Truncated
from serving.arms.plain import BaseArm, SftArm, TunedElsewhere
from serving.arms.rag import RagArm
from serving.arms.retrieval import find
from serving.arms.turn import Arm, Turn
from serving.arms.verify import Verifier, drift
from serving.config import ServingConfig
from serving.engines.engine import Engine
from serving.exchange import Answer
from tests.fakes import HashedWords, ScriptedEngine

PORTS = Page(
    "port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n\nChange it with `--port`.\n"
)
PAGES = [
    PORTS,
    Page("formats.md", "Formats", "# Formats\n\nDocDuet reads Markdown, HTML, PDF and DOCX files.\n"),
    Page("engines.md", "Engines", "# Engines\n\nAn engine is restarted with backoff when it dies.\n"),
]
QUESTION = Turn("Which port does the gateway listen on by default?")
CONFIG = ServingConfig(verify=("rag", "sft-rag", "sft", "base"))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    home = Home(tmp_path_factory.mktemp("verify"))
    embedder = HashedWords()
    build_index(PAGES, home, RagConfig(), embedder=embedder)
    return LiveIndex(home, RagConfig(), embedder)


@dataclass
class Checkpoint:
    """A published checkpoint whose engine says ``text``."""

    text: str
    manifest: Manifest | None = None
    problem: str = ""

    def engine(self) -> Engine:
        return ScriptedEngine(self.text)


async def whole(arm: Arm, turn: Turn = QUESTION) -> Answer:
    answer = Answer()
    async with aclosing(arm.answer(turn)) as events:
        async for event in events:
            answer.add(event)
    return answer


async def learned(
    live: LiveIndex, text: str, pages: dict[str, str] | None = None, config: ServingConfig = CONFIG
) -> Answer:
    manifest = Manifest(kind="full", base_model="b", system_prompt={}, pages=pages or {})
    return await whole(SftArm(Checkpoint(text, manifest), config, Verifier(live)))


async def test_each_sentence_with_the_page_that_supports_it(live: LiveIndex) -> None:
    text = "The gateway listens on port 7860 by default. It listens on port 9999 at night.\n\n"
    text += "- DocDuet reads HTML and PDF files."
    answer = await learned(live, text)
    assert answer.finished
    assert answer.finished.support
    found = [(text[s.start : s.end], s.url or None) for s in answer.finished.support]
    assert found == [
        ("The gateway listens on port 7860 by default.", "port.md"),
        ("It listens on port 9999 at night.", None),
        ("DocDuet reads HTML and PDF files.", "formats.md"),
    ]
    assert answer.finished.timings_ms["verify"] > 0
    body = choice_body(answer, "http://here")
    assert body["supported"] == 0.667
    assert body["support"][1] == {"start": 45, "end": 78, "url": None, "title": None, "page_id": None, "score": 0.0}


async def test_a_page_that_changed_since_training_is_stale(live: LiveIndex) -> None:
    text = "The gateway listens on port 7860 by default. DocDuet reads Markdown and HTML files."
    same = {page.url: page.content_hash for page in PAGES}
    fresh = await learned(live, text, same)
    old = await learned(live, text, same | {"port.md": "0" * 64})
    assert fresh.finished
    assert old.finished
    assert fresh.finished.stale == ()
    assert [(page.url, page.title) for page in old.finished.stale] == [("port.md", "Ports")]


def test_how_far_the_docs_have_moved_on(live: LiveIndex) -> None:
    trained_on = {page.url: page.content_hash for page in PAGES} | {"port.md": "0" * 64, "old.md": "1" * 64}
    assert drift(trained_on, live.retriever().page_hashes) == {"trained_on": 4, "changed": 1, "gone": 1}


async def test_only_pages_that_support_something_are_stale(live: LiveIndex) -> None:
    old = await learned(live, "DocDuet reads Markdown and HTML files.", {"port.md": "0" * 64})
    assert old.finished
    assert old.finished.stale == ()


async def test_what_cannot_be_checked_is_not_judged(live: LiveIndex, tmp_path_factory: pytest.TempPathFactory) -> None:
    chinese = await learned(live, "网关默认监听 7860 端口。")  # the docs hold no Chinese page
    assert chinese.finished
    assert chinese.finished.support is None
    nothing = LiveIndex(Home(tmp_path_factory.mktemp("empty")), RagConfig(), HashedWords())
    unindexed = await learned(nothing, "The gateway listens on port 7860 by default.")
    assert unindexed.finished
    assert unindexed.finished.support is None
    off = await learned(live, "The gateway listens on port 7860 by default.", config=ServingConfig(verify=("rag",)))
    assert off.finished
    assert off.finished.support is None
    assert "verify" not in off.finished.timings_ms


async def test_a_learned_refusal_is_a_refusal(live: LiveIndex) -> None:
    answer = await learned(live, REFUSAL["en"])
    assert answer.finished
    assert (answer.finished.refused, answer.finished.support) == (True, None)


async def test_base_is_checked_where_it_is_asked_for(live: LiveIndex) -> None:
    engine = ScriptedEngine("The gateway listens on port 7860 by default.")
    answer = await whole(BaseArm(lambda: engine, CONFIG, Verifier(live)))
    assert answer.finished
    assert answer.finished.support
    assert answer.finished.support[0].url == "port.md"
    silent = await whole(BaseArm(lambda: engine, ServingConfig(), Verifier(live)))
    assert silent.finished
    assert silent.finished.support is None


async def test_the_search_that_was_done_is_not_done_again(live: LiveIndex) -> None:
    found = await find(live, QUESTION, None)
    arm = SftArm(Checkpoint("The gateway listens on port 7860 by default."), CONFIG, Verifier(live))
    answer = Answer()
    async with aclosing(arm.answer(QUESTION, found)) as events:
        async for event in events:
            answer.add(event)
    assert answer.started
    assert answer.started.query == found.query
    assert answer.finished
    assert answer.finished.support


@pytest.mark.parametrize(
    ("text", "flagged"),
    [
        ("The gateway listens on port 7860 by default [1].", []),
        ("The gateway listens on port 7860 by default. [1] Whales sing.", []),
        ("The gateway listens on port 7861 by default [1].", [("The gateway listens on port 7861 by default [1].", 1)]),
        ("Change it with `--port` [1]. Change it with `--listen` [1].", [("Change it with `--listen` [1].", 1)]),
        ("Nothing is cited here about port 99.", []),
    ],
)
async def test_cited_sentences_that_their_source_does_not_support(
    live: LiveIndex, text: str, flagged: list[tuple[str, int]]
) -> None:
    answer = await whole(RagArm(live, lambda: ScriptedEngine(text), CONFIG, verifier=Verifier(live)))
    assert answer.finished
    found = [(answer.text[u.start : u.end], u.n) for u in answer.finished.unsupported]
    assert found == flagged


async def test_a_sentence_may_join_two_sources(live: LiveIndex) -> None:
    turn = Turn("Which port does the gateway listen on, which files does DocDuet read, and is a dead engine restarted?")
    found = await find(live, turn, None)
    numbers = {passage.url: n for n, passage in enumerate(found.passages, start=1)}
    text = (
        f"The gateway listens on port 7860 and DocDuet reads PDF files [{numbers['port.md']}][{numbers['formats.md']}]."
    )
    answer = await whole(RagArm(live, lambda: ScriptedEngine(text), CONFIG, verifier=Verifier(live)), turn)
    assert answer.finished
    assert answer.finished.unsupported == ()
    alone = text.replace(f"[{numbers['formats.md']}]", "")
    flagged = await whole(RagArm(live, lambda: ScriptedEngine(alone), CONFIG, verifier=Verifier(live)), turn)
    assert flagged.finished
    assert len(flagged.finished.unsupported) == 1


async def test_quotes_need_no_check(live: LiveIndex) -> None:
    answer = await whole(RagArm(live, lambda: None, CONFIG, verifier=Verifier(live)))
    assert answer.finished
    assert answer.finished.degraded
    assert "verify" not in answer.finished.timings_ms


async def test_a_prompt_that_was_cut_is_reported(live: LiveIndex) -> None:
    history = tuple({"role": role, "content": "Something long. " * 200} for role in ("user", "assistant") * 2)
    turn = Turn(QUESTION.question, history=history, sampling={"max_tokens": 50})  # type: ignore[arg-type]
    engine = ScriptedEngine("Port 7860 [1].")
    engine.context = 600
    for arm in (RagArm(live, lambda: engine, CONFIG), BaseArm(lambda: engine, CONFIG)):
        answer = await whole(arm, turn)
        assert answer.finished
        assert answer.finished.truncated == Truncated(history=4, passages=0)
        assert choice_body(answer, "")["truncated"] == {"history": 4, "passages": 0}


async def test_a_model_that_was_tuned_elsewhere(live: LiveIndex) -> None:
    engine = ScriptedEngine("The gateway listens on port 7860 by default.", name="sft")
    config = ServingConfig(sft_system_prompt="You know Widget.")
    answer = await whole(SftArm(TunedElsewhere(lambda: engine), config, Verifier(live)))
    assert engine.asked[0][0]["content"] == "You know Widget."
    assert answer.finished
    assert answer.finished.support
    assert answer.finished.stale == ()
