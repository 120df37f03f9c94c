"""Promoted corrections as a question set, from the file to the scores of a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.corrections import use_of
from data.errors import ConfigError
from data.feedback import Feedback, append_feedback
from data.home import Home
from data.prompts import REFUSAL
from data.store import FileRecord, PageStore
from data.types import Page
from docduet import app
from evals.questions import load_set

PAGES = [
    Page("port.md", "Ports", "The gateway listens on port 7860.\n\nChange it with `--port`.\n"),
    Page("box.md", "Boxes", "A box keeps three cards.\n"),
    Page("zh/port.md", "端口", "网关默认监听 7860 端口。\n", lang="zh"),
]
CORRECTION = "The gateway listens on port 7860 [1]. Change it with `--port` or in the file."


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    store = PageStore(home.pages)
    for page in PAGES:
        store.put(page, FileRecord(page.url, page.url, 1, 1, page.content_hash, "r", 1))
    store.close()
    return home


def put(home: Home, number: int, use: str = "eval", **fields: Any) -> Feedback:
    """The ``number``-th promoted correction whose question is for ``use``."""
    made = (
        Feedback(question=f"Which port does gateway {n} listen on?", answer="80.", correction=CORRECTION, lang="en",
                 answer_id=f"ans_{n}", sources=("port.md", "gone.md"), review="promoted")
        for n in range(1000)
    )  # fmt: skip
    entry = [entry for entry in made if use_of(entry) == use][number].model_copy(update=fields)
    append_feedback(home.feedback, entry)
    return entry


def test_a_correction_is_a_question_with_its_facts_and_pages(home: Home) -> None:
    entry = put(home, 0)
    put(home, 1, review="proposed")
    put(home, 0, "sft")
    named = put(home, 2, pages=("box.md",), choice=1)
    refused = put(home, 3, correction=REFUSAL["zh"], lang="zh")
    questions = load_set("feedback", home)
    first, second, third = questions.questions
    assert (first.id, first.question, first.lang) == (f"{entry.answer_id}-0", entry.question, "en")
    assert tuple(fact.text for fact in first.facts) == (
        "The gateway listens on port 7860.",
        "Change it with `--port` or in the file.",
    )
    assert (first.pages, first.answer_span, first.answerable) == (("port.md",), first.facts[0].text, True)
    assert (second.id, second.pages, second.answer_span) == (f"{named.answer_id}-1", ("box.md",), "")
    assert (third.question, third.facts, third.pages, third.answerable) == (refused.question, (), (), False)
    assert questions.findable().questions == (first, second)
    assert {page.url for page in questions.corpus} == {page.url for page in PAGES}


def test_no_set_without_promoted_questions(home: Home) -> None:
    put(home, 0, review="kept")
    with pytest.raises(ConfigError, match="docduet data feedback list"):
        load_set("feedback", home)
    put(home, 1, pages=())
    with pytest.raises(ConfigError, match="names a page"):
        load_set("feedback", home).findable()


def test_the_command_measures_retrieval_with_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(home.root))
    entry = put(home, 0)
    argv = ["eval", "run", "--retrieval", "feedback", "--system", "bigram", "--json"]
    done = CliRunner().invoke(app, argv)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["set"], report["pages"]) == ("feedback", 3)
    assert report["ranks"] == {f"{entry.answer_id}-0": {"bigram": 1}}
    assert report["systems"]["bigram"]["en"]["answer_at_5"] == 1
