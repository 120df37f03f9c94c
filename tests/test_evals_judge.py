"""`docduet eval judge` against a scripted judge on a port: verdicts, both orders, malformed replies, a killed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.errors import ConfigError
from data.home import Home
from data.store import FileRecord, PageStore
from data.types import Page
from docduet import app
from evals.judge.prompts import Case, pair_messages, single_messages
from evals.judge.results import PairVerdict, Winner, by_pair
from evals.runs import EvalRun, Result, read_run, write_run
from tests.fake_judge import verdict
from tests.fake_teacher import FakeTeacher

BODY = "The gateway listens on port 7860. It stores chats in SQLite. Backups run every night. Logs go to a file."
QUESTIONS: list[dict[str, Any]] = [
    {
        "id": "q1",
        "lang": "en",
        "question": "Where does it listen?",
        "pages": ["en/a.md"],
        "facts": [{"text": "port 7860", "keys": [["7860"]]}, "It stores chats in SQLite."],
    },
    {
        "id": "q2",
        "lang": "en",
        "question": "Is it biased?",
        "pages": ["en/a.md"],
        "facts": ["Backups run every night."],
    },
    {"id": "q3", "lang": "en", "question": "Is it garbled?", "pages": ["en/a.md"], "facts": ["Logs go to a file."]},
    {"id": "q4", "lang": "en", "question": "Who won the cup?", "answerable": False, "kind": "unanswerable"},
]
ANSWERS = {
    ("q1", "rag"): "The gateway listens on port 7860. [1] It stores chats in SQLite. [1]",
    ("q1", "sft"): "The gateway listens on port 7860. It runs on the moon.",
    ("q2", "rag"): "Backups run every night. [1]",
    ("q2", "sft"): "They run weekly.",
    ("q3", "rag"): "Logs go to a file. [1]",
    ("q3", "sft"): "Logs vanish.",
    ("q4", "rag"): "I could not find this in the documentation.",
    ("q4", "sft"): "I could not find this in the documentation.",
}


def put(home: Home, *pages: Page) -> None:
    store = PageStore(home.pages)
    for page in pages:
        store.put(page, FileRecord(page.url, page.url, 1, 1, "", "", 1))
    store.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """With one page, a set and a run of two arms over it."""
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    home = Home(tmp_path)
    put(home, Page("en/a.md", "Gateway", BODY, source="docs"))
    lines = [json.dumps(question) for question in QUESTIONS]
    (tmp_path / "set.jsonl").write_text("\n".join(lines), encoding="utf-8")
    by_id = {one["id"]: one for one in QUESTIONS}
    results = [
        Result(
            id=id,
            arm=arm,
            question=by_id[id]["question"],
            lang="en",
            answerable=id != "q4",
            refused=id == "q4",
            facts_recalled=0.5 if id == "q1" else None,
            missing=("It stores chats in SQLite.",) if id == "q1" else (),
            answer=answer,
        )
        for (id, arm), answer in ANSWERS.items()
    ]
    write_run(home.evals, "set-1", EvalRun(object="eval_run", set="set", results=tuple(results)))
    return home


def judge(url: str, *more: str) -> dict[str, Any]:
    command = ["eval", "judge", "set-1", "--set", "set.jsonl", "--judge-url", url, "--json", *more]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_verdicts_are_counted_saved_and_put_into_the_run(home: Home) -> None:
    with FakeTeacher(writes=verdict) as teacher:
        found = judge(teacher.url)
        asked = teacher.total
    (pair,) = found["pairs"]
    assert (pair["arms"], pair["wins"], pair["losses"], pair["ties"], pair["unread"]) == (["rag", "sft"], 1, 0, 2, 1)
    assert pair["win_rate"]["value"] == pytest.approx((1 + 2 / 2) / 3)
    bias = pair["position_bias"]
    assert (bias["first"], bias["second"], bias["flipped"]["value"], bias["flipped"]["of"]) == (1, 0, 0.5, 2)
    assert found["unparsable"] == 3  # both answers to q3, and the pair
    assert found["failed"] == 0
    assert asked == 6 + 2 * 3  # two refusals are alike: nobody is asked
    run = read_run(home.evals / "set-1.json")
    got = {(result.id, result.arm): result for result in run.results}
    assert run.judge == "wise"
    assert (got["q1", "rag"].judge, got["q1", "rag"].facts_recalled, got["q1", "rag"].missing) == (1.0, 1.0, ())
    assert (got["q1", "sft"].judge, got["q1", "sft"].facts_recalled) == (0.5, 0.5)
    assert got["q2", "sft"].missing == ("Backups run every night.",)
    assert got["q3", "rag"].judge is None
    assert got["q3", "rag"].facts_recalled is None
    assert got["q4", "rag"].judge is None
    saved = json.loads(Path(found["file"]).read_text(encoding="utf-8"))
    assert Path(found["file"]).parent == home.evals / "judged"
    by_id = {one["id"]: one for one in saved["pairs"]}
    assert by_id["q2"]["orders"] == ["0", "1"]
    assert by_id["q1"]["orders"] == ["0", "0"]
    assert by_id["q3"]["problem"] == "unparsable"
    assert by_id["q4"]["same"] is True


def test_judging_again_asks_nothing_and_changes_nothing(home: Home) -> None:
    with FakeTeacher(writes=verdict) as teacher:
        judge(teacher.url)
        before, run = teacher.total, (home.evals / "set-1.json").read_text(encoding="utf-8")
        judge(teacher.url)
        assert teacher.total == before
    assert (home.evals / "set-1.json").read_text(encoding="utf-8") == run


def test_a_judge_sees_neither_markers_nor_arms(home: Home) -> None:
    with FakeTeacher(writes=verdict) as teacher:
        judge(teacher.url, "--arms", "sft,rag")
        texts = [message["content"] for body in teacher.bodies for message in body["messages"]]
    assert texts
    assert not any("[1]" in text or "rag" in text.split() or "sft" in text.split() for text in texts)


def test_a_killed_run_goes_on_where_it_was(home: Home) -> None:
    command = [sys.executable, "-m", "docduet", "eval", "judge", "set-1", "--set", "set.jsonl", "--concurrency", "2"]
    with FakeTeacher(writes=verdict, latency_s=0.3) as teacher:
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "DOCDUET_JUDGE_URL": teacher.url}
        process = subprocess.Popen(command, env=env, cwd=home.root, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while teacher.total < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = teacher.total
        assert 4 <= before < 12
        assert not (home.evals / "judged").exists()
        teacher.latency_s = 0.0
        judge(teacher.url)
        assert teacher.total <= 12 + 2  # what was on its way when it was killed is asked again
        assert set(teacher.served.values()) <= {1, 2}
    assert read_run(home.evals / "set-1.json").judge == "wise"


def test_a_broken_judge_is_told_and_its_verdicts_are_missing(home: Home) -> None:
    with FakeTeacher(writes=verdict, fault=lambda kind, subject: "400!" if "biased" in subject else "") as teacher:
        found = judge(teacher.url)
    assert found["failed"] == 3
    assert found["pairs"][0]["unread"] == 2


@pytest.mark.parametrize(
    ("orders", "winner", "flipped"),
    [
        (("0", "0"), "0", ""),
        (("1", "1"), "1", ""),
        (("0", "1"), "tie", "first"),
        (("1", "0"), "tie", "second"),
        (("0", "tie"), "tie", ""),
        (("tie", "tie"), "tie", ""),
        (("", "0"), "", ""),
    ],
)
def test_only_agreement_of_both_orders_wins(orders: tuple[Winner, Winner], winner: str, flipped: str) -> None:
    found = PairVerdict(id="q", arms=("a", "b"), orders=orders)
    assert (found.winner, found.flipped) == (winner, flipped)
    (counted,) = by_pair([found])
    assert counted.wins + counted.losses + counted.ties + counted.unread == 1


def test_prompts_are_in_the_language_of_the_question() -> None:
    english, chinese = Case("What?", "en", docs="Text."), Case("什么？", "zh", docs="文本。")
    for make in (lambda case: pair_messages(case, "1", "2"), lambda case: single_messages(case, ["s"], ["f"])):
        assert "文档" in make(chinese)[1]["content"]
        assert "Documentation:" in make(english)[1]["content"]


def test_what_is_missing_is_said(home: Home) -> None:
    for more, words in (
        (["set-1"], "--judge-url"),
        (["other", "--judge-url", "http://127.0.0.1:9/v1"], "no evaluation run 'other'"),
        (["set-1", "--arms", "base", "--judge-url", "http://127.0.0.1:9/v1"], "rag, sft"),
        (["set-1", "--judge-url", "http://127.0.0.1:9/v1", "--judge-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
    ):
        with pytest.raises(ConfigError, match=words):
            CliRunner().invoke(app, ["eval", "judge", *more], catch_exceptions=False)
