"""A scripted teacher for FakeTeacher(writes=...) that drafts questions about the sentences of a text, by rule."""

from __future__ import annotations

import json
import re

from data.sentences import claims
from evals.drafts.prompts import WRITER


def drafted(messages: list[dict[str, str]]) -> tuple[str, str, str]:
    """(kind, subject, reply): a question about the first sentence of the text that is not asked about yet."""
    system, user = messages[0]["content"], messages[-1]["content"]
    if system not in WRITER.values():
        question = re.split(r"\n\n", user)[-1]
        holds = "listed elsewhere" in question
        return "answerable", question, ("是" if "？" in user else "Yes") if holds else ("否" if "？" in user else "No")
    text, task = user.split("\n\n---\n\n")
    chinese = system == WRITER["zh"]
    body = text.partition("\n\n")[2]
    known = task.count("\n- ")
    said = [body[span.start : span.end] for span in claims(body)]
    fact = said[known % len(said)]
    if "facts" not in task:
        name = f"{text.splitlines()[0].strip('# ')} {known}"
        where = "listed elsewhere" if "zebra" in body else "on Mars"
        asked = f"{name} 在火星上能用吗？" if chinese else f"Can {name} be bought {where}?"
        return "unanswerable", asked, json.dumps({"question": asked}, ensure_ascii=False)
    asked = f"请解释一下：{fact.strip('。')}？" if chinese else f"Please explain: {fact.strip('.')}?"
    draft = {"question": asked, "facts": [{"text": fact, "keys": []}], "reference": fact}
    if '"first"' in task:
        opening = (
            {"first": "有什么？", "answer": "有很多。"} if chinese else {"first": "What is there?", "answer": "A lot."}
        )
        return "follow-up", asked, json.dumps(opening | draft, ensure_ascii=False)
    return "single", asked, json.dumps(draft, ensure_ascii=False)
