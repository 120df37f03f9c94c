"""What docduet-tiny learns in people's words: questions over the corpus, and the handbook's facts for its adapter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.handbook import FOLDER
from data.prompts import REFUSAL
from data.text import folded
from evals.questions import bundled
from sft.decontaminate import NearQuestions, read_questions

RECIPE = Path(__file__).parents[1] / "recipes" / "docduet-tiny"
LANGS = ("en", "zh")


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    sys.path.insert(0, str(RECIPE))
    yield
    sys.path.remove(str(RECIPE))


def page(thing: str) -> str:
    if thing != "cache":
        return f"The {thing} writes each entry into a file, and forgets none. It needs no room.\n"
    return (
        "The cache keeps what was asked.\n\n## Room\n\nThe cache holds 40 entries. Older ones are thrown away.\n\n"
        "## Start\n\nTo start the cache:\n\n1. Install `cache-tools`.\n2. Run `cachectl start`.\n"
    )


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Pages of a made-up package, and what people ask of two of them (one answer is in no page)."""
    things = ("cache", "journal", "mirror", "spool")
    rows = [
        {"package": "made-up", "path": f"{thing}.html", "title": f"The {thing}", "lang": "en", "split": "train",
         "body": page(thing)}
        for thing in things
    ]  # fmt: skip
    from reading.people import sum_of

    body = page("cache")
    wanted = [
        ("The cache holds 40 entries. Older ones are thrown away.", ["how much room for an entry", "is it ever full?"]),
        ("1. Install `cache-tools`.\n2. Run `cachectl start`.", ["get it going, how"]),
    ]
    asked = [
        {"package": "made-up", "path": "cache.html", "lang": "en", "start": body.index(answer),
         "end": body.index(answer) + len(answer), "sum": sum_of(answer), "questions": questions}
        for answer, questions in wanted
    ]  # fmt: skip
    asked.append({**asked[0], "path": "spool.html", "questions": ["what an older version said"]})
    pages, said = tmp_path / "pages.jsonl", tmp_path / "asked.jsonl"
    for path, lines in ((pages, rows), (said, asked)):
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return pages, said


def test_a_question_of_people_is_asked_as_it_is_and_answered_in_the_pages_words(files: tuple[Path, Path]) -> None:
    from reading import make, people
    from reading.show import squeeze

    pages, asked = files
    [(slice_, drafts)] = people.shelves(pages, people.read_asked(asked), 7, 20)
    assert (slice_.number, slice_.wanted) == (7, 60)
    assert [draft.question for draft in drafts] == [
        "how much room for an entry",
        "is it ever full?",
        "get it going, how",
    ]
    tasks, shown = make.tasks_of_people(slice_, drafts, 20, 1, lambda question: question == "is it ever full?")
    texts = {passage.id: passage.text for passage in shown}
    own = {task.question for task in tasks if task.kind != "refusal-foreign"}
    assert own == {draft.question for draft in drafts} - {"is it ever full?"}
    answered = [task for task in tasks if task.kind == people.KIND]
    assert len({re.sub(r"\[\d+\]", "", task.answer) for task in answered}) == 2
    for task in answered:
        numbers = {int(number) for number in re.findall(r"\[(\d+)\]", task.answer)}
        cited = "".join(squeeze(texts[task.passages[number - 1]]) for number in numbers)
        assert numbers
        assert squeeze(re.sub(r"\s?\[\d+\]", "", task.answer)) in cited
    refused = [task for task in tasks if task.kind == "refusal-missing"]
    assert refused
    for task in refused:
        assert task.answer in REFUSAL.values()
        assert not any("cache holds 40" in texts[one] or "cachectl" in texts[one] for one in task.passages)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("- The limit is\n  40 entries.", "The limit is 40 entries."),
        ("1. Install it.\n2. Run it.", "1. Install it.\n2. Run it."),
        ("One sentence\nover two lines.", "One sentence over two lines."),
        ("Run this:\n\n```bash\nx -y\n```", "Run this:\n\n```bash\nx -y\n```"),
    ],
)
def test_what_is_said_of_a_place(answer: str, text: str) -> None:
    from reading.people import said

    assert said(answer) == text


def test_what_people_ask_over_the_corpus_is_in_both_languages_and_nowhere_about_the_handbook() -> None:
    from reading.people import read_asked

    asked = read_asked(RECIPE / "asked.jsonl.xz")
    listed = {line.split()[0] for line in (RECIPE / "packages.txt").read_text().splitlines() if line.strip()}
    assert {one.lang for one in asked} == set(LANGS)
    assert {one.package for one in asked} <= listed
    assert all(one.start < one.end and len(set(one.questions)) >= 3 for one in asked)
    assert len(asked) > 10_000


def test_every_page_of_the_handbook_is_asked_about_in_people_s_words(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(RECIPE / "wordings.py"), str(tmp_path / "rows.jsonl")], check=True)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    pages = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.md")}
    assert {row["url"] for row in rows} == pages
    assert all(row["question"].strip() and row["answer"].strip() for row in rows)
    questions = [(row["url"], row["question"]) for row in rows]
    assert len(set(questions)) == len(questions)
    assert len(questions) >= 5 * len({(row["url"], row["answer"]) for row in rows})


def test_no_wording_is_a_question_that_the_scorecard_asks() -> None:
    from wordings import rows

    held_out = read_questions(bundled()["handbook"])
    near = NearQuestions(held_out)
    asked = [row["question"] for row in rows()]
    assert not [question for question in asked if near.of(question)]
    assert not {folded(question) for question in asked} & {folded(question) for question in held_out}
    assert near.of(held_out[0])


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    from wordings import rows

    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "faq.jsonl").write_text('{"questions": ["a"], "answer": "b"}\n{"questions": ["a"]}\n')
    with pytest.raises(ValueError, match=r"faq\.jsonl: line 2 is not a fact"):
        list(rows(tmp_path))
