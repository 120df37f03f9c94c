"""How long is a text, in tokens of the model that will be trained? Exact with its tokenizer, an estimate without.

The estimate (data/text.py) is rather too high than too low for Qwen's tokenizer on technical text, so that nothing is
found to be over the limit only by the trainer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from data.errors import ConfigError
from data.prompts import Message
from data.text import estimate_tokens as estimate

CONTROL = re.compile(r"<\|\w{1,40}\|>|</?think(?:ing)?>|</?tool_(?:call|response)>|/no_think\b")
"""What a tokenizer takes for its own, wherever it stands: in a page it could end a message and begin another."""

EMPTY_THINK = "<think>\n\n</think>\n\n"
"""What ms-swift's qwen3 template puts before an answer that does not think; four tokens of Qwen3."""
PER_MESSAGE = 5
"""Tokens that a ChatML template puts around each message: <|im_start|>, role, newline, <|im_end|>, newline."""


class Counter(Protocol):
    """Counts tokens. ``name`` goes on the card; ``exact``: whether it is the model's own tokenizer."""

    name: str
    exact: bool

    def count(self, text: str) -> int: ...


class Estimate:
    """No tokenizer at hand."""

    name = "estimate (0.7 a Chinese character, 1 per 3.3 others)"
    exact = False

    def count(self, text: str) -> int:
        return estimate(text)


class FastTokenizer:
    """tokenizer.json, by the tokenizers library."""

    exact = True

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self.name = path.parent.name
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ConfigError(f"{path} is no tokenizer ({error}); give the model's folder") from None

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


def load_counter(folder: Path | None) -> Counter:
    """The tokenizer of a model folder (or a tokenizer.json), or the estimate. Raises ConfigError."""
    if folder is None:
        return Estimate()
    path = folder if folder.name == "tokenizer.json" else folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(f"no tokenizer.json in {folder}: give the folder of the model that is to be trained")
    return FastTokenizer(path)


def of_messages(messages: Sequence[Message], counter: Counter) -> int:
    """Tokens of the whole conversation as ms-swift counts them: Qwen3's template, ChatML with the empty think block.

    The same before a dataset is built and before training, so that nothing built within a limit is over it later.
    """
    if not counter.exact:
        return sum(counter.count(one["content"]) + PER_MESSAGE + 4 * _silent(one) for one in messages)
    return sum(
        counter.count(f"<|im_start|>{one['role']}\n{EMPTY_THINK * _silent(one)}{one['content']}<|im_end|>\n")
        for one in messages
    )


def _silent(message: Message) -> bool:
    return message["role"] == "assistant" and not message["content"].startswith("<think>")
