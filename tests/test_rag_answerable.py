"""The decision to refuse on docs of one, two and five pages, with the bundled embedder: what they say is answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from data.home import Home
from data.lang import detect_lang
from data.types import Page
from rag.answerable import _asked, _is_name
from rag.build import build_index
from rag.config import RagConfig
from rag.embed import load_embedder
from rag.retriever import HybridRetriever

WIDGET = """\
## Reset the widget

Hold the red button on the back for ten seconds. The light blinks twice and all settings return to factory defaults.

## Change the battery

The widget takes two AAA batteries. Open the lid with a coin, and mind the polarity printed inside.

## Error codes

| Code | Meaning |
|---|---|
| E12 | The motor is blocked |
| E15 | The battery is low |
"""
ORDERS = """\
Orders are shipped within two working days. Shipping to Europe costs 5 euros, elsewhere 12 euros.

You can return a widget within 30 days. Write to returns@widget.example and name your order number; the money is paid
back to your card.
"""
APP = """\
Install the app from the store, switch on Bluetooth and press "Pair". The app shows the battery level and the
firmware version.

To update the firmware, open Settings > Firmware > Update and keep the phone near the widget until the bar is full.
"""
API = """\
The widget listens on port 8088. `GET /status` returns JSON with the fields `battery` and `state`. Every request
needs the header `X-Widget-Key`; you find the key in the app under Settings > Developer.

The limit is 60 requests a minute; above it the widget answers with status 429.
"""
SAFETY = """\
Keep the widget away from water. It works between 0 and 40 degrees Celsius. Children under eight years must not use
it without supervision.
"""
CHINESE = """\
## 重置设备

按住背面的红色按钮十秒钟，指示灯闪烁两次，所有设置恢复为出厂默认值。

## 更换电池

设备使用两节七号电池。用硬币打开盖子，注意内部标注的正负极。

## 错误代码

E12 表示电机被卡住，E15 表示电池电量低。
"""

PAGES = {
    1: {"Widget 3000": WIDGET},
    2: {"Widget 3000": WIDGET, "Questions about orders": ORDERS},
    5: {
        "Widget 3000": WIDGET,
        "Questions about orders": ORDERS,
        "The widget app": APP,
        "HTTP API": API,
        "Safety": SAFETY,
    },
    0: {"小部件使用说明": CHINESE},
}


@pytest.fixture(scope="module")
def retriever_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], HybridRetriever]:
    """Docs of so many pages; of one in Chinese for 0."""

    @cache
    def made(size: int) -> HybridRetriever:
        pages = [Page(f"{title}.md", title, text, lang=detect_lang(text)) for title, text in PAGES[size].items()]
        embedder = load_embedder("minilm")
        generation = build_index(pages, Home(tmp_path_factory.mktemp("home")), RagConfig(), embedder=embedder)
        return HybridRetriever(generation, embedder, RagConfig())

    return made


@pytest.mark.parametrize(
    ("size", "question"),
    [
        (1, "How do I reset the widget?"),
        (1, "Which batteries does the widget take?"),
        (1, "What does E12 mean?"),
        (2, "How long does shipping take?"),
        (2, "Can I return a widget?"),
        (2, "How do I change the battery?"),
        (5, "At which temperatures does it work?"),
        (5, "What is the rate limit of the API?"),
        (5, "What happens when I send too many requests?"),
        (5, "May children use the widget?"),
        (0, "怎么重置设备？"),
        (0, "E12 是什么意思？"),
    ],
)
def test_what_stands_there_is_answered(
    retriever_of: Callable[[int], HybridRetriever], size: int, question: str
) -> None:
    retriever = retriever_of(size)
    verdict = retriever.answerability(question, retriever.search(question))
    assert verdict.answerable, verdict


@pytest.mark.parametrize(
    ("size", "question"),
    [
        (1, "What is the capital of France?"),
        (1, "What does E99 mean?"),
        (1, "What is the warranty period?"),
        (2, "Who is the CEO of the company?"),
        (2, "Is there a discount for students?"),
        (5, "How do I export my data to Excel?"),
        (5, "How do I rotate the log files?"),
        (0, "法国的首都是哪里？"),
        (0, "E99 是什么意思？"),
    ],
)
def test_what_does_not_is_refused(retriever_of: Callable[[int], HybridRetriever], size: int, question: str) -> None:
    retriever = retriever_of(size)
    verdict = retriever.answerability(question, retriever.search(question))
    assert not verdict.answerable, verdict


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Does Kubernetes work with it?", {"Kubernetes"}),
        ("It fails. Why does Kubernetes restart?", {"Kubernetes"}),
        ("  (Kubernetes) restarts", set()),
        ("Error: Kubernetes restarts", set()),
        ("First line\n- Kubernetes restarts", set()),
        ("Is it, or (Kubernetes) not", {"Kubernetes"}),
        ("Why does ERR_9999 come?", {"ERR_9999"}),
        ("能用 kubernetes 部署吗？", {"kubernetes"}),
    ],
)
def test_names_are_capitals_inside_a_sentence_identifiers_and_latin_among_chinese(
    question: str, names: set[str]
) -> None:
    assert {question[term.start : term.end] for term in _asked(question) if _is_name(term, question)} == names
