"""`docduet eval run --set` against gateways on a port: the whole way, without an engine, interrupted, overloaded."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.errors import GatewayError
from data.home import Home
from data.prompts import Message
from docduet import app
from evals.answers import gateway as gateways
from evals.answers.gateway import Gateway
from evals.answers.kept import keeping
from evals.answers.run import Plan
from evals.questions import Question, load_set
from evals.runs import read_run, read_runs
from serving.engines.delta import EngineDelta
from serving.server import in_background
from tests.fake_engine import DONE, FakeEngineServer, chunk
from tests.fakes import ScriptedEngine
from tests.store_gateway import QUESTION, gateway, home_of

QUESTIONS = [
    {"id": "q1", "question": QUESTION, "lang": "en", "kind": "single", "pages": ["port.md"], "topic": "ports",
     "facts": [{"text": "It is 7860.", "keys": [["7860"]]}, {"text": "--port changes it.", "keys": [["--port"]]}],
     "reference": "The gateway listens on port 7860 by default. Change it with --port."},
    {"id": "q2", "question": "And how do I change it?", "lang": "en", "kind": "follow-up", "pages": ["port.md"],
     "history": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Port 7860."}],
     "facts": ["Change the port with `--port`."], "reference": "Change it with `--port`."},
    {"id": "q3", "question": "网关默认监听哪个端口？", "lang": "zh", "pages": ["zh/port.md"],
     "facts": [{"text": "7860", "keys": [["7860"]]}], "reference": "网关默认监听 7860 端口。"},
    {"id": "q4", "question": "What is the price of a support contract in Norway?", "lang": "en", "kind": "unanswerable",
     "answerable": False},
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    lines = "".join(json.dumps(question) + "\n" for question in QUESTIONS)
    (tmp_path / "own.jsonl").write_text(lines, encoding="utf-8")
    return home_of(tmp_path / "home")


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["eval", "run", "--set", "own.jsonl", *arguments, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    body: dict[str, Any] = json.loads(result.stdout)
    return body


def failed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["eval", "run", *arguments])
    assert result.exit_code == 1
    return str(result.exception)


def test_without_an_engine_the_quotes_are_measured(home: Home) -> None:
    with in_background(gateway(home, "")) as url:
        body = run("--gateway", url, "--arms", "rag", "--label", "quote")
    figures = body["arms"]["rag"]
    assert (figures["n"], figures["refusal_recall"], figures["degraded"]) == (4, 1.0, 0.75)
    assert figures["faithful"] == figures["citation_precision"] == figures["citation_recall"] == 1.0
    assert figures["first_ms_p50"] > 0
    assert figures["latency_ms_p50"] >= figures["first_ms_p50"]
    saved = read_run(Path(body["run"]))
    assert (saved.label, saved.set, saved.finished) == ("quote", "own", True)
    assert saved.generation
    assert len(saved.set_sha256) == 64
    by_id = {result.id: result for result in saved.results}
    assert by_id["q1"].facts_recalled == 0.5
    assert by_id["q1"].missing == ("--port changes it.",)
    assert by_id["q1"].degraded == "no engine"
    assert by_id["q2"].history[0].content == QUESTION
    assert by_id["q4"].refused
    assert [found.file for found in read_runs(home.evals)[0]] == [Path(body["run"]).name]
    assert not list((home.evals / "unfinished").iterdir())


def test_arms_side_by_side_as_a_table(home: Home) -> None:
    reads = ScriptedEngine("The gateway listens on port 7860 by default [1].", name="base")
    learned = ScriptedEngine("It is port 7860 7860 7860 and then the", name="sft")
    with in_background(gateway(home, "", reads, learned)) as url:
        result = CliRunner().invoke(
            app, ["eval", "run", "--set", "own.jsonl", "--gateway", url, "--arms", "rag,sft,base", "--label", "[/a]"]
        )
    assert result.exit_code == 0, (result.output, result.exception)
    for words in ("rag", "sft", "base", "facts recalled", "refusal recall", "Saved to", "[/a]: 4"):
        assert words in result.output
    (saved,), _ = read_runs(home.evals)
    assert set(saved.arms) == {"rag", "sft", "base"}
    assert saved.arms["rag"].model == "base"
    found = {(result.arm, result.id): result for result in saved.results}
    assert found["rag", "q1"].facts_recalled == 0.5
    assert found["rag", "q1"].missing == ("--port changes it.",)
    assert found["rag", "q1"].citation_precision == 1.0
    assert found["sft", "q1"].degenerate == "unfinished"
    assert found["sft", "q1"].citation_recall is None
    assert (found["base", "q1"].tokens or 0) > 0
    assert len(found) == 12


def test_what_is_wrong_is_said(home: Home) -> None:
    with in_background(gateway(home, "")) as url:
        said = failed("--set", "own.jsonl", "--gateway", url, "--arms", "rag,sft")
        assert "no voice 'sft'; --arms can name: " in said
        assert "rag" in said.split("can name")[1]
    assert "no gateway answers at" in failed("--set", "own.jsonl", "--gateway", "http://127.0.0.1:9")
    assert "no address" in failed("--set", "own.jsonl", "--gateway", "nonsense")
    assert "--set SET" in failed()
    assert "--set SET" in failed("--set", "own.jsonl", "--retrieval", "own.jsonl")
    assert "--misses is for --retrieval" in failed("--set", "own.jsonl", "--misses")
    assert not home.evals.exists() or not list(home.evals.glob("*.json"))


class Slow(ScriptedEngine):
    """Takes its time for each answer."""

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        await asyncio.sleep(0.3)
        async for delta in super().chat(messages, **params):
            yield delta


def stopped(arguments: list[str], engine: ScriptedEngine, by: int) -> tuple[int, str]:
    """Run the command in a process of its own, and stop it once the engine was asked three times more."""
    until, enough = time.monotonic() + 60, len(engine.asked) + 3
    argv = [sys.executable, "-m", "docduet", *arguments]
    path = {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(argv, env=os.environ | path, stderr=subprocess.PIPE, text=True)
    while time.monotonic() < until and process.poll() is None and len(engine.asked) < enough:
        time.sleep(0.05)
    process.send_signal(by)
    _, said = process.communicate(timeout=30)
    return process.returncode, said


def test_a_stopped_and_a_killed_run_go_on_where_they_were(home: Home, tmp_path: Path) -> None:
    many = [{**QUESTIONS[0], "id": f"q{n}", "question": f"{QUESTION} ({n})"} for n in range(10)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(question) + "\n" for question in many), encoding="utf-8")
    engine = Slow("The gateway listens on port 7860 by default [1].")
    with in_background(gateway(home, "", engine)) as url:
        arguments = ["eval", "run", "--set", "own.jsonl", "--gateway", url, "--concurrency", "1"]
        code, said = stopped(arguments, engine, signal.SIGINT)
        assert (code, "the same command goes on from there" in said) == (130, True), said
        assert stopped(arguments, engine, signal.SIGKILL)[0] == -signal.SIGKILL
        (unfinished,) = (home.evals / "unfinished").glob("*.jsonl")
        kept = unfinished.read_text(encoding="utf-8").count("\n") - 1
        assert 4 <= kept < 10
        with unfinished.open("ab") as sink:
            sink.write('{"id": "q11", "arm": "rag", "text": "端'.encode()[:-1])  # killed while it wrote
        before = len(engine.asked)
        body = run("--gateway", url, "--concurrency", "1")
        assert body["arms"]["rag"]["n"] == 10
        assert len(engine.asked) - before == 10 - kept
        assert not unfinished.exists()
        run("--gateway", url, "--concurrency", "10", "--fresh")
        assert len(engine.asked) - before == 20 - kept


def test_another_index_does_not_go_on_with_a_run(home: Home) -> None:
    with in_background(gateway(home, "")) as url:
        body = run("--gateway", url)
        saved = read_run(Path(body["run"]))
        plan = Plan(load_set("own.jsonl"), ("rag",), url)
        header = {"started_at": saved.started_at, "answered_by": {"generation": "an older one", "arms": {}}}
        with keeping(home.evals, plan.asked, header, resume=False) as kept:
            assert kept.path.is_file()
            assert "under way in another process" in failed("--set", "own.jsonl", "--gateway", url)
        assert "another index or checkpoint answers by now" in failed("--set", "own.jsonl", "--gateway", url)
        assert run("--gateway", url, "--fresh")["arms"]["rag"]["n"] == 4


def test_answers_are_held_against_the_index_that_gave_them(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The demonstration's lies in a home of its own; a gateway on another machine has one that is not here."""
    learned = ScriptedEngine("The gateway listens on port 7860 by default.", name="sft")
    with in_background(gateway(home_of(tmp_path / "other" / "demo"), "", learned)) as url:
        monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "other"))
        assert run("--gateway", url, "--arms", "sft")["arms"]["sft"]["faithful"] == 0.6667  # q3's page is Chinese
        assert not caplog.messages
        monkeypatch.setenv("DOCDUET_HOME", str(home.root))
        assert run("--gateway", url, "--arms", "sft")["arms"]["sft"]["faithful"] == 0.6667
        assert "another index than the gateway answers from" in caplog.text
        monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "empty"))
        assert run("--gateway", url, "--arms", "sft")["arms"]["sft"]["faithful"] is None
        assert "against what the gateway quotes of its sources" in caplog.text


