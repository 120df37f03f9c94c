"""Before and after: the same questions at two real HTTP servers, and a report that renders nothing a model wrote."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from data.errors import ConfigError, EngineError
from data.prompts import REFUSAL, sft_messages
from docduet import app
from sft.training.questions import Server, ask_all, read_questions

QUESTIONS = [
    {"question": "Which port does it use?", "inside": True},
    {"question": "怎么修改端口？", "answerable": True, "lang": "zh"},
    {"question": "Who won <b>the cup</b>?", "inside": False},
]


class Model(ThreadingHTTPServer):
    """An OpenAI-compatible server that answers with ``answer(question)``. ``strict``: 400 for what OpenAI has not."""

    def __init__(self, answer: Any, usage: bool = True, strict: bool = False) -> None:
        self.answer, self.usage, self.strict = answer, usage, strict
        self.bodies: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Model

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "first-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        if self.server.strict and body.get("chat_template_kwargs"):
            return self._send(400, {"error": {"message": "unknown field"}})
        text = self.server.answer(body["messages"][-1]["content"])
        if text is None:
            return self._send(500, {"error": {"message": "broken"}})
        said: dict[str, Any] = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        self._send(200, said | ({"usage": {"completion_tokens": len(text.split())}} if self.server.usage else {}))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(answer: Any, **more: bool) -> Iterator[Model]:
    with Model(answer, **more) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in QUESTIONS), encoding="utf-8")
    return path


def before(question: str) -> str:
    return "It is seven thousand, I think.\n```\n# not a heading\n<script>alert(1)</script>\n```"


def after(question: str) -> str:
    return REFUSAL["en"] if "cup" in question else "7860."


def test_the_report(questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report.md"
    with serving(before) as base, serving(after) as tuned:
        words = [
            "sft",
            "compare",
            str(questions),
            "--base",
            base.url,
            "--tuned",
            tuned.url,
            "--out",
            str(out),
            "--json",
        ]
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["after"]["outside"] == {
        "questions": 1, "refused": 1, "median_tokens": 8, "mean_tokens": 8, "cut": 0, "failed": 0,
    }  # fmt: skip
    assert said["before"]["inside"]["questions"] == 2
    assert said["before"]["outside"]["refused"] == 0
    text = out.read_text(encoding="utf-8")
    assert "| outside, after | 1 | 1 | 8 | 8 | 0 | 0 |" in text
    assert "`first-model`" in text
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert not [token for token in tokens if token.type == "html_block"]
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[1:] == [
        "Inside the docs", "1. Which port does it use?", "2. 怎么修改端口？",
        "Outside the docs", "3. Who won &lt;b>the cup&lt;/b>?",
    ]  # fmt: skip


def test_the_models_are_asked_as_they_are_served(questions: Path) -> None:
    with serving(after) as server:
        ask_all(Server(server.url), read_questions(questions), 99)
    body = next(body for body in server.bodies if "端口" in body["messages"][-1]["content"])
    assert body["messages"] == sft_messages("怎么修改端口？", lang="zh")
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 99, "first-model")
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_server_that_takes_openais_own_fields_only(questions: Path) -> None:
    with serving(after, strict=True, usage=False) as server:
        _, answers = ask_all(Server(server.url, "m"), read_questions(questions), 99)
    assert [answer.text for answer in answers] == ["7860.", "7860.", REFUSAL["en"]]
    assert not any(answer.exact for answer in answers)
    assert all(answer.tokens > 0 for answer in answers)


def test_one_failure_is_shown_and_all_failing_is_an_error(questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.md"
    with serving(before) as base, serving(lambda question: None if "cup" in question else "7860.") as tuned:
        words = ["sft", "compare", str(questions), "--base", base.url, "--tuned", tuned.url, "--out", str(out)]
        assert CliRunner().invoke(app, words).exit_code == 0
    assert "**after**: failed, `HTTP 500" in out.read_text(encoding="utf-8")
    with serving(lambda question: None) as broken, pytest.raises(EngineError, match="answered none"):
        ask_all(Server(broken.url, "m"), read_questions(questions), 99)
    with pytest.raises(EngineError, match="is the server running"):
        ask_all(Server("http://127.0.0.1:9/v1"), read_questions(questions), 99)


def test_bad_questions(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_questions(path)
    path.write_text("\n")
    with pytest.raises(ConfigError, match="no questions"):
        read_questions(path)
    path.write_text('{"question": "a"}\n{"q": "b"}\n')
    with pytest.raises(ConfigError, match="line 2"):
        read_questions(path)


def test_a_key_that_is_not_set(questions: Path) -> None:
    words = ["sft", "compare", str(questions), "--base", "u", "--tuned", "u", "--api-key-env", "DOCDUET_NO_SUCH_KEY"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, ConfigError)
    assert "DOCDUET_NO_SUCH_KEY is not set" in str(done.exception)
