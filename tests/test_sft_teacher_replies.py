"""How a teacher's replies are read: verdicts strictly, answers taken apart into thinking and text."""

from __future__ import annotations

import pytest

from data.chat.calls import Reply, TurnedDown
from sft.teacher import replies


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ('{"supported": "yes", "self_contained": "yes"}', ""),
        ('```json\n{"supported": "yes", "self_contained": "yes"}\n```', ""),
        ('{"supported": "yes", "self_contained": "no"}', "self_contained"),
        ('{"supported": "yes"}', "cannot be read"),
        ('{"supported": "yes", "self_contained": "yes", "more": "yes"}', "cannot be read"),
        ('{"supported": true, "self_contained": true}', "cannot be read"),
        ('Here: {"supported": "yes", "self_contained": "yes"}', "cannot be read"),
        ("yes", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_verdicts_are_read_strictly(text: str, gate: str) -> None:
    if not gate:
        replies.verdict(Reply(text), ("supported", "self_contained"))
        return
    with pytest.raises(TurnedDown, match=gate) as why:
        replies.verdict(Reply(text), ("supported", "self_contained"))
    assert why.value.gate == "judge"


@pytest.mark.parametrize(
    ("reply", "thinking", "outcome"),
    [
        (Reply("It is 7."), False, "It is 7."),
        (Reply("<think>\n\n</think>\n\nIt is 7."), False, "It is 7."),
        (Reply("<think>Hm.</think>It is 7."), False, "leak"),
        (Reply("<think>Hm.</think>It is 7."), True, "It is 7."),
        (Reply("It is 7.", "Hm."), True, "It is 7."),
        (Reply("It is 7.", "Hm."), False, "It is 7."),
        (Reply("It is 7."), True, "no-thinking"),
        (Reply("<think>Hm."), True, "empty"),
        (Reply("It is", "", "length"), False, "cut-off"),
        (Reply("抱歉，我不知道。"), False, "refusal"),
    ],
)
def test_answers_are_taken_apart(reply: Reply, thinking: bool, outcome: str) -> None:
    if outcome == "It is 7.":
        assert replies.answer(reply, "en", thinking).text == outcome
        return
    with pytest.raises(TurnedDown) as why:
        replies.answer(reply, "en", thinking)
    assert why.value.gate == outcome
