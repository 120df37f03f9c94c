"""What the shipped docduet-tiny answers in `docduet serve --demo`, by a real vLLM on the CPU: all voices, in both
languages, on a machine without a C++ compiler.

Decoding is greedy, so the same questions get the same answers; asserted is what a right answer must say, not how.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.lang import detect_lang
from data.prompts import REFUSAL

pytestmark = pytest.mark.timeout(600)
PORT, OWN_DOCS, WORLD_CUP = (
    "How do I change the port?",
    "如何让 DocDuet 使用我自己的文档？",
    "Who won the world cup in 1998?",
)
MARKER = re.compile(r"\[\d+\]")
Ask = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks a voice of the demonstration, once model and adapter are in: the choice's `docduet` part with its text and
    the numbers that the text cites."""
    folder = tmp_path_factory.mktemp("demo")
    log = folder / "log"
    no_compiler = {"CXX": str(folder / "g++"), "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
    env = {**os.environ, "DOCDUET_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"} | no_compiler
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "docduet", "serve", "--demo", "--no-ui", "--port", "0"],
            env=env, cwd=folder, stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=started(process, log), timeout=120) as client:
            until(process, log, lambda: parts_ready(client))

            def asked(voice: str, question: str) -> dict[str, Any]:
                body = {"model": voice, "messages": [{"role": "user", "content": question}]}
                answer = client.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                choice = answer.json()["choices"][0]
                told, text = choice["docduet"], choice["message"]["content"]
                cited = [annotation["url_citation"] for annotation in choice["message"]["annotations"]]
                markers = [text[one["start_index"] : one["end_index"]] for one in cited]
                print(f"{voice}: {question}\n{text}\n{told['timings_ms']}\n")
                return told | {"text": text, "cited": {int(marker.strip("[]")) for marker in markers}}

            yield asked
    finally:
        process.terminate()
        process.wait(timeout=60)


def until(process: subprocess.Popen[bytes], log: Path, true: Callable[[], Any]) -> Any:
    """Wait for it; the test's own timeout ends a wait in vain."""
    while not (found := true()):
        assert process.poll() is None, log.read_text()
        time.sleep(0.3)
    return found


def started(process: subprocess.Popen[bytes], log: Path) -> str:
    return str(until(process, log, lambda: re.search(r"answers at (http://\S+)", log.read_text()))[1])


def parts_ready(client: httpx.Client) -> bool:
    parts = client.get("/readyz").json()["parts"]
    model, adapter = parts["engines"].get("base", {}).get("state"), parts["checkpoint"]
    assert model in ("starting", "ready"), parts
    assert not adapter.get("problem"), parts
    return bool(model == adapter["state"] == "ready")


def refused(answer: dict[str, Any]) -> bool:
    return bool(answer["refused"]) and answer["text"] == REFUSAL["en"] and not answer["sources"]


def test_the_reading_voice_answers_from_the_right_page_and_cites_it(ask: Ask) -> None:
    answer = ask("rag", PORT)
    assert not answer["degraded"]
    told = [way for way in ("docduet serve --port 8080", "port = 8080") if way in answer["text"]]  # for once, for good
    assert told
    assert 1 in answer["cited"]
    first = next(source for source in answer["sources"] if source["n"] == 1)
    assert first["url"].startswith("en/")
    assert told[0] in first["quote"]


def test_the_reading_voice_answers_in_chinese_from_a_chinese_page(ask: Ask) -> None:
    answer = ask("rag", OWN_DOCS)
    assert not answer["degraded"]
    assert "docduet sync" in answer["text"]
    assert detect_lang(answer["text"]) == "zh"
    cited = [source for source in answer["sources"] if source["n"] in answer["cited"]]
    assert any("docduet sync" in source["quote"] and source["url"].startswith("zh/") for source in cited)


@pytest.mark.parametrize("voice", ["rag", "sft-rag"])
def test_what_the_handbook_does_not_hold_is_refused(ask: Ask, voice: str) -> None:
    assert refused(ask(voice, WORLD_CUP))


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        (PORT, "--port"),
        ("How do I roll back to an older index?", "docduet rag rollback"),
        ("What is the default of max_question_chars?", "20000"),
    ],
)
def test_the_learned_voice_knows_the_handbook_by_heart_and_cites_nothing(ask: Ask, question: str, fact: str) -> None:
    answer = ask("sft", question)
    assert fact in answer["text"]
    assert not answer["refused"]
    assert not MARKER.search(answer["text"])
    assert answer["sources"] == []


@pytest.mark.parametrize(("question", "fact"), [(PORT, "--port"), (OWN_DOCS, "docduet sync")])
def test_the_voice_that_learned_and_reads_says_it_too(ask: Ask, question: str, fact: str) -> None:
    """By itself or by a quote; it cites its sources and no others."""
    answer = ask("sft-rag", question)
    assert fact in answer["text"]
    assert detect_lang(answer["text"]) == detect_lang(question)
    assert answer["cited"] == {source["n"] for source in answer["sources"]}


@pytest.mark.parametrize("question", ["Hello!", "你好！", PORT])
def test_the_base_alone_says_something_short_in_the_language_and_cites_nothing(ask: Ask, question: str) -> None:
    answer = ask("base", question)
    assert 0 < len(answer["text"]) < 500
    assert detect_lang(answer["text"]) == detect_lang(question)
    assert not MARKER.search(answer["text"])
    assert answer["sources"] == []
