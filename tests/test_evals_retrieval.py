"""`docduet eval run --retrieval`: what is compared, how it is scored, what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from data.errors import ConfigError, DocDuetError, EmptySourceError
from data.home import Home
from data.types import Page
from docduet import app
from evals.questions import Question, load_set
from evals.retrieval.bench import Outcome, Report, answer_rank, evaluate, prepare, summarize
from evals.retrieval.peer import LlamaIndexStock
from evals.retrieval.systems import NAMES, BigramBM25, DenseOnly, Hit, LexicalOnly, bigrams
from rag.build import build_index
from rag.config import RagConfig
from tests.fakes import HashedWords

CORPORA = Path(__file__).parents[1].parent / "shared" / "corpora"
PAGES = (
    Page("port.md", "Ports", "The gateway listens on port 7860."),
    Page("key.md", "Keys", "Keys are made with docduet keys create."),
    Page("zh.md", "端口", "网关默认监听 7860 端口。", lang="zh"),
)


class Scripted:
    """A system that gives the same passages to every question."""

    name = "scripted"

    def __init__(self, *hits: Hit) -> None:
        self.hits = list(hits)

    def search(self, question: str, depth: int) -> list[Hit]:
        return self.hits[:depth]


def asked(number: int, *pages: str, span: str = "", lang: str = "en") -> Question:
    return Question(str(number), f"question {number}", lang, pages, span)


def test_pages_are_ranked_by_their_best_passage() -> None:
    system = Scripted(Hit("a", "one"), Hit("a", "two"), Hit("b", "thr\nee"), Hit("c", "four"))
    first, second = evaluate(system, [asked(1, "b", "c", span="th ree"), asked(2, "x")], 2, lambda *_: None)
    assert first.pages == ("a", "b", "c")
    assert (first.rank, first.answer_rank) == (2, 3)
    assert (second.rank, second.answer_rank) == (None, None)
    assert first.ms > 0


def test_the_answer_must_stand_in_a_page_that_answers() -> None:
    hits = [Hit("other", "set the port"), Hit("gold", "the po"), Hit("gold", "set the port")]
    assert answer_rank(hits, asked(1, "gold", span="the port")) == 3
    assert answer_rank(hits, asked(1, "gold", span="")) is None


def test_scores_worked_by_hand() -> None:
    outcomes = [
        Outcome(asked(1, "a"), ("a", "b"), 1, 10.0),
        Outcome(asked(2, "a"), ("b", "a"), 6, 20.0),
        Outcome(asked(3, "a"), ("b", "c", "d", "e", "f", "a"), None, 30.0),
        Outcome(asked(4, "a"), (), None, 40.0),
    ]
    scores = summarize(outcomes)
    assert (scores.questions, scores.hit_at_1, scores.hit_at_5, scores.hit_at_10) == (4, 0.25, 0.5, 0.75)
    assert scores.mrr_at_10 == pytest.approx((1 + 1 / 2 + 1 / 6) / 4)
    assert scores.ndcg_at_10 == pytest.approx((1 + 0.63093 + 0.35621) / 4, abs=1e-5)
    assert scores.answer_at_5 == 0.25
    assert scores.p50_ms == 25.0


def test_a_report_keeps_languages_apart() -> None:
    outcomes = [Outcome(asked(1, "a"), ("a",), 1, 1.0), Outcome(asked(2, "a", lang="zh"), ("b",), None, 1.0)]
    report = Report("set", "docs", 2, 3, "fake", {"hybrid": outcomes})
    found = report.as_dict()
    assert found["systems"]["hybrid"]["en"]["hit_at_5"] == 1.0
    assert found["systems"]["hybrid"]["zh"]["hit_at_5"] == 0.0
    assert found["ranks"] == {"1": {"hybrid": 1}, "2": {"hybrid": None}}


def test_each_side_alone_is_really_alone(tmp_path: Path) -> None:
    embedder, config = HashedWords(), RagConfig()
    generation = build_index(PAGES, Home(tmp_path), config, embedder=embedder)
    lexical = LexicalOnly(generation, embedder, config).search("gateway port")
    dense = DenseOnly(generation, embedder, config).search("gateway port")
    assert lexical
    assert all(passage.why.dense_rank is None and passage.why.bm25_rank for passage in lexical)
    assert len(dense) == 3
    assert all(passage.why.bm25_rank is None and passage.why.dense_rank for passage in dense)


def test_character_pairs() -> None:
    assert bigrams("Ab 端口") == ["ab", "b端", "端口"]
    system = BigramBM25("bigram", [Hit(page.url, page.body) for page in PAGES])
    assert [hit.page for hit in system.search("监听哪个端口？", 5)] == ["zh.md"]
    assert system.search("龘", 5) == []


def test_the_peer_is_built_once_and_opened_after(tmp_path: Path) -> None:
    embedder = HashedWords()
    built = LlamaIndexStock(PAGES, embedder, tmp_path / "peer", "one")
    work = len(embedder.embedded)
    assert work == 3
    opened = LlamaIndexStock(PAGES, embedder, tmp_path / "peer", "one")
    assert len(embedder.embedded) == work
    found = built.search("Keys are made with docduet keys create.", 2)
    assert found[0].page == "key.md"
    assert "docduet keys create" in found[0].text
    assert opened.search("Keys are made with docduet keys create.", 2) == found
    LlamaIndexStock(PAGES[:2], embedder, tmp_path / "peer", "two")
    assert len(embedder.embedded) == work + 2


# ---------------------------------------------------------------- the command


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small corpus with a set over it; the embedder is a fake."""
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    embedder = HashedWords()
    monkeypatch.setattr("evals.retrieval.bench.load_embedder", lambda name: embedder)
    folder = tmp_path / "docs"
    folder.mkdir()
    for page in PAGES:
        (folder / page.url).write_text(f"# {page.title}\n\n{page.body}\n", encoding="utf-8")
    (folder / "faq.md").write_text("# FAQ\n\nWhich port does the gateway listen on?\n")
    questions = [
        Question("q1", "Which port does the gateway listen on?", "en", ("port.md",), "port 7860"),
        Question("q2", "How do I make keys?", "en", ("key.md",), "keys create"),
        Question("q3", "网关监听哪个端口？", "zh", ("zh.md",), "7860 端口"),
    ]
    lines = [json.dumps(vars(question), ensure_ascii=False) for question in questions]
    (tmp_path / "own.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "own.toml").write_text('exclude = ["faq.md"]')
    return folder


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, ["eval", "run", *args])


