"""The bundled question set on DocDuet's own handbook: true to the pages, spread over them, and in no training data."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.config import DataConfig
from data.handbook import FOLDER, QUESTIONS, held_out
from data.store import PageStore
from data.sync import sync_source
from data.text import folded
from data.types import Page
from docduet import app
from evals.check import counts, problems
from evals.questions import Question, QuestionSet, load_set
from sft.build import build
from sft.cli_build import _rules
from sft.config import SftConfig
from sft.decontaminate import NearQuestions
from sft.duplicates import QUESTIONS_ALIKE, jaccard, words
from sft.imports.writer import ImportWriter
from sft.mixture import load_mixture
from sft.tokens import load_counter

HANDBOOK = load_set("handbook")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Page]:
    """As `make demo` reads them."""
    store = PageStore(tmp_path_factory.mktemp("handbook") / "pages.sqlite")
    sync_source(str(FOLDER), store, DataConfig())
    return list(store.pages())


def test_nothing_is_wrong_with_it(pages: list[Page]) -> None:
    assert problems(HANDBOOK, pages) == []
    assert HANDBOOK.folder == FOLDER.resolve()
    assert HANDBOOK.questions[0].source == "handbook"


def test_it_has_enough_of_every_kind_in_both_languages() -> None:
    numbers = counts(HANDBOOK)
    assert {lang: sum(kinds.values()) for lang, kinds in numbers.items()} == {"en": 95, "zh": 92}
    for kind, least in (("unanswerable", 12), ("follow-up", 10), ("steps", 15), ("single", 40)):
        assert all(kinds[kind] >= least for kinds in numbers.values()), kind


def test_every_answerable_question_says_what_a_right_answer_is() -> None:
    for one in HANDBOOK.questions:
        assert one.answerable == bool(one.pages and one.answer_span and 1 <= len(one.facts) <= 6), one.id
        assert one.reference, one.id
        assert all(fact.keys for fact in one.facts), one.id
        assert all(url.startswith(f"{one.lang}/") for url in one.pages), one.id
        assert one.kind != "steps" or len(one.facts) > 1, one.id


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_page_is_asked_about(lang: str) -> None:
    asked = Counter(url for one in HANDBOOK.questions if one.lang == lang for url in one.pages)
    reading = {"glossary.md", "index.md", "limits.md"}  # these say in short what other pages say
    for path in sorted((FOLDER / lang).glob("*.md")):
        if path.name not in reading | {"faq.md"}:
            assert asked[f"{lang}/{path.name}"], path.name
    assert max(asked.values()) < len(HANDBOOK.questions) / 10


def test_no_question_repeats_a_heading(pages: list[Page]) -> None:
    headings = [line.lstrip("# ") for page in pages for line in page.body.splitlines() if line.startswith("#")]
    for one in HANDBOOK.questions:
        asked = frozenset(words(one.question))
        alike = max(headings, key=lambda heading: jaccard(asked, frozenset(words(heading))))
        assert jaccard(asked, frozenset(words(alike))) < QUESTIONS_ALIKE, (one.question, alike)


def test_no_training_sample_of_the_handbook_asks_one_of_them(pages: list[Page], tmp_path: Path) -> None:
    """Also not nearly, and the rules do not lean on the gate: it has nothing to turn down."""
    facts = build(pages, [_rules(SftConfig())], load_mixture("balanced"), load_counter(None), 4096, tmp_path / "ds")
    assert facts.evaluation_questions == len(HANDBOOK.questions)
    assert [reject.reason for reject in facts.rejects if reject.gate == "evaluation-overlap"] == []
    exact = {folded(one.question): one.id for one in HANDBOOK.questions}
    near = NearQuestions(one.question for one in HANDBOOK.questions)
    asked = {
        message["content"]
        for name in ("train.jsonl", "val.jsonl")
        for line in (tmp_path / "ds" / name).read_text(encoding="utf-8").splitlines()
        for message in json.loads(line)["messages"]
        if message["role"] == "user"
    }
    assert len(asked) > 1000
    assert [(text, near.of(text)) for text in asked if folded(text) in exact or near.of(text)] == []


def test_a_build_over_the_handbook_leaves_its_questions_out(pages: list[Page], tmp_path: Path) -> None:
    """Whoever asks them, an imported file for one; over other docs they may be asked."""
    asked = [one.question for one in HANDBOOK.questions if one.kind in {"single", "unanswerable"}]
    rows = [{"question": text.upper(), "answer": f"Answer {n}."} for n, text in enumerate(asked)]
    faq = tmp_path / "faq.jsonl"
    faq.write_text("\n".join(json.dumps(row) for row in [*rows, {"question": "Who runs it?", "answer": "Anna does."}]))
    index = next(page for page in pages if page.url == "zh/index.md")
    other = replace(index, title="Another product")
    assert (held_out([index]), held_out([other])) == ((QUESTIONS,), ())

    def imported(page: Page) -> list[str]:
        writers = [ImportWriter([faq], {}), _rules(SftConfig())]
        facts = build([page], writers, load_mixture("balanced"), load_counter(None), 4096, None)
        return [sample.questions[0] for sample in facts.mixed.samples if sample.shape == "imported"]

    assert imported(index) == ["Who runs it?"]
    assert len(imported(other)) > 100


PAGES = [Page("a.md", "Ports", "The gateway listens on port 7860."), Page("b.md", "Keys", "Run keys create.")]
GOOD = {
    "id": "q",
    "lang": "en",
    "question": "Where does it listen?",
    "pages": ["a.md"],
    "answer_span": "listens on",
    "facts": [{"text": "On port 7860.", "keys": [["7860"]]}],
    "reference": "It listens on port 7860.",
}


def checked(tmp_path: Path, *lines: dict[str, object]) -> list[str]:
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(json.dumps({**GOOD, "id": f"q{n}", **line}) for n, line in enumerate(lines)))
    return [f"{problem.id}: {problem.text}" for problem in problems(load_set(str(path)), PAGES)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"pages": ["a.md", "c.md"]}, "there is no page c.md"),
        ({"answer_span": "port 9000"}, "answer_span does not stand in a.md: 'port 9000'"),
        ({"facts": [{"text": "On port 1.", "keys": [["1"]]}], "reference": "Port 1."}, "no gold page has the keys"),
        ({"reference": "Somewhere."}, "the reference does not say the fact 'On port 7860.'"),
        ({"facts": [{"text": "There.", "keys": [["7860"]]}]}, "the fact 'There.' does not match its own keys"),
        ({"question": "Is it 7860?"}, "the question's own words, or a refusal, would count"),
        ({"pages": ["a.md", "b.md"]}, "the page b.md has the keys of none of the facts"),
        ({"answerable": False}, "it is unanswerable and yet names pages or facts"),
        (
            {"kind": "steps", "reference": "On 7860 the gateway is.", "facts": [
                {"text": "The gateway.", "keys": [["gateway"]]}, {"text": "On 7860.", "keys": [["7860"]]}]},
            "the reference does not say the steps in order",
        ),
    ],
)  # fmt: skip
def test_each_problem_is_named(tmp_path: Path, line: dict[str, object], said: str) -> None:
    found = checked(tmp_path, line)
    assert len(found) == 1, found
    assert said in found[0]


def test_a_question_that_comes_twice_is_named(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "Yes."}]
    again = {"question": "where does it LISTEN"}
    assert checked(tmp_path, {}, {**again, "history": talk}, again) == ["q2: asks the same as q0"]


def test_counts_go_by_language_and_kind() -> None:
    asked = (
        Question("1", "?", "en"),
        Question("2", "?", "zh", answerable=False),
        Question("3", "?", "en", kind="steps"),
    )
    assert counts(QuestionSet("own", asked)) == {"en": {"single": 1, "steps": 1}, "zh": {"unanswerable": 1}}


def test_the_command_prints_problems_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Ports\n\nThe gateway listens on port 7860.\n")
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps(GOOD))
    good = CliRunner().invoke(app, ["eval", "check", str(own), "--corpus", str(docs)])
    assert good.exit_code == 0, good.output
    assert good.stdout == "en: 1 questions (1 single)\nNo problems found.\n"
    own.write_text(json.dumps({**GOOD, "pages": ["c.md"]}))
    bad = CliRunner().invoke(app, ["eval", "check", str(own), "--corpus", str(docs), "--json"])
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["problems"] == [{"id": "q", "text": "there is no page c.md"}]
