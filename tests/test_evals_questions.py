"""Question sets: reading them, refusing broken ones, and the bundled set against the real docs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import ConfigError
from evals.questions import FOLDER, Earlier, Fact, Question, QuestionSet, load_set, require_gold

CORPUS = Path(__file__).parents[1].parent / "shared" / "corpora" / "ms-swift-docs"
GOOD = {"id": "q1", "question": "How?", "lang": "en", "pages": ["a.md"], "answer_span": "so", "source": "own"}


def write(path: Path, *lines: object) -> str:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return str(path)


def test_reads_questions_and_what_to_leave_out(tmp_path: Path) -> None:
    name = write(tmp_path / "own.jsonl", GOOD, "", {**GOOD, "id": "q2", "answer_span": ""})
    (tmp_path / "own.toml").write_text('exclude = ["faq.md"]\ncorpus = "../docs"')
    found = load_set(name)
    assert found.name == "own"
    assert [question.id for question in found.questions] == ["q1", "q2"]
    assert found.questions[0] == Question("q1", "How?", "en", ("a.md",), "so", "own")
    assert (found.exclude, found.folder) == (("faq.md",), tmp_path.resolve().parent / "docs")
    assert not found.corpus


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1"),
        ({"id": "q1", "question": "How?", "lang": "en"}, "pages"),
        ({**GOOD, "pages": "a.md"}, "pages"),
        ({**GOOD, "pages": []}, "pages is empty"),
        ({**GOOD, "question": ""}, "question is empty"),
        ({**GOOD, "kind": "step"}, "line 1: kind: Input should be"),
        ({**GOOD, "kind": "follow-up"}, "needs the messages before it"),
        ({**GOOD, "history": [{"role": "user", "content": "Hi"}]}, "history ends with a question"),
        ({**GOOD, "kind": "unanswerable"}, "one of them is wrong"),
        ({**GOOD, "facts": [{"text": "f", "keys": [[]]}]}, "a group of keys of the fact 'f' is empty"),
        ({**GOOD, "facts": [{"text": "f", "keys": [["re:("]]}]}, "no regular expression"),
        ({**GOOD, "facts": [7]}, "facts.0"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_set(write(tmp_path / "own.jsonl", line))


def test_the_line_that_is_named_is_the_one_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"own\.jsonl: line 4: question is empty"):
        load_set(write(tmp_path / "own.jsonl", GOOD, "", "", {**GOOD, "question": " "}))


def test_what_a_good_answer_says(tmp_path: Path) -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    facts = ["It is so.", {"text": "It is 5.", "keys": [["5", "five"], ["re:s(ec)?"]]}]
    line = GOOD | {"kind": "follow-up", "history": history, "facts": facts, "topic": "t", "reference": "So, 5 s."}
    found = load_set(
        write(tmp_path / "own.jsonl", line, {"id": "q2", "question": "?", "lang": "en", "answerable": False})
    )
    asked, outside = found.questions
    assert asked.facts == (Fact("It is so."), Fact("It is 5.", (("5", "five"), ("re:s(ec)?",))))
    assert asked.history == (Earlier("user", "Hi"), Earlier("assistant", "Yes?"))
    assert [message["content"] for message in asked.messages] == ["Hi", "Yes?", "How?"]
    assert (outside.answerable, outside.pages) == (False, ())
    assert found.sha256 == found.sample(1, 0).sha256 != load_set(write(tmp_path / "own.jsonl", GOOD)).sha256


def test_a_set_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no questions"):
        load_set(write(tmp_path / "empty.jsonl", ""))
    with pytest.raises(ConfigError, match="'q1' is used twice"):
        load_set(write(tmp_path / "twice.jsonl", GOOD, GOOD))
    with pytest.raises(ConfigError, match="one of: handbook, ms-swift-docs"):
        load_set("nothing-of-that-name")
    for wrong in ("exclude = [", 'exclude = "faq.md"', "corpus = 1"):
        (tmp_path / "own.toml").write_text(wrong)
        with pytest.raises(ConfigError, match=r"own\.toml"):
            load_set(write(tmp_path / "own.jsonl", GOOD))


def test_gold_pages_must_be_in_the_corpus() -> None:
    question = Question("q1", "How?", "en", ("a.md", "b.md"))
    require_gold([question], {"a.md", "b.md"}, "docs/")
    with pytest.raises(ConfigError, match=r"q1 is answered by b.md, which is not among the 1 pages of docs/"):
        require_gold([question], {"a.md"}, "docs/")


def test_a_sample_is_seeded_and_keeps_the_order() -> None:
    everything = QuestionSet("s", tuple(Question(str(n), "?", "en", ("a",)) for n in range(50)))
    drawn = everything.sample(10, seed=3)
    ids = [int(question.id) for question in drawn.questions]
    assert len(ids) == 10
    assert ids == sorted(set(ids))
    assert drawn == everything.sample(10, seed=3)
    assert drawn != everything.sample(10, seed=4)
    assert everything.sample(0, seed=3) == everything == everything.sample(99, seed=3)


def test_the_bundled_set_is_large_enough_and_clean() -> None:
    questions = load_set("ms-swift-docs").questions
    for lang in ("en", "zh"):
        own = [question for question in questions if question.lang == lang]
        assert len(own) >= 65
        assert all(page.startswith(f"{lang}/") for question in own for page in question.pages)
        assert sum(question.source == "faq" for question in own) >= 25
    assert len({question.question for question in questions}) == len(questions)
    assert all(0 < len(question.answer_span) <= 100 for question in questions)
    assert not any("Frequently-asked" in page for question in questions for page in question.pages)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the ms-swift docs are not at {CORPUS}")
def test_the_bundled_set_fits_the_real_docs() -> None:
    for question in load_set("ms-swift-docs").questions:
        for page in question.pages:
            assert (CORPUS / page).is_file(), (question.id, page)
        assert question.answer_span in (CORPUS / question.pages[0]).read_text(encoding="utf-8"), question.id


def test_every_bundled_set_says_what_it_is() -> None:
    assert [path for path in FOLDER.glob("*.toml") if not path.with_suffix(".jsonl").is_file()] == []
