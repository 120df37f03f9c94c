"""Words that may stand for each other (en.toml, zh.toml), read once, and their inflected forms."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_IRREGULAR = {
    "be": ("being", "been"), "begin": ("beginning", "begun"), "break": ("breaking", "broken"),
    "bring": ("bringing", "brought"), "build": ("building", "built"), "choose": ("choosing", "chosen"),
    "do": ("doing", "done"), "find": ("finding", "found"), "get": ("getting", "gotten"), "give": ("giving", "given"),
    "go": ("going", "gone"), "hide": ("hiding", "hidden"), "hold": ("holding", "held"), "keep": ("keeping", "kept"),
    "leave": ("leaving", "left"), "let": ("letting", "let"), "lay": ("laying", "laid"), "make": ("making", "made"),
    "overwrite": ("overwriting", "overwritten"), "override": ("overriding", "overridden"), "put": ("putting", "put"),
    "read": ("reading", "read"), "rebuild": ("rebuilding", "rebuilt"), "reset": ("resetting", "reset"),
    "run": ("running", "run"), "see": ("seeing", "seen"), "send": ("sending", "sent"), "set": ("setting", "set"),
    "show": ("showing", "shown"), "shrink": ("shrinking", "shrunk"), "shut": ("shutting", "shut"),
    "split": ("splitting", "split"), "stop": ("stopping", "stopped"), "take": ("taking", "taken"),
    "tell": ("telling", "told"), "think": ("thinking", "thought"), "undo": ("undoing", "undone"),
    "withdraw": ("withdrawing", "withdrawn"), "write": ("writing", "written"), "quit": ("quitting", "quit"),
}  # fmt: skip
_DOUBLED = frozenset(
    "drop plug submit omit permit commit transfer stop strip swap skip scan map log grab tag trim wrap refer cap pin flip zip".split()
)


@cache
def lexicon(lang: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Part of speech -> word -> its substitutes. ``lang``: "en" or "zh"."""
    with (Path(__file__).parent / f"{lang}.toml").open("rb") as file:
        tables = tomllib.load(file)
    return {
        part: {word.replace("_", " "): tuple(other.split(", ")) for word, other in table.items()}
        for part, table in tables.items()
    }


def gerund(verb: str) -> str:
    """ "set up" -> "setting up": the first word carries the form."""
    return _inflected(verb, 0)


def participle(verb: str) -> str:
    """ "set up" -> "set up", "create" -> "created"."""
    return _inflected(verb, 1)


def plural(noun: str) -> str:
    *before, last = noun.split(" ")
    if last.endswith("s") and not last.endswith("ss"):
        return noun
    if last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = f"{last[:-1]}ies"
    else:
        last += "s"
    return " ".join([*before, last])


def _inflected(verb: str, form: int) -> str:
    first, *rest = verb.split(" ")
    return " ".join([_form(first, form), *rest])


def _form(word: str, form: int) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word][form]
    ending = ("ing", "ed")[form]
    if word in _DOUBLED:
        return f"{word}{word[-1]}{ending}"
    if word.endswith("e") and not word.endswith(("ee", "ye", "oe")):
        return f"{word[:-1]}{ending}"
    if form and word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ied"
    return f"{word}{ending}"