def test_every_system_answers_and_the_excluded_page_is_not_indexed(corpus: Path, tmp_path: Path) -> None:
    result = invoke("--retrieval", "own.jsonl", "--corpus", str(corpus), "--json", "--chart", "hits.png")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert found["pages"] == 3
    assert list(found["systems"]) == list(NAMES)
    assert found["systems"]["hybrid"]["zh"]["questions"] == 1
    for name in ("hybrid", "bm25"):
        assert all(found["systems"][name][lang]["hit_at_1"] == 1.0 for lang in ("en", "zh")), name
        assert found["systems"][name]["en"]["answer_at_5"] == 1.0
    assert found["ranks"]["q1"]["hybrid"] == 1
    assert (tmp_path / "hits.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "home" / "index").exists()


def test_the_second_run_embeds_only_the_questions(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("--retrieval", "own.jsonl", "--corpus", str(corpus)).exit_code == 0
    fresh = HashedWords()
    monkeypatch.setattr("evals.retrieval.bench.load_embedder", lambda name: fresh)
    assert invoke("--retrieval", "own.jsonl", "--corpus", str(corpus)).exit_code == 0
    assert fresh.embedded == []


def test_the_table_and_the_misses(corpus: Path) -> None:
    (corpus.parent / "own.jsonl").write_text(
        json.dumps(
            {"id": "q9", "question": "gateway port 7860?", "lang": "en", "pages": ["key.md"], "answer_span": "x"}
        )
    )
    result = invoke("--retrieval", "own.jsonl", "--corpus", str(corpus), "--system", "bm25", "--misses")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "answer@5" in result.stdout
    assert "en (1)" in result.stdout
    assert "bm25 misses 1 of 1" in result.stdout
    assert "answered by key.md" in result.stdout
    assert "llamaindex" not in result.stdout


def test_bad_input_is_said_in_one_line(corpus: Path) -> None:
    def error(*args: str) -> str:
        result = invoke(*args)
        assert isinstance(result.exception, DocDuetError), result.output
        return str(result.exception)

    given = ("--retrieval", "own.jsonl", "--corpus", str(corpus))
    assert "--corpus FOLDER" in error("--retrieval", "own.jsonl")
    assert "unknown system 'bm26'" in error(*given, "--system", "bm26")
    assert "q1 is answered by port.md" in error(*given, "--exclude", "port.md")
    assert "leaves no page" in error(*given, "--exclude", "*")
    assert "cannot be written to" in error(*given, "--system", "bm25", "--chart", "nowhere/hits.png")
    assert "cannot be written to" in error(*given, "--system", "bm25", "--chart", "hits.xyz")


def test_a_set_with_its_own_pages_needs_no_corpus(corpus: Path) -> None:
    paragraphs = [
        {"context": page.body, "qas": [{"id": page.url, "question": page.body, "answers": [{"text": page.body[:9]}]}]}
        for page in PAGES
    ]
    (corpus.parent / "own.json").write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    result = invoke("--retrieval", "own.json", "--sample", "2", "--json", "--system", "hybrid", "--system", "bigram")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert found["pages"] == 3
    assert len(found["ranks"]) == 2
    assert {rank for ranks in found["ranks"].values() for rank in ranks.values()} == {1}


def test_prepare_refuses_what_would_give_wrong_scores(tmp_path: Path, corpus: Path) -> None:
    questions = load_set("own.jsonl")
    with pytest.raises(ConfigError, match="no pages of its own"):
        prepare(questions, None, (), tmp_path, RagConfig(), lambda *_: None)
    with pytest.raises(EmptySourceError, match="leaves no page"):
        prepare(questions, corpus, ["*"], tmp_path, RagConfig(), lambda *_: None)


@pytest.mark.skipif(not (CORPORA / "ms-swift-docs").is_dir(), reason=f"the ms-swift docs are not in {CORPORA}")
def test_our_words_beat_character_pairs_on_real_docs(corpus: Path) -> None:
    result = invoke(
        *("--retrieval", "ms-swift-docs", "--corpus", str(CORPORA / "ms-swift-docs")),
        *("--system", "bm25", "--system", "bigram", "--json"),
    )
    assert result.exit_code == 0, (result.output, result.exception)
    systems = json.loads(result.stdout)["systems"]
    for lang, floor in (("en", 0.85), ("zh", 0.85)):
        assert systems["bm25"][lang]["hit_at_5"] > systems["bigram"][lang]["hit_at_5"]
        assert systems["bm25"][lang]["hit_at_5"] >= floor
