"""SQuAD files as question sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import ConfigError
from evals.questions import load_set

CMRC = Path(__file__).parents[1].parent / "shared" / "corpora" / "cmrc2018" / "cmrc2018_dev.json"


def asked(number: str, question: str, *answers: str) -> dict[str, Any]:
    return {"id": number, "question": question, "answers": [{"text": text, "answer_start": 0} for text in answers]}


SQUAD = {
    "version": "1",
    "data": [
        {
            "title": "Ports",
            "paragraphs": [
                {
                    "context": "The gateway listens on port 7860.",
                    "qas": [asked("1", "Which port?", "7860", "port 7860")],
                },
                {"context": "The engine listens on port 8000.", "qas": [asked("2", "And the moon?")]},
            ],
        },
        {
            "title": "端口",
            "paragraphs": [
                {
                    "id": "DEV_7",
                    "context": "网关默认监听 7860 端口，可以修改。",
                    "qas": [asked("3", "默认端口是多少？", "7860")],
                },
                {"context": "The gateway listens on port 7860.", "qas": [asked("4", "What does it do?", "listens")]},
            ],
        },
    ],
}


def test_paragraphs_are_pages_and_questions_know_theirs(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text(json.dumps(SQUAD), encoding="utf-8")
    found = load_set(str(path))
    assert found.name == "ports"
    assert [page.body for page in found.corpus] == [
        "The gateway listens on port 7860.",
        "The engine listens on port 8000.",
        "网关默认监听 7860 端口，可以修改。",
    ]
    assert len({page.url for page in found.corpus}) == 3
    assert [page.lang for page in found.corpus] == ["en", "en", "zh"]
    assert found.corpus[2].url == "DEV_7"
    assert [(q.id, q.lang, q.answer_span) for q in found.questions] == [
        ("1", "en", "7860"),
        ("3", "en", "7860"),
        ("4", "en", "listens"),
    ]
    assert found.questions[0].pages == found.questions[2].pages == (found.corpus[0].url,)


@pytest.mark.parametrize("text", ["{", "[]", '{"data": [{}]}', '{"data": [{"paragraphs": [{"context": "x"}]}]}'])
def test_another_format_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"other\.json is not in SQuAD's format"):
        load_set(str(path))


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text('{"data": []}')
    with pytest.raises(ConfigError, match="no answerable questions"):
        load_set(str(path))


@pytest.mark.skipif(not CMRC.is_file(), reason=f"cmrc2018 is not at {CMRC}")
def test_reads_cmrc2018() -> None:
    found = load_set(str(CMRC))
    assert len(found.corpus) == 848
    assert len(found.questions) == 3219
    bodies = {page.url: page.body for page in found.corpus}
    assert all(q.answer_span in bodies[q.pages[0]] for q in found.questions)
    assert {question.lang for question in found.questions} == {"zh"}
