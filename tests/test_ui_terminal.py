"""The answer in the terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from rich.console import Console

from data.errors import GatewayError
from tests.fake_gateway import FakeGateway, Script, serving, source
from ui.client import Gateway
from ui.terminal import ask

ANSI = "Set it \x1b[31m\x9b31m\x1b]0;title\x07 [1]."
LONG = "\n".join(f"line {n}" for n in range(100)) + "\nthe port is 7860\n" + "\n".join("x" * 20)


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway(
        {
            "plain": Script("Set it [1].", (source(1, quote="Set the port.", marks=[[8, 12]]),)),
            "ansi": Script(ANSI, (source(1, title="T\x1b[2J", quote="q\x1b[31m\u202e", marks=[[0, 1]]),)),
            "long": Script("See [1].", (source(1, quote=LONG, marks=[[LONG.index("port"), LONG.index("port") + 4]]),)),
            "refused": Script("I could not find this.", refused=True),
            "breaks": Script("Half", fails_midway="the engine broke off"),
            "follow": Script("Yes.", query="standalone?", degraded="no engine"),
            "both": Script("Left.", other=Script("Right [1].", (source(1),), arm="sft"), arm="rag"),
            "learned": Script(
                "Set it. It flies.\x1b[2J",
                checks={
                    "support": [
                        {"start": 0, "end": 7, "url": "ports.md", "title": "Ports", "page_id": "ab", "score": 0.9},
                        {"start": 8, "end": 21, "url": None, "title": None, "page_id": None, "score": 0.0},
                    ],
                    "stale": [{"url": "ports.md", "title": "Ports"}],
                },
            ),
            "doubted": Script("It flies [1].", (source(1),), checks={"unsupported": [{"start": 0, "end": 13, "n": 1}]}),
            "error": Script(error=(503, "nothing is indexed yet: run docduet sync", "no_index")),
        }
    )


@pytest.fixture
def gateway(fake: FakeGateway) -> Iterator[Gateway]:
    with serving(fake.app()) as url:
        yield Gateway(url)


def shown(gateway: Gateway, question: str, as_json: bool = False, terminal: bool = False) -> tuple[int, str]:
    file = io.StringIO()
    console = Console(
        file=file,
        force_terminal=terminal,
        highlight=False,
        soft_wrap=True,
        color_system="truecolor" if terminal else None,
    )
    return ask(gateway, question, as_json=as_json, console=console), file.getvalue()


def test_a_pipe_gets_plain_text(gateway: Gateway) -> None:
    code, text = shown(gateway, "plain")
    assert code == 0
    lines = text.splitlines()
    assert lines[:4] == ["Set it [1].", "", "[1] Ports > Setup > Network", "    Set the port."]
    assert lines[4].strip() == f"{gateway.url}/pages/page1"


def test_matching_words_are_bold_in_a_terminal(gateway: Gateway) -> None:
    assert "\x1b[1mport\x1b[0m" in shown(gateway, "plain", terminal=True)[1]


def test_escapes_of_documents_never_arrive(gateway: Gateway) -> None:
    text = shown(gateway, "ansi")[1]
    assert not set(text) & {"\x1b", "\x9b", "\x07", "\u202e"}
    coloured = shown(gateway, "ansi", terminal=True)[1]
    assert "\x1b[31m" not in coloured
    assert "\x1b[2J" not in coloured


def test_a_long_quote_is_cut_around_its_matches(gateway: Gateway) -> None:
    text = shown(gateway, "long")[1]
    assert "line 0\n" not in text
    assert "…" in text
    assert len(text.splitlines()) < 15


def test_exit_codes(gateway: Gateway) -> None:
    assert shown(gateway, "refused")[0] == 3
    assert shown(gateway, "breaks")[0] == 1


def test_notes_go_to_stderr(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(gateway, "follow") == (0, "Yes.\n")
    notes = capsys.readouterr().err
    assert "standalone?" in notes
    assert "no engine" in notes


def test_auto_says_why_it_chose(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(gateway, "plain", "auto") == 0
    assert "auto: asked for" in capsys.readouterr().err
    assert ask(gateway, "plain", "rag") == 0
    assert "asked for" not in capsys.readouterr().err


def test_what_was_said_before_a_failure_is_kept(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(gateway, "breaks")[1] == "Half\n"
    assert "the engine broke off" in capsys.readouterr().err


def test_json_is_the_whole_answer_and_safe_to_print(gateway: Gateway) -> None:
    code, text = shown(gateway, "ansi", as_json=True)
    assert code == 0
    assert not set(text) & {"\x1b", "\x9b", "\u202e"}
    answer = json.loads(text)
    assert answer["answer"] == ANSI
    assert answer["sources"][0]["n"] == 1
    assert answer["error"] is None


def test_errors_are_errors(gateway: Gateway) -> None:
    with pytest.raises(GatewayError, match="nothing is indexed yet"):
        shown(gateway, "error")
    with pytest.raises(GatewayError, match="question is empty"):
        shown(gateway, "  ")


def test_the_checks_are_told_in_short(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(gateway, "learned", "sft") == 0
    notes = capsys.readouterr().err
    assert "1 of 2 sentences are backed by the docs: Ports" in notes
    assert "not in the docs: It flies." in notes
    assert "changed since the model learned it: Ports (ports.md)" in notes
    assert "\x1b[2J" not in notes
    assert ask(gateway, "doubted") == 0
    assert "not what source [1] says: It flies [1]." in capsys.readouterr().err
    assert json.loads(shown(gateway, "doubted", as_json=True)[1])["unsupported"][0]["n"] == 1


def test_a_gateway_that_goes_away_is_not_linked_to(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(gateway, "plain", lasting=False) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].strip() == "guide/page1.md"
    assert gateway.url not in said
    assert ask(gateway, "plain", as_json=True, lasting=False) == 0
    assert gateway.url not in capsys.readouterr().out


def test_two_voices_come_one_after_the_other(gateway: Gateway) -> None:
    code, text = shown(gateway, "both")
    assert code == 0
    assert (
        text.index("Left.") < text.index("— rag") < text.index("Right [1].") < text.index("— sft") < text.index("[1] ")
    )
    answer = json.loads(shown(gateway, "both", as_json=True)[1])
    assert [choice["arm"] for choice in answer["choices"]] == ["rag", "sft"]
