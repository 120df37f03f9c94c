"""One row -> one conversation: user and assistant in turns, whatever form it came in.

A system message of the file is left out: training data carry the prompt that the ``sft`` arm asks with. What does not
alternate, or has an empty answer, is passed on: the gates turn it down and keep it with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.errors import ConfigError
from data.lang import detect_lang
from data.prompts import Message
from sft.imports.columns import Columns
from sft.imports.rows import Row
from sft.imports.tickets import cleaned

_ROLES = {
    "user": "user human customer client requester enduser asker reporter 用户 客户",
    "assistant": "assistant gpt bot chatgpt agent support staff operator model 客服 助手",
    "system": "system 系统",
}
ROLES = {name: role for role, names in _ROLES.items() for name in names.split()}
_DESK = frozenset("customer client requester enduser reporter agent support staff operator 客户 客服".split())  # noqa: SIM905
"""Roles of a help desk: such a thread is a ticket, and cleaned as one."""

_ROLE_KEYS = ("role", "from", "author_role", "author", "sender", "type")
_TEXT_KEYS = ("content", "value", "text", "body", "message")


@dataclass(frozen=True)
class Conversation:
    """``urls``: the pages that it names."""

    messages: tuple[Message, ...]
    lang: str
    urls: tuple[str, ...] = ()


def conversation(row: Row, columns: Columns) -> Conversation:
    """What the row says. Raises ConfigError for a value that is no text."""
    cells = {field: row.values.get(column) for field, column in columns.of.items()}
    lang = _code(_text(cells.get("lang"), row, "lang"))
    made = {"pair": _pair, "ticket": _ticket, "conversation": _thread}[columns.kind](cells, row, lang)
    said = "\n".join(message["content"] for message in made)
    url = _text(cells.get("url"), row, "url")
    return Conversation(made, lang or detect_lang(said), (url,) if url else ())


def _code(lang: str) -> str:
    """ "zh-CN" -> "zh"; "" for what is no code, such as "English"."""
    return lang[:2].lower() if re.fullmatch(r"[A-Za-z]{2}(?:[-_]\w+)?", lang) else ""


def _pair(cells: Mapping[str, Any], row: Row, _: str) -> tuple[Message, ...]:
    """Question and answer; Alpaca's ``input`` belongs to the question, its ``history`` are earlier pairs."""
    earlier: list[Message] = []
    for turn in _listed(cells.get("history"), row, "history"):
        if not isinstance(turn, Sequence) or isinstance(turn, str) or len(turn) != 2:
            raise ConfigError(f"{row.place}: history must be a list of pairs [question, answer]")
        earlier += [_message(role, _text(said, row, "history")) for role, said in zip(_TURN, turn, strict=True)]
    question = "\n".join(filter(None, (_text(cells.get(field), row, field).strip() for field in ("question", "input"))))
    return (*earlier, _message("user", question), _message("assistant", _text(cells.get("answer"), row, "answer")))


def _ticket(cells: Mapping[str, Any], row: Row, lang: str) -> tuple[Message, ...]:
    """Subject and description ask, the resolution answers."""
    answer = _text(cells.get("resolution"), row, "resolution") or _text(cells.get("answer"), row, "answer")
    lang = lang or detect_lang("\n".join([*_problem(cells, row), answer]))
    return (_message("user", _asked(_problem(cells, row), lang)), _message("assistant", cleaned(answer, lang)))


def _problem(cells: Mapping[str, Any], row: Row) -> list[str]:
    """Subject and description, as far as there are any."""
    subject, description = (_text(cells.get(field), row, field) for field in ("subject", "description"))
    return [re.sub(r"(?i)^\s*(?:(?:re|fwd?|aw|wg|答复|回复|转发)\s*[:：]\s*)+", "", subject), description]


def _asked(problem: Sequence[str], lang: str) -> str:
    """What the parts of a problem say, once: a description often begins with the subject."""
    said: list[str] = []
    for part in (cleaned(text, lang) for text in problem):
        if said and part.lower().startswith(said[-1].lower()):
            said.pop()
        if part:
            said.append(part)
    return "\n\n".join(said)


def _thread(cells: Mapping[str, Any], row: Row, lang: str) -> tuple[Message, ...]:
    """Messages with roles; a help desk's thread is cleaned, and what one side says in a row becomes one message.

    A ticket's subject and description come before its thread, unless the thread repeats them.
    """
    turns = [_turn(entry, row) for entry in _listed(cells.get("messages"), row, "messages") if not _internal(entry)]
    desk = any(name in _DESK for name, _ in turns)
    lang = lang or detect_lang("\n".join(said for _, said in turns))
    problem = _problem(cells, row) if desk else ["", ""]
    if desk and not any(problem[1][:200] in said for _, said in turns):
        turns.insert(0, ("customer", _asked(problem, lang)))
    found: list[Message] = []
    for name, said in turns:
        role = ROLES.get(name, name)
        text = cleaned(said, lang) if desk else said
        if role == "system" or (desk and (not text or (not found and role == "assistant"))):
            continue
        if desk and found and found[-1]["role"] == role:
            found[-1] = _message(role, f"{found[-1]['content']}\n\n{text}")
        else:
            found.append(_message(role, text))
    if desk and found and found[-1]["role"] == "user":
        found.pop()  # a customer's last word, mostly thanks
    return tuple(found)


_TURN = ("user", "assistant")


def _turn(entry: Any, row: Row) -> tuple[str, str]:
    """(name of the role, text) of one message."""
    role = _first(entry, _ROLE_KEYS) if isinstance(entry, Mapping) else None
    text = _first(entry, _TEXT_KEYS) if isinstance(entry, Mapping) else None
    if not isinstance(role, str):
        raise ConfigError(
            f'{row.place}: each message must be an object such as {{"role": "user", "content": "..."}} or '
            '{"from": "human", "value": "..."}'
        )
    return re.sub(r"[\W_]", "", role).lower(), _text(text, row, "messages")


def _first(entry: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((entry[key] for key in keys if key in entry), None)


def _internal(entry: Any) -> bool:
    """A note that the customer never saw."""
    return isinstance(entry, Mapping) and (
        entry.get("public") is False or any(entry.get(key) is True for key in ("internal", "private", "is_internal"))
    )


def _listed(value: Any, row: Row, field: str) -> list[Any]:
    """A list, or JSON of one, as a cell of a table holds it."""
    if value in (None, ""):
        return []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{row.place}: {field} is not JSON ({error})") from None
    if not isinstance(value, list):
        raise ConfigError(f"{row.place}: {field} must be a list, not {type(value).__name__}")
    return value


def _text(value: Any, row: Row, field: str) -> str:
    """Text, a number as text, or OpenAI's list of text parts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "\n".join(part["text"] for part in value)
    raise ConfigError(f"{row.place}: {field} must be text, not {type(value).__name__}")


def _message(role: str, content: str) -> Message:
    return Message(role=role, content=content)
