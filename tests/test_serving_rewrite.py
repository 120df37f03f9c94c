"""Follow-ups are rewritten by the engine, and joined where its rewrite is not to be trusted."""

import pytest

from data.prompts import Message
from serving.arms.rewrite import checked, standalone
from tests.fakes import ScriptedEngine

HISTORY = [
    Message(role="user", content="How do I install DocDuet on Linux?"),
    Message(role="assistant", content="Run make demo [1]."),
]


async def test_the_engine_rewrites() -> None:
    engine = ScriptedEngine("How do I install DocDuet on Windows?")
    found = await standalone("and on Windows?", HISTORY, engine, "en")
    assert (found.query, found.rewritten) == ("How do I install DocDuet on Windows?", True)
    prompt = engine.asked[0][-1]["content"]
    assert "[1]" not in prompt
    assert prompt.endswith("user: and on Windows?")


@pytest.mark.parametrize(
    "nonsense", ["", "Sure! Here is\nthe question", "As a language model trained by somebody else entirely", "x" * 500]
)
async def test_a_bad_rewrite_falls_back_to_joining(nonsense: str) -> None:
    found = await standalone("and on Windows?", HISTORY, ScriptedEngine(nonsense), "en")
    assert found.query == "How do I install DocDuet on Linux on Windows"


async def test_a_broken_engine_falls_back_to_joining() -> None:
    found = await standalone("and on Windows?", HISTORY, ScriptedEngine(fail_after=0), "en")
    assert found.rewritten
    assert found.query.endswith("on Windows")


def test_checked_strips_quotes() -> None:
    assert checked('"How do I install DocDuet on Windows?"', "and on Windows?", HISTORY).startswith("How")
