"""`docduet eval make` with a scripted teacher over real pages and a real index; each check of a draft by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.chat.calls import Reply, TurnedDown
from data.errors import ConfigError, EmptySourceError
from data.home import Home
from data.types import Page
from docduet import app
from evals.drafts import replies
from evals.drafts.alike import Asked, datasets, trained_on
from evals.drafts.check import checked
from evals.drafts.parts import Job, Part, jobs_of, parts_of
from evals.drafts.replies import Draft
from evals.questions import load_set
from tests.fake_drafter import drafted
from tests.fake_teacher import FakeTeacher

ENGLISH = {
    "gateway": "The gateway listens on port 7860. Chats are stored in a SQLite file. Every answer names its sources. "
    "The log rotates after 10 megabytes. A vote can be changed within one hour.",
    "engine": "An engine is restarted with a growing delay when it dies. It may hold one adapter beside its base "
    "model. Requests beyond the queue get a refusal with code 429. Warm engines answer the first word in a second.",
    "backup": "A backup holds the database and the index. It runs every night at three. Restoring needs the same "
    "version. Old backups are deleted after thirty days. The zebra option keeps them forever.",
}
CHINESE = {
    "网关": "网关默认监听 7860 端口。聊天记录保存在 SQLite 文件中。每个回答都会列出来源页面。"
    "日志超过 10 兆字节后会自动轮换。投票在一小时内可以修改。",
    "引擎": "引擎退出后会以逐渐增大的间隔重新启动。它可以在基础模型之外加载一个适配器。"
    "超出队列的请求会收到状态码 429。预热后的引擎一秒内给出第一个词。",
}


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with five short pages in two languages, synced and indexed."""
    root = tmp_path_factory.mktemp("drafts")
    for lang, pages in (("en", ENGLISH), ("zh", CHINESE)):
        for name, text in pages.items():
            path = root / "docs" / lang / f"{name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCDUET_HOME", str(root / "home"))
        result = CliRunner().invoke(app, ["sync", str(root / "docs"), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def home(synced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Pages and index are shared, what is written is not."""
    for name in ("pages.sqlite", "index"):
        (tmp_path / name).symlink_to(synced / "home" / name)
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path)


def make(url: str, *more: str) -> dict[str, Any]:
    command = ["eval", "make", "--out", "set.jsonl", "--teacher-url", url, "--json", *more]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_set_in_both_languages_with_every_kind_that_a_run_can_read(home: Home) -> None:
    with FakeTeacher(writes=drafted) as teacher:
        found = make(teacher.url, "--n", "12")
    assert found["questions"] == 12
    lines = [json.loads(line) for line in Path("set.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["reviewed"] for line in lines] == [False] * 12
    assert {line["lang"] for line in lines} == {"en", "zh"}
    assert {"single", "follow-up", "unanswerable"} <= {line["kind"] for line in lines}
    for one in load_set("set.jsonl").questions:
        assert one.answerable == bool(one.facts) == bool(one.pages) == (one.kind != "unanswerable")
        assert bool(one.history) == (one.kind == "follow-up")
        assert one.pages == () or one.pages[0].startswith(one.lang)
    assert len({line["question"] for line in lines}) == 12


def test_what_the_docs_answer_after_all_is_no_unanswerable_question(home: Home) -> None:
    with FakeTeacher(writes=drafted) as teacher:
        found = make(teacher.url, "--n", "6", "--pages", "*backup*")
    assert found["dropped"]["answered"] >= 1
    assert "unanswerable" not in found["kinds"]


def test_a_stopped_run_goes_on_and_makes_the_same_set(home: Home, tmp_path: Path) -> None:
    with FakeTeacher(writes=drafted) as teacher:
        make(teacher.url, "--n", "9")
        whole, needed = Path("set.jsonl").read_text(encoding="utf-8"), teacher.total
    Path("set.jsonl").unlink()
    (home.cache / "drafts.sqlite").unlink()
    with FakeTeacher(writes=drafted) as teacher:

        def locks_up(kind: str, subject: str) -> str:
            if teacher.total >= 4:
                teacher.key = "changed"
            return ""

        teacher.fault = locks_up
        with pytest.raises(ConfigError, match="refused"):
            make(teacher.url, "--n", "9", "--concurrency", "1")
        assert 4 <= teacher.total < needed
        assert not Path("set.jsonl").exists()
        teacher.key, teacher.fault = "", lambda kind, subject: ""
        make(teacher.url, "--n", "9")
        assert teacher.total <= needed + 1
    assert Path("set.jsonl").read_text(encoding="utf-8") == whole


def test_nothing_is_asked_that_was_trained_on(home: Home) -> None:
    with FakeTeacher(writes=drafted) as teacher:
        make(teacher.url, "--n", "6")
        asked = [one.question for one in load_set("set.jsonl").questions]
        folder = home.root / "datasets" / "mine"
        folder.mkdir(parents=True)
        sample = {"messages": [{"role": "user", "content": asked[0]}, {"role": "assistant", "content": "So."}]}
        (folder / "train.jsonl").write_text(json.dumps(sample), encoding="utf-8")
        Path("set.jsonl").rename("first.jsonl")
        found = make(teacher.url, "--n", "6")
    again = [one.question for one in load_set("set.jsonl").questions]
    assert found["dropped"]["asked-before"] >= 1
    assert asked[0] not in again
    assert list(trained_on(datasets(home.root / "datasets"))) == [asked[0]]


def test_what_is_missing_is_said_before_anything_is_asked(home: Home, tmp_path: Path) -> None:
    (tmp_path / "there.jsonl").write_text("somebody's work", encoding="utf-8")
    for command, words in (
        (["--out", "new.jsonl"], "--teacher-url"),
        (["--out", "there.jsonl", "--teacher-url", "http://127.0.0.1:9/v1"], "another --out"),
        (["--out", "new.jsonl", "--teacher-url", "http://127.0.0.1:9/v1", "--pages", "fr/*"], "no page matches"),
    ):
        with pytest.raises(ConfigError, match=words):
            CliRunner().invoke(app, ["eval", "make", *command], catch_exceptions=False)
    assert (tmp_path / "there.jsonl").read_text(encoding="utf-8") == "somebody's work"


def test_without_pages_a_sync_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    with pytest.raises(EmptySourceError, match="docduet sync"):
        CliRunner().invoke(
            app,
            ["eval", "make", "--out", str(tmp_path / "o.jsonl"), "--teacher-url", "http://127.0.0.1:9/v1"],
            catch_exceptions=False,
        )


PAGE = Page("en/a.md", "Gateway", "The gateway listens on port 7860. Chats are stored in a SQLite file.", "en")
GOOD = {"text": "The gateway listens on port 7860.", "keys": [["7860"], ["port", "listens"]]}
REFERENCE = "The gateway listens on port 7860."


def check(question: str, facts: list[dict[str, Any]], reference: str = REFERENCE, kind: Any = "single") -> Any:
    return checked(Draft(question=question, facts=facts, reference=reference), Job(0, Part(PAGE, PAGE.body), kind))


def test_a_fact_that_the_page_does_not_say_is_taken_out() -> None:
    made_up = {"text": "The gateway listens on port 9999.", "keys": [["9999"]]}
    question, doubts = check("Where can I reach it?", [GOOD, made_up], f"{REFERENCE} It also listens on port 9999.")
    assert [fact.text for fact in question.facts] == [GOOD["text"]]
    assert question.facts[0].keys == (("7860",), ("port", "listens"))
    assert doubts == ("It also listens on port 9999.",)
    with pytest.raises(TurnedDown, match="none of its facts"):
        check("Where can I reach it?", [made_up])


@pytest.mark.parametrize(
    ("question", "keys"),
    [
        ("Where can I reach it?", [["7861"]]),  # nowhere in the page
        ("What is port 7860 for?", [["7860"]]),  # in the question: any answer that repeats it would be credited
        ("Where can I reach it?", [["7860"], []]),  # a group that nothing fulfils
        ("Where can I reach it?", [["re:.*"]]),  # fits everything
    ],
)
def test_keys_that_measure_nothing_are_dropped(question: str, keys: list[list[str]]) -> None:
    found, _ = check(question, [{"text": GOOD["text"], "keys": keys}])
    assert found.facts[0].keys == ()


def test_a_fact_that_the_reference_leaves_out_is_none() -> None:
    with pytest.raises(TurnedDown, match="none of its facts"):
        check("Where are chats?", [{"text": "Chats are stored in a SQLite file.", "keys": []}])


def test_other_languages_and_talk_of_the_text_are_turned_down() -> None:
    with pytest.raises(TurnedDown, match="another language"):
        check("网关监听哪个端口？", [GOOD])
    with pytest.raises(TurnedDown, match="the text"):
        check("Which port does the text name?", [GOOD])


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("", "empty"),
        ("Sure! Here it is.", "unparsable"),
        ('{"question": "Where?", "facts": [], "reference": "There."}', "unparsable"),
        ('{"question": "Where?", "facts": ["a fact"], "reference": "There."}', "unparsable"),
        ('{"question": "Where?", "facts": [{"text": "So."}], "reference": "So.", "grade": 5}', "unparsable"),
    ],
)
def test_malformed_drafts_are_turned_down(text: str, gate: str) -> None:
    with pytest.raises(TurnedDown) as found:
        replies.draft(Reply(text), "single")
    assert found.value.gate == gate


def test_questions_alike_in_what_they_ask_are_one() -> None:
    asked = Asked(["How do I change the port of the gateway?", "怎样修改网关的端口？"])
    assert asked.twin("how can I change the gateway's port")
    assert asked.twin("如何修改网关的端口")
    assert not asked.twin("How do I change the host of the proxy?")
    assert not asked.twin("怎样删除备份？")


def test_languages_take_turns_and_every_kind_comes_in_both() -> None:
    text = "A sentence that says something worth asking about stands here, and then another one. " * 6
    chinese = "这里有一句值得提问的话，后面还有一句话也值得提问，因此文本足够长。" * 4
    pages = [Page(f"en/{n}.md", f"P{n}", text) for n in range(30)]
    pages += [Page(f"zh/{n}.md", f"页{n}", chinese, "zh") for n in range(30)]
    jobs = list(jobs_of(parts_of(pages, 1)))[:60]
    assert [job.part.page.lang for job in jobs] == ["en", "zh"] * 30
    for lang in ("en", "zh"):
        assert {job.kind for job in jobs if job.part.page.lang == lang} == {"single", "follow-up", "unanswerable"}
    assert jobs == list(jobs_of(parts_of(pages[::-1], 1)))[:60]
