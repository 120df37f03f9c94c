"""`docduet sft build`, where its parts meet: a teacher, rules, imports, --diff, --limit and --lang together."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import ConfigError, EmptySourceError
from data.store import FileRecord, PageStore
from data.types import Page
from sft.previous import read_previous
from tests.fake_teacher import FakeTeacher
from tests.teacher_lessons import docs, prepared, run

FAQ = "question,answer\nWho runs the shop?,Anna runs it since May.\nWhere is the shop?,It is in the old town.\n"
OPTIONS = Page(
    "o.md",
    "Widget options",
    "## Options\n\n"
    + "\n".join(
        f"- {name}_limit: The largest number of {name} cards kept. Default is 3." for name in ("a", "bb", "cc")
    ),
    "en",
)


def put(home: Path, *pages: Page) -> None:
    store = PageStore(home / "pages.sqlite")
    for page in pages:
        store.put(page, FileRecord(page.url, page.url, 1, 1, "h2", "r", 1))
    store.close()


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "provenance.jsonl").read_text().splitlines()]


def test_a_teacher_is_asked_about_changed_pages_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = docs(12)
    home = prepared(tmp_path / "home", pages)
    (home / "m.yaml").write_text("shares: {single: 0.4, comparison: 0.4, replay: 0.2}\nrepeat: 5")
    new = replace(pages[3], body=pages[3].body.replace("cards", "parcels"))
    with FakeTeacher() as teacher:
        taught = ("--teacher", teacher.url, "--rewrites", "1", "--think-share", "0.5")
        assert run(home, monkeypatch, *taught).exit_code == 0
        old, paid = read_previous(home / "ds"), teacher.total
        put(home, new)
        again = (*taught, "--diff", str(home / "ds"))
        # A dry run names the model itself: nobody is asked which one there is.
        dry = run(home, monkeypatch, *again, "--model", "wise", "--dry-run", "--json")
        assert dry.exit_code == 0, dry.output
        assert teacher.total == paid
        listed = json.loads(dry.stdout)
        assert [(page["url"], page["change"]) for page in listed["pages"]] == [(new.url, "changed")]
        asked_before = len(teacher.bodies)
        done = run(home, monkeypatch, *again, "--json")
        assert done.exit_code == 0, done.output
        asked = [json.dumps(body["messages"]) for body in teacher.bodies[asked_before:]]
    assert 0 < len(asked) <= listed["teacher"]["calls"] < paid
    assert all("parcels" in text for text in asked)
    now = read_previous(home / "ds")
    kept = [one for one in old.samples if new.url not in one.pages]
    assert [one for one in now.samples if new.url not in one.pages] == kept
    assert {one.shape for one in kept} == {"single", "comparison", "replay"}
    assert any(one.thinks for one in kept)
    written = [one for one in now.samples if new.url in one.pages]
    assert any("parcels" in one.said[0] for one in written)
    assert all(new.content_hash in one.page_hashes for one in written)
    assert json.loads(done.stdout)["kept"] == len(kept)


def test_a_refusal_of_a_teacher_goes_when_a_page_has_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = prepared(tmp_path / "home", docs(6))
    (home / "m.yaml").write_text("shares: {unanswerable: 1.0}")
    with FakeTeacher(lambda kind, subject: "refusal" if kind == "answer" else "") as teacher:
        assert run(home, monkeypatch, "--teacher", teacher.url).exit_code == 0
    questions = [one.questions[0] for one in read_previous(home / "ds").samples]
    put(home, Page("new.md", "New", f"All there is to say: {questions[0].removesuffix('?')}.", "en"))
    dry = run(home, monkeypatch, "--diff", str(home / "ds"), "--dry-run", "--json")
    assert {(one["question"], one["why"]) for one in json.loads(dry.stdout)["samples"]} == {
        (questions[0], "may be answered now")
    }


def test_teacher_rules_and_imports_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = prepared(tmp_path / "home", [*docs(3), OPTIONS])
    (tmp_path / "faq.csv").write_text(FAQ)
    with FakeTeacher() as teacher:
        words = ("--teacher", teacher.url, "--with-rules", "--import", str(tmp_path / "faq.csv"))
        done = run(home, monkeypatch, *words, "--json")
        assert done.exit_code == 0, done.output
        few = run(home, monkeypatch, *words, "--limit", "5", "--json")
        few_and_changed = run(home, monkeypatch, *words, "--limit", "5", "--diff", str(home / "ds"), "--json")
    found = json.loads(done.stdout)
    assert found["samples"]["imported"] == 2
    for limited in (few, few_and_changed):
        made = json.loads(limited.stdout)
        assert made["train"] + made["val"] == 5
        assert made["samples"]["imported"] == 2
    assert json.loads(few_and_changed.stdout)["kept"] == 5


def test_generators_of_all_three_are_in_the_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = prepared(tmp_path / "home", [*docs(3), OPTIONS])
    (tmp_path / "faq.csv").write_text(FAQ)
    with FakeTeacher() as teacher:
        words = ("--teacher", teacher.url, "--with-rules", "--import", str(tmp_path / "faq.csv"))
        assert run(home, monkeypatch, *words).exit_code == 0
    generators = Counter(row["generator"] for row in rows(home / "ds"))
    assert set(generators) == {"rules", "teacher:wise", "import:faq.csv"}


def test_without_pages_imports_are_built_and_the_teacher_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = prepared(tmp_path / "home", [])
    (tmp_path / "faq.csv").write_text(FAQ)
    with FakeTeacher() as teacher:
        done = run(home, monkeypatch, "--teacher", teacher.url, "--import", str(tmp_path / "faq.csv"))
        alone = run(home, monkeypatch, "--teacher", teacher.url)
    assert done.exit_code == 0, done.output
    assert "the teacher was not asked" in (home / "ds" / "card.md").read_text()
    assert [row["shape"] for row in rows(home / "ds")] == ["imported"] * 2
    assert isinstance(alone.exception, EmptySourceError)
    assert teacher.total == 0


def test_a_broken_import_is_told_before_a_teacher_is_paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = prepared(tmp_path / "home", docs(3))
    (tmp_path / "faq.csv").write_text("who,what\nAnna,runs it\n")
    with FakeTeacher() as teacher:
        failed = run(home, monkeypatch, "--teacher", teacher.url, "--import", str(tmp_path / "faq.csv"))
    assert isinstance(failed.exception, ConfigError)
    assert "--column" in str(failed.exception)
    assert teacher.total == 0


def test_other_languages_are_no_news_to_a_dataset_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = prepared(tmp_path / "home", [OPTIONS, *docs(2, "zh")])
    (tmp_path / "faq.csv").write_text(FAQ + "店铺在哪里？,在老城区的集市旁边。\n")
    assert run(home, monkeypatch, "--lang", "en").exit_code == 0
    dry = run(home, monkeypatch, "--lang", "en", "--diff", str(home / "ds"), "--dry-run", "--json")
    assert json.loads(dry.stdout)["pages"] == []
    whole = run(home, monkeypatch, "--diff", str(home / "ds"), "--dry-run", "--json")
    assert [page["change"] for page in json.loads(whole.stdout)["pages"]] == ["new", "new"]
    mixed = ("--import", str(tmp_path / "faq.csv"), "--json")
    assert json.loads(run(home, monkeypatch, *mixed).stdout)["samples"]["imported"] == 3
    again = run(home, monkeypatch, *mixed, "--lang", "en", "--diff", str(home / "ds"))
    assert json.loads(again.stdout)["samples"]["imported"] == 3  # rows in other languages are still in their file
    none = run(home, monkeypatch, "--lang", "fr")
    assert isinstance(none.exception, ConfigError)
    assert "the synced pages are in: en, zh" in str(none.exception)
