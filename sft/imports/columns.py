"""Which column is which: the usual names in English and Chinese, and what `--column FIELD=COLUMN` says.

A row is a conversation (``messages``, ShareGPT's ``conversations``, a ticket's thread), a pair (``question`` and
``answer``, Alpaca's ``instruction``, ``input`` and ``output``), or a ticket (``subject``, ``description``,
``resolution``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from data.errors import ConfigError

_NAMES = {
    "question": "question questions q query prompt instruction ask 问题 提问 问 用户问题",
    "answer": "answer answers a response output completion reply 答案 回答 答复 答 回复",
    "input": "input",
    "history": "history",
    "messages": "messages conversations conversation thread comments dialog dialogue 对话 会话",
    "subject": "subject title summary topic 主题 标题",
    "description": "description body details detail problem issue text content 描述 问题描述 内容 正文",
    "resolution": "resolution solution fix resolutionnotes agentreply 解决方案 解决办法 处理结果 解决",
    "url": "url page pageurl link docurl documenturl 链接 网址 页面",
    "lang": "lang language locale 语言",
}
NAMES = {field: tuple(names.split()) for field, names in _NAMES.items()}
FIELDS = tuple(NAMES)
WANTED = (
    "question and answer; instruction and output; messages or conversations; or subject, description and resolution"
)

Kind = Literal["pair", "ticket", "conversation"]


@dataclass(frozen=True)
class Columns:
    """``of``: field -> name of the column."""

    kind: Kind
    of: Mapping[str, str]


def parse_column_options(options: Iterable[str]) -> dict[str, str]:
    """["question=Frage"] -> {"question": "Frage"}. Raises ConfigError."""
    chosen = {}
    for option in options:
        field, equals, column = (part.strip() for part in option.partition("="))
        if not equals or not column or field not in FIELDS:
            raise ConfigError(f"--column {option}: write FIELD=COLUMN, where FIELD is one of {', '.join(FIELDS)}")
        chosen[field] = column
    return chosen


def find_columns(names: Sequence[str], chosen: Mapping[str, str]) -> Columns | None:
    """What the columns ``names`` are; None when they hold no questions and answers. ``chosen`` goes before names."""
    taken = {field: column for field, column in chosen.items() if column in names}
    plain = {_plain(name): name for name in reversed(names) if name not in taken.values()}
    of = {}
    for field, known in NAMES.items():
        found = taken.get(field) or next((plain[name] for name in known if name in plain), "")
        if found:
            of[field] = found
    kind = _kind(of, taken)
    return Columns(kind, of) if kind else None


def _kind(of: Mapping[str, str], taken: Mapping[str, str]) -> Kind | None:
    """What was chosen by hand decides; then conversations, pairs, tickets, and at last a ticket's comments."""
    pair = "question" in of and "answer" in of
    ticket = ("subject" in of or "description" in of) and ("resolution" in of or "answer" in of)
    if "messages" in taken or (_plain(of.get("messages", "")) in ("messages", "conversations") and not taken):
        return "conversation"
    if ticket and {"subject", "description", "resolution"} & set(taken):
        return "ticket"
    if pair:
        return "pair"
    return "ticket" if ticket else "conversation" if "messages" in of else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