async def test_an_overloaded_gateway_is_asked_again() -> None:
    question = Question("q1", "Which port?", "en")
    async with FakeEngineServer(status=429) as server, Gateway(server.url.removesuffix("/v1")) as asked:
        answer = asyncio.create_task(asked.ask(question, "rag"))
        await asyncio.sleep(0.3)  # the second try comes after half a second
        server.status = 200
        found = await answer
        assert (found.text, found.failed, found.tokens, len(server.requests)) == ("Hello world", "", 2, 2)
        assert server.requests[0]["docduet"] == {"store": False}
        server.status = 400
        assert (await asked.ask(question, "rag")).failed == "too many cooks"
        server.status = 401
        with pytest.raises(GatewayError, match="refuses to answer: too many cooks"):
            await asked.ask(question, "rag")


async def test_what_goes_on_breaking_off_is_a_failed_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "TRIES", 2)
    question = Question("q1", "Which port?", "en")
    async with FakeEngineServer((chunk("It is"), DONE)) as server, Gateway(server.url.removesuffix("/v1")) as asked:
        found = await asked.ask(question, "rag")
        assert (found.text, found.failed, len(server.requests)) == ("It is", "the stream broke off", 2)
        server.script = (chunk("It is"), None)
        with pytest.raises(GatewayError, match="in 2 tries"):
            await asked.ask(question, "rag")
        server.script = (b"data: {nonsense\n\n",)
        with pytest.raises(GatewayError, match="cannot be read"):
            await asked.ask(question, "rag")
