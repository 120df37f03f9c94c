"""A scripted judge for FakeTeacher(writes=...): it finds sentences in the documentation by their words, prefers the
answer that says more of what a complete answer states, and has the weaknesses that a question asks for."""

from __future__ import annotations

import json
import re

from evals.answers.text import normalised


def verdict(messages: list[dict[str, str]]) -> tuple[str, str, str]:
    """(kind, subject, reply). A question with "biased": whatever stands first wins; "garbled": no JSON."""
    docs, talk, *known, asked = messages[-1]["content"].split("\n\n---\n\n")
    question = talk.rsplit("user: ", 1)[1]
    if "garbled" in question:
        return "judge", question, "A is better, I think."
    if "<<<" in asked:
        return "pair", question, json.dumps({"reason": "by rule", "winner": _winner(question, asked, known)})
    said, facts = (_listed(part) for part in re.split(r"Facts:|事实：", asked, maxsplit=1))
    sentences = ["yes" if normalised(text) in normalised(docs) else "no" for text in said]
    stated = ["yes" if normalised(fact) in normalised(" ".join(said)) else "no" for fact in facts]
    return "single", question, json.dumps({"sentences": sentences, "facts": stated})


def _winner(question: str, asked: str, known: list[str]) -> str:
    if "biased" in question:
        return "A"
    wanted = [fact for part in known for fact in _listed(part)]
    a, b = (
        sum(normalised(fact) in normalised(text) for fact in wanted)
        for text in re.findall(r"(?s)<<<\n(.*?)\n>>>", asked)
    )
    return "tie" if a == b else "A" if a > b else "B"


def _listed(text: str) -> list[str]:
    return re.findall(r"(?m)^\d+\. (.*)$", text)
