"""What becomes of each parameter of OpenAI's APIs that a request may hold: used, left unused, ignored or refused.

Tools are left unused, and the response says so: a model that may call them need not. Ignored is what asks for nothing
that an answer from the docs would have to do differently. What cannot be honoured and would be missed is refused by
name, but for the values that ask for nothing (``logprobs: false``). Fields that are in no table (``chat_template``,
``vllm_xargs``, ``priority``, ``guided_json``) are ignored too: nothing but what schemas.py names ever reaches an
engine. The handbook's tables (parameters.md) are checked against these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

_TOOLS = "the voices answer from the documentation and can be made to call nothing; leave it out, or send 'auto'"

CHAT_UNUSED = frozenset({"tools", "functions"})
RESPONSES_UNUSED = frozenset({"tools"})

CHAT_IGNORED = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)
CHAT_REFUSED: Mapping[str, tuple[str, Sequence[Any]]] = {
    "audio": ("answers are text", ()),
    "function_call": (_TOOLS, ("none", "auto")),
    "logit_bias": ("it would bend an answer away from its sources", ({},)),
    "logprobs": ("answers are checked and renumbered after the engine wrote them", (False,)),
    "modalities": ("answers are text", ([], ["text"])),
    "moderation": ("nothing is moderated here", ()),
    "tool_choice": (_TOOLS, ("none", "auto")),
    "top_logprobs": ("answers are checked and renumbered after the engine wrote them", (0,)),
    "web_search_options": ("the documentation is searched, not the web", ()),
}
"""Name -> why not, and the values beside null that ask for nothing."""

RESPONSES_IGNORED = (CHAT_IGNORED - {"metadata", "prediction", "reasoning_effort", "store", "verbosity"}) | {
    "include",
    "max_tool_calls",
    "reasoning",
    "stream_options",
    "truncation",
}
RESPONSES_REFUSED: Mapping[str, tuple[str, Sequence[Any]]] = {
    "background": ("an answer is given at once", (False,)),
    "context_management": ("send the messages that count", ([],)),
    "conversation": ("send the earlier messages in input", ()),
    "moderation": CHAT_REFUSED["moderation"],
    "prompt": ("no prompts are stored here: send instructions", ()),
    "tool_choice": CHAT_REFUSED["tool_choice"],
    "top_logprobs": CHAT_REFUSED["top_logprobs"],
}


def refuse(body: Any, refused: Mapping[str, tuple[str, Sequence[Any]]]) -> Any:
    """The body as it came, where it holds no parameter that is refused; PydanticCustomError names the first."""
    for name, (why, harmless) in refused.items():
        value = _asked(body.get(name)) if isinstance(body, dict) else None
        if value is not None and not any(type(value) is type(other) and value == other for other in harmless):
            raise unsupported(name, f"{name} is not supported: {why}")
    return body


def _asked(value: Any) -> Any:
    """What a parameter asks for: of a choice among ``allowed_tools``, whether one of them must be called."""
    if isinstance(value, dict) and value.get("type") == "allowed_tools":
        allowed = value.get("allowed_tools", value)  # chat completions say it one level deeper than responses
        return allowed.get("mode", value) if isinstance(allowed, dict) else value
    return value


def unused(body: Any, names: Iterable[str]) -> tuple[str, ...]:
    """Which of the parameters ``names`` a validated request brings along for nothing."""
    return tuple(name for name in sorted(names) if getattr(body, name))


def unsupported(name: str, message: str) -> PydanticCustomError:
    """What a validator raises to be answered with the code ``unsupported_parameter``."""
    return PydanticCustomError("unsupported_parameter", "{why}", {"why": message, "param": name})
