"""`docduet sft build --teacher`: what it writes, what it says before it asks, and that kills cost next to nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import ConfigError, EngineError
from data.types import Page
from tests.fake_teacher import FakeTeacher
from tests.teacher_lessons import THINGS, command, docs, prepared, run

ROOT = Path(__file__).parents[1]


def test_the_command_writes_a_card_that_names_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = prepared(tmp_path / "home", docs(6))
    with FakeTeacher(key="secret") as teacher:
        monkeypatch.setenv("MY_KEY", "secret")
        known = ("--teacher", teacher.url, "--teacher-key-env", "MY_KEY", "--rewrites", "1")
        dry = run(home, monkeypatch, *known, "--model", "wise", "--dry-run")
        assert (dry.exit_code, teacher.total) == (0, 0), dry.output
        assert "time unknown" in dry.stdout
        done = run(home, monkeypatch, *known, "--json")
        assert done.exit_code == 0, done.output
        assert "The teacher: up to" in done.stderr
        told = json.loads(done.stdout)["teacher"]
        again = run(home, monkeypatch, *known, "--model", "wise", "--dry-run", "--json")
    assert json.loads(again.stdout)["calls"] == 0
    assert told["model"] == "wise"
    assert sum(told["calls"].values()) == teacher.total
    text = (home / "ds" / "card.md").read_text()
    assert f"wise: {teacher.total} calls made" in text
    assert "teacher:wise" in (home / "ds" / "provenance.jsonl").read_text()


def test_rules_may_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "\n".join(
        f"- {name}_limit: The largest number of {name} cards that are kept. Default is 3." for name in THINGS
    )
    home = prepared(tmp_path / "home", [*docs(3), Page("o.md", "Widget options", f"## Options\n\n{listed}", "en")])
    with FakeTeacher() as teacher:
        done = run(home, monkeypatch, "--teacher", teacher.url, "--with-rules")
    assert done.exit_code == 0, done.output
    generators = {json.loads(line)["generator"] for line in (home / "ds" / "provenance.jsonl").read_text().splitlines()}
    assert generators == {"rules", "teacher:wise"}


def test_what_is_wrong_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = prepared(tmp_path / "home", docs(2))
    monkeypatch.setenv("EMPTY_KEY", "")
    with FakeTeacher(models=("wise", "wiser"), key="secret") as teacher:
        refused = run(home, monkeypatch, "--teacher", teacher.url, "--model", "wise")
        no_key = run(home, monkeypatch, "--teacher", teacher.url, "--teacher-key-env", "EMPTY_KEY")
        teacher.key = ""
        unknown = run(home, monkeypatch, "--teacher", teacher.url, "--model", "foolish")
        several = run(home, monkeypatch, "--teacher", teacher.url)
        wrong = run(home, monkeypatch, "--teacher", teacher.url.removesuffix("/v1"), "--model", "wise")
    gone = run(home, monkeypatch, "--teacher", teacher.url, "--model", "wise")
    empty = run(prepared(tmp_path / "none", []), monkeypatch, "--teacher", teacher.url, "--dry-run")
    for outcome, error, message in (
        (refused, ConfigError, "--teacher-key-env"),
        (no_key, ConfigError, "holds no key"),
        (unknown, ConfigError, "no model 'foolish'; it has: wise, wiser"),
        (several, ConfigError, "choose one with --model; it has: wise, wiser"),
        (wrong, EngineError, "ends in /v1"),
        (gone, EngineError, "cannot be reached"),
        (empty, Exception, "no pages"),
    ):
        assert isinstance(outcome.exception, error), outcome.output
        assert message in str(outcome.exception)
    assert teacher.total == 0
    assert not (home / "ds").exists()


def killed_at_random(home: Path, url: str, teacher: FakeTeacher, wait_for: int) -> None:
    """Start the real command, let it make some calls, and kill it at no particular moment."""
    env = {**os.environ, "DOCDUET_HOME": str(home), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "docduet", *command(home, "--teacher", url, "--concurrency", "8", "--rewrites", "1")]
    start = teacher.total
    process = subprocess.Popen(argv, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and teacher.total - start < wait_for:
        time.sleep(0.002)
    time.sleep(random.random() * 0.03)
    assert process.poll() is None, "it was over before it was killed: more pages are needed"
    process.send_signal(signal.SIGKILL)
    process.wait()


def kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    pages = docs(times * 20)
    home, calm = prepared(tmp_path / "home", pages), prepared(tmp_path / "calm", pages)
    rng = random.Random()
    with FakeTeacher(latency_s=0.02) as teacher:
        for _ in range(times):
            killed_at_random(home, teacher.url, teacher, rng.randrange(25, 41))
        done = run(home, monkeypatch, "--teacher", teacher.url, "--concurrency", "8", "--rewrites", "1")
    assert done.exit_code == 0, done.output
    repeated = [count - 1 for count in teacher.served.values() if count > 1]
    assert max(repeated, default=0) <= 1
    assert sum(repeated) <= 8 * times
    with FakeTeacher() as untouched:
        assert run(calm, monkeypatch, "--teacher", untouched.url, "--rewrites", "1").exit_code == 0
    assert set(untouched.served) == set(teacher.served)
    for name in ("train.jsonl", "val.jsonl", "rejects.jsonl"):
        assert (home / "ds" / name).read_bytes() == (calm / "ds" / name).read_bytes()


@pytest.mark.timeout(600)  # eight starts of a real process: a busy machine takes its time
def test_nothing_is_lost_at_eight_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills(tmp_path, monkeypatch, 8)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_nothing_is_lost_at_thirty_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills(tmp_path, monkeypatch, 30)
