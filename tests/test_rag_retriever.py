"""Hybrid search and the refusal decision over a small real index; the LlamaIndex adapter; the commands."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from data.home import Home
from data.types import Filters, Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from rag.llamaindex import DocDuetRetriever
from rag.retriever import HybridRetriever
from tests.fakes import HashedWords

PAGES = [
    Page("port.md", "Ports", "# Network\n\nThe gateway listens on port 7860. Change it with `--port`.", "en"),
    Page("log.md", "Logs", "# Log files\n\nEngines write to engine.log; ERR_1234 means the disk is full.", "en"),
    Page("install.md", "Installation", "Run pip to install the package on Linux.", "en", {"version": "1"}),
    Page("install2.md", "Installation", "Run uv to install the package on Linux.", "en", {"version": "2"}),
    Page("zh/port.md", "端口", "# 网络\n\n网关默认监听 7860 端口，可以用 `--port` 修改。", "zh"),
    Page("zh/log.md", "日志", "# 日志文件\n\n引擎日志写入 engine.log 文件，磁盘已满时报错 ERR_1234。", "zh"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    build_index(PAGES, home, RagConfig())
    return home


@pytest.fixture(scope="module")
def live(home: Home) -> LiveIndex:
    return LiveIndex(home, RagConfig())


@pytest.fixture(scope="module")
def retriever(live: LiveIndex) -> HybridRetriever:
    return live.retriever()


@pytest.mark.parametrize(
    ("query", "url"),
    [
        ("Which port does the gateway use?", "port.md"),
        ("ERR_1234", "log.md"),
        ("err_1234 meaning", "log.md"),
        ("where are messages of the server written", "log.md"),
        ("网关端口是多少", "zh/port.md"),
        ("磁盘满了报什么错", "zh/log.md"),
    ],
)
def test_the_right_passage_first(retriever: HybridRetriever, query: str, url: str) -> None:
    assert retriever.search(query)[0].url == url


def test_a_passage_says_why(retriever: HybridRetriever) -> None:
    best = retriever.search("which port", top_k=2)[0]
    assert (best.rank, best.why.bm25_rank, best.why.dense_rank) == (1, 1, 1)
    assert "port" in best.why.terms
    page = retriever.page(best.page_id)
    assert page is not None
    assert page.body[best.start : best.end] == best.text
    assert best.heading_path == ("Network",)


def test_no_shared_word_is_no_bm25_hit(retriever: HybridRetriever) -> None:
    assert all(p.why.bm25_rank is None and p.why.bm25_score == 0 for p in retriever.search("zebra"))


@pytest.mark.parametrize(
    ("filters", "urls"),
    [
        (Filters(version="2"), {"install2.md"}),
        (Filters(lang="zh"), {"zh/port.md", "zh/log.md"}),
        (Filters(lang="zh", version="2"), set()),
        (Filters(product="none"), set()),
    ],
)
def test_filters(retriever: HybridRetriever, filters: Filters, urls: set[str]) -> None:
    assert {p.url for p in retriever.search("install 端口 日志 the package", filters=filters)} == urls


@pytest.mark.parametrize("query", ["", "   ", "\n"])
def test_an_empty_query_finds_nothing(retriever: HybridRetriever, query: str) -> None:
    assert retriever.search(query) == []
    assert not retriever.answerability(query, []).answerable


def test_a_very_long_query(retriever: HybridRetriever) -> None:
    assert retriever.search("port " * 40_000)[0].url == "port.md"


def test_top_k(retriever: HybridRetriever) -> None:
    assert len(retriever.search("port", top_k=1)) == 1
    assert [p.rank for p in retriever.search("port", top_k=50)] == list(range(1, len(PAGES) + 1))


def test_threads_find_the_same(retriever: HybridRetriever) -> None:
    queries = ["which port", "网关端口", "ERR_1234", "install"] * 10
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(retriever.search, queries))
    assert [[p.url for p in found] for found in together] == [[p.url for p in retriever.search(q)] for q in queries]


def test_docs_in_many_versions_fill_all_places(tmp_path: Path) -> None:
    """Eight topics, each said in the same words in ten versions: six passages are eight topics' best six."""
    topics = ("reset", "install", "update", "remove", "start", "stop", "watch", "copy")
    pages = [
        Page(f"{version}/{topic}.md", f"How to {topic}", f"To {topic} the widget, choose {topic} in its menu.")
        for version in range(10)
        for topic in topics
    ]
    generation = build_index(pages, Home(tmp_path), RagConfig(), embedder=HashedWords())
    found = HybridRetriever(generation, HashedWords(), RagConfig()).search("widget menu reset")
    assert len({passage.title for passage in found}) == len(found) == 6


@pytest.mark.parametrize(
    ("query", "answerable"),
    [
        ("Which port does the gateway listen on?", True),
        ("What does ERR_1234 mean?", True),
        ("网关默认监听哪个端口？", True),
        ("What is the capital of France?", False),
        ("Who won the football world cup in 1998?", False),
        ("What does ERR_9999 mean?", False),
        ("巴黎天气怎么样", False),
        ("红烧肉怎么做", False),
    ],
)
def test_refusals_on_a_small_corpus(retriever: HybridRetriever, query: str, answerable: bool) -> None:
    verdict = retriever.answerability(query, retriever.search(query))
    assert verdict.answerable is answerable, verdict
    assert 0 <= verdict.score <= 1


def test_a_llamaindex_query_engine(live: LiveIndex) -> None:
    engine = RetrieverQueryEngine.from_args(DocDuetRetriever(live, top_k=2), llm=MockLLM())
    response = engine.query("Which port does the gateway use?")
    best = response.source_nodes[0]
    assert best.node.metadata["url"] == "port.md"
    assert best.node.metadata["heading_path"] == "Network"
    assert "7860" in str(response)  # MockLLM repeats its prompt, which holds the passages
    assert best.score is not None
    assert best.score > (response.source_nodes[1].score or 0)


def test_llamaindex_filters(live: LiveIndex) -> None:
    nodes = DocDuetRetriever(live, filters=Filters(lang="zh")).retrieve("端口")
    assert {node.node.metadata["lang"] for node in nodes} == {"zh"}


@pytest.fixture
def command(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    from typer.testing import CliRunner

    from docduet import app

    monkeypatch.setenv("DOCDUET_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, list(args))


def test_search_command(command) -> None:  # type: ignore[no-untyped-def]
    shown = command("rag", "search", "which port")
    assert shown.exit_code == 0
    assert "BM25 #1" in shown.output
    assert "dense #1" in shown.output
    found = json.loads(command("rag", "search", "端口", "--lang", "zh", "--top-k", "1", "--json").stdout)
    assert [passage["url"] for passage in found["data"]] == ["zh/port.md"]
    assert found["data"][0]["why"]["bm25_rank"] == 1


def test_rollback_command(command) -> None:  # type: ignore[no-untyped-def]
    listed = json.loads(command("rag", "rollback", "--list", "--json").stdout)
    assert [entry["live"] for entry in listed] == [True]
    failed = command("rag", "rollback")
    assert failed.exit_code == 1
    assert "none before" in str(failed.exception)
