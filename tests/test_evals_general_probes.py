"""The probes that ship: every one is answerable, and its checks tell right answers from wrong ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from data.errors import ConfigError
from evals.general.checks import Check, Choice, counted
from evals.general.probes import Probe, digest, load_probes

PROBES = load_probes()
EASY = {"sequence", "copying", "comparison", "odd-one-out", "phrases", "grammar"}


def passes(answer: str, **check: object) -> bool:
    return TypeAdapter(Check).validate_python(check).passes(answer)  # type: ignore[no-any-return]


def test_there_are_enough_in_both_languages() -> None:
    counts = Counter((probe.task, probe.lang) for probe in PROBES)
    assert len(PROBES) >= 120
    assert len({probe.id for probe in PROBES}) == len(PROBES)
    assert {task for task, _ in counts} >= EASY
    assert min(counts.values()) >= 7
    assert {lang for _, lang in counts} == {"en", "zh"}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)
def test_right_answers_pass_and_wrong_ones_fail(probe: Probe) -> None:
    assert probe.right
    assert probe.wrong
    assert [answer for answer in probe.right if not probe.passes(answer)] == []
    assert [answer for answer in (*probe.wrong, "", "?", probe.prompt) if probe.passes(answer)] == []


def test_answering_always_the_same_gets_next_to_nothing() -> None:
    """A model that says one thing whatever it is asked must not look able."""
    for answer in (
        "A",
        "B",
        "C",
        "D",
        "1",
        "I could not find this in the documentation.",
        "文档中没有找到相关内容。",
        "yes",
    ):
        assert sum(probe.passes(answer) for probe in PROBES) / len(PROBES) < 0.06, answer


def test_the_letters_of_the_right_choices_are_spread() -> None:
    letters = Counter(check.value for probe in PROBES for check in probe.checks if isinstance(check, Choice))
    assert set(letters.values()) == {4}


def test_nothing_is_about_the_docs() -> None:
    assert not [probe.id for probe in PROBES if "docduet" in probe.model_dump_json().lower()]


def test_a_limit_takes_both_languages_of_each_task() -> None:
    few = load_probes(["arithmetic", "code"], limit=2)
    assert [(probe.task, probe.lang) for probe in few] == [
        ("arithmetic", "en"), ("arithmetic", "zh"), ("code", "en"), ("code", "zh")
    ]  # fmt: skip
    assert digest(few) != digest(load_probes(["arithmetic", "code"], limit=3))


def test_unknown_tasks_and_broken_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="arithmetic"):
        load_probes(["alchemy"])
    (tmp_path / "bad.jsonl").write_text('{"id": "x", "lang": "en", "prompt": "p", "checks": [{"check": "mood"}]}\n')
    with pytest.raises(ConfigError, match=r"bad.jsonl: probe 1: checks.0"):
        load_probes(folder=tmp_path)


@pytest.mark.parametrize(
    ("answer", "value", "right"),
    [
        ("12", 12, True),
        ("**12**", 12, True),
        ("It is 12.", 12, True),
        ("5 + 7 = 12", 12, True),
        ("10-3=7", 7, True),
        ("Answer: 12. That took 2 steps.", 12, True),
        ("\\boxed{1,200}", 1200, True),
        ("６", 6, True),
        ("−5", -5, True),
        ("-5", 5, False),
        ("0.75", 75, False),
        ("120", 12, False),
        ("K12", 12, False),
        ("twelve", 12, False),
    ],
)
def test_numbers(answer: str, value: float, right: bool) -> None:
    assert passes(answer, check="number", value=value) is right


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("B", True),
        ("(B)", True),
        ("B. Mercury", True),
        ("The correct answer is **B**.", True),
        ("答案是 B", True),
        ("I choose B", True),
        ("mercury", True),
        ("b", False),
        ("A", False),
        ("A B C D", False),
        ("Not A. The answer is B.", True),
        ("A planet is near.", False),
        ("Mercury or Venus", False),
    ],
)
def test_choices(answer: str, right: bool) -> None:
    assert passes(answer, check="choice", value="B", options=["Venus", "Mercury", "Mars", "Saturn"]) is right


@pytest.mark.parametrize(
    ("answer", "check", "right"),
    [
        ("A shovel!", {"check": "says", "any": ["shovel"], "none": ["violin"]}, True),
        ("shovels", {"check": "says", "any": ["shovel"]}, False),
        ("shovel, violin", {"check": "says", "any": ["shovel"], "none": ["violin"]}, False),
        ("`a;b`", {"check": "exactly", "any": ["a;b"]}, True),
        ("a;b.", {"check": "exactly", "any": ["a;b"]}, False),
        ("```\na;b\n```", {"check": "exactly", "any": ["a;b"]}, True),
        ("Green, greener, green", {"check": "occurs", "text": "green", "least": 2, "most": 2}, True),
        ("绿绿", {"check": "occurs", "text": "绿", "most": 1}, False),
        ("YES 1", {"check": "case", "value": "upper"}, True),
        ("123", {"check": "case", "value": "upper"}, False),
        ("用 Python 写的程序。", {"check": "language", "value": "zh"}, True),
        ("Use 程序", {"check": "language", "value": "en"}, False),
        ("123", {"check": "language", "value": "en"}, False),
        ('Sure: {"a": 1}', {"check": "json", "schema": {"type": "object"}}, False),
        ('{"a": 1}', {"check": "json", "schema": {"required": ["b"]}}, False),
        ("[" * 100_000, {"check": "json", "schema": {}}, False),
    ],
)
def test_the_other_checks(answer: str, check: dict[str, object], right: bool) -> None:
    assert passes(answer, **check) is right


def test_counting() -> None:
    assert counted("It's a well-known fact.", "words") == 4
    assert counted("我爱 Python 3", "words") == 4
    assert counted("One. Two!\nThree?", "sentences") == 3
    assert counted("天晴了。风停了！", "sentences") == 2
    assert counted("- a\n\n* b\nc", "bullets") == 2
    assert counted("a\n\nb\n", "lines") == 2
