"""A question in one language over docs in the other: what is searched, when, and what the reader is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from data.home import Home
from data.prompts import TRANSLATE, Message
from data.types import Filters, Page
from rag.build import build_index
from rag.config import RagConfig
from rag.embed import load_embedder
from rag.live import LiveIndex
from serving.arms.events import Finished, Started, Text
from serving.arms.rag import RagArm
from serving.arms.translate import checked, language_to_search, translation
from serving.arms.turn import Turn
from serving.config import ServingConfig
from serving.engines.delta import EngineDelta
from serving.engines.trust import Trust
from tests.fakes import ScriptedEngine

ENGLISH = [
    Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default. Change it with `--port`.\n"),
    Page("log.md", "Logs", "# Logs\n\nEngines write to engine.log. ERR_1234 means that the disk is full.\n"),
    Page("formats.md", "Formats", "# Formats\n\nDocDuet reads Markdown, HTML, PDF and DOCX files.\n"),
]
CHINESE = [
    Page("zh/backup.md", "备份", "# 备份\n\n每天凌晨自动备份数据库，备份文件保留三十天。\n", lang="zh"),
    Page("zh/user.md", "用户", "# 用户\n\n管理员可以新建用户，也可以重置密码。\n", lang="zh"),
    Page("zh/mail.md", "邮件", "# 邮件\n\n通知邮件通过公司的邮件服务器发送。\n", lang="zh"),
    Page("zh/theme.md", "外观", "# 外观\n\n在设置页面选择深色主题或浅色主题。\n", lang="zh"),
    Page("zh/export.md", "导出", "# 导出\n\n报表可以导出成表格文件。\n", lang="zh"),
]
QUESTION = "网关默认监听哪个端口？"
IN_ENGLISH = "Which port does the gateway listen on by default?"


class Interpreter(ScriptedEngine):
    """Answers a request for a translation with ``translated``, everything else with ``text``."""

    def __init__(self, translated: str, text: str = "端口是 7860 [1]。") -> None:
        super().__init__(text)
        self.translated = translated

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        system = messages[0]["content"]
        said = self.translated if system in TRANSLATE.values() else self.text
        self.asked.append(messages)
        yield EngineDelta(text=said, reasoning="", finish_reason="stop", usage=None)

    @property
    def translations(self) -> int:
        return sum(messages[0]["content"] in TRANSLATE.values() for messages in self.asked)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("english"))
    build_index(ENGLISH, home, RagConfig())
    return home


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("both"))
    build_index([*ENGLISH, *CHINESE], home, RagConfig())
    return home


def answer(home: Home, engine: ScriptedEngine | None, question: str, lang: str, **turn: Any) -> list[Any]:
    live = LiveIndex(home, RagConfig(), load_embedder("minilm"))
    arm = RagArm(live, lambda: engine, ServingConfig())

    async def collect() -> list[Any]:
        return [event async for event in arm.answer(Turn(question, lang=lang, **turn))]

    return asyncio.run(collect())


def test_the_translation_is_searched_and_shown_and_the_answer_keeps_the_language(english: Home) -> None:
    engine = Interpreter(IN_ENGLISH)
    events = answer(english, engine, QUESTION, "zh")
    assert events[0] == Started(IN_ENGLISH, rewritten=True, translated=True)
    assert "".join(event.text for event in events if isinstance(event, Text)).startswith("端口是 7860")
    last = events[-1]
    assert isinstance(last, Finished)
    assert [source.url for source in last.sources] == ["port.md"]
    prompt = engine.asked[-1]
    assert prompt[-1]["content"] == QUESTION
    assert prompt[0]["content"].startswith("你根据产品文档")
    assert "listens on port 7860" in prompt[0]["content"]


def test_english_over_chinese_docs(tmp_path: Path) -> None:
    build_index(CHINESE, Home(tmp_path), RagConfig())
    engine = Interpreter("数据库的备份文件保留三十天吗？", "They are kept for thirty days [1].")
    events = answer(Home(tmp_path), engine, "How long are backup files of the database kept?", "en")
    assert events[0].translated
    assert [source.url for source in events[-1].sources] == ["zh/backup.md"]


@pytest.mark.parametrize(
    ("question", "lang"),
    [("数据库的备份文件保留三十天吗？", "zh"), (IN_ENGLISH, "en")],
)
def test_what_the_docs_answer_in_its_own_language_is_not_translated(both: Home, question: str, lang: str) -> None:
    engine = Interpreter("unused")
    assert not answer(both, engine, question, lang)[0].translated
    assert engine.translations == 0


def test_what_they_do_not_answer_in_its_own_language_is(both: Home) -> None:
    events = answer(both, Interpreter(IN_ENGLISH), QUESTION, "zh")
    assert events[0].translated
    assert [source.url for source in events[-1].sources] == ["port.md"]


def test_a_translation_that_finds_nothing_better_is_dropped(both: Home) -> None:
    engine = Interpreter("How many moons circle the planet Jupiter?")
    events = answer(both, engine, "木星有多少颗卫星？", "zh")
    assert engine.translations == 1
    assert (events[0].translated, events[0].query) == (False, "木星有多少颗卫星？")
    assert [message["content"] for message in engine.asked[-1]][
        -1
    ] == "木星有多少颗卫星？"  # it refuses by itself, or not


def test_a_search_limited_to_one_language_is_translated_into_that_one_only(both: Home) -> None:
    engine = Interpreter(IN_ENGLISH)
    events = answer(both, engine, QUESTION, "zh", filters=Filters(lang="en"))
    assert events[0].translated
    assert not answer(both, engine, "木星有多少颗卫星？", "zh", filters=Filters(lang="zh"))[0].translated
    assert engine.translations == 1


def test_without_an_engine_codes_in_a_chinese_question_find_english_pages(english: Home) -> None:
    events = answer(english, None, "ERR_1234 是什么意思？", "zh")
    assert events[-1].degraded == "no engine"
    assert [source.url for source in events[-1].sources] == ["log.md"]
    assert answer(english, None, "木星有多少颗卫星？", "zh")[-1].refused


@pytest.mark.parametrize(
    ("lang", "only", "pages", "answerable", "wanted"),
    [
        ("zh", "", {"en": 100}, True, "en"),
        ("zh", "", {"en": 100, "zh": 4}, True, "en"),
        ("zh", "", {"en": 100, "zh": 50}, True, ""),
        ("zh", "", {"en": 100, "zh": 50}, False, "en"),
        ("en", "", {"zh": 3}, False, "zh"),
        ("en", "", {"en": 3}, False, ""),
        ("zh", "zh", {"en": 100, "zh": 4}, False, ""),
        ("zh", "en", {"en": 100, "zh": 400}, True, "en"),
        ("de", "", {"en": 100}, False, ""),
        ("zh", "", {"ja": 100}, False, ""),
    ],
)
def test_the_gate(lang: str, only: str, pages: dict[str, int], answerable: bool, wanted: str) -> None:
    assert language_to_search(lang, only, pages, answerable) == wanted


@pytest.mark.parametrize(
    "written",
    [
        "",
        "Here it is:\nWhat does it mean?",
        "这个错误码是什么意思？",
        "What does the code mean?",
        "What does it say? " * 40,
    ],
)
def test_a_translation_that_cannot_be_trusted_is_none(written: str) -> None:
    assert checked(written, "ERR_1234 是什么意思？", "en") == ""


def test_quotes_around_a_translation_go() -> None:
    assert checked('"What does ERR_1234 mean?"', "ERR_1234 是什么意思？", "en") == "What does ERR_1234 mean?"


def test_an_engine_that_fails_gives_none() -> None:
    assert asyncio.run(translation(QUESTION, ScriptedEngine("What", fail_after=0), "en")) == ""


def test_a_model_that_cannot_reword_is_asked_for_the_answer_alone(english: Home) -> None:
    engine = Interpreter(IN_ENGLISH, text="Port 7860 [1].")
    engine.trust = Trust(rewrites=False)
    history = [Message(role="user", content="How do I start the gateway?"), Message(role="assistant", content="So.")]
    events = answer(english, engine, "and on which port?", "en", history=history)
    assert events[0] == Started("How do I start the gateway on which port", rewritten=True)
    assert len(engine.asked) == 1
    answer(english, engine, QUESTION, "zh", history=[])
    assert engine.translations == 0
