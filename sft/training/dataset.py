"""The samples to train on: found, checked line by line and counted before anything is started.

A folder that `docduet sft build` wrote (train.jsonl, and val.jsonl where there is one), or one .jsonl file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from data.prompts import Message
from sft.tokens import Counter, of_messages

ROLES = ("system", "user", "assistant", "tool", "tool_call", "tool_response")


@dataclass(frozen=True)
class TrainingData:
    """``samples``: of train. ``thinking``: how many of them think before they answer."""

    train: Path
    val: Path | None
    samples: int
    thinking: int


@dataclass(frozen=True)
class Lengths:
    """Tokens of each training sample with the chat template's own. ``too_long``: (line, tokens) over the limit."""

    tokens: tuple[int, ...]
    limit: int
    too_long: tuple[tuple[int, int], ...]
    exact: bool

    @property
    def total(self) -> int:
        """Of the samples that ms-swift would keep."""
        return sum(size for size in self.tokens if size <= self.limit)

    @property
    def kept(self) -> int:
        return len(self.tokens) - len(self.too_long)


def open_dataset(path: Path) -> TrainingData:
    """Find and check the samples in ``path``. Raises ConfigError that names file and line."""
    path = path.expanduser().absolute()
    val = (path if path.is_dir() else path.parent) / "val.jsonl"
    if path.is_dir():
        train = path / "train.jsonl"
        if not train.is_file():
            raise ConfigError(
                f"no train.jsonl in {path}: give a folder that `docduet sft build` wrote, or a .jsonl file"
            )
    elif path.is_file():
        train = path
    else:
        raise ConfigError(f"{path} does not exist; write a dataset with `docduet sft build --out {path}`")
    samples = thinking = 0
    for messages in read_samples(train):
        samples += 1
        thinking += any("<think>" in message["content"] for message in messages if message["role"] == "assistant")
    if not samples:
        raise ConfigError(f"{train} holds no sample: build the dataset again and read its card.md")
    has_val = train.name == "train.jsonl" and val.is_file() and any(True for _ in read_samples(val))
    return TrainingData(train, val if has_val else None, samples, thinking)


def read_samples(path: Path) -> Iterator[Sequence[Message]]:
    """The conversations of a .jsonl file. Raises ConfigError that names the line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path} line {number} is not JSON ({error}): each line holds one sample") from None
            problem = _problem(row)
            if problem:
                raise ConfigError(f"{path} line {number}: {problem}")
            yield row["messages"]


def _problem(row: Any) -> str:
    """What is wrong with a sample; "" when nothing is."""
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        return 'a sample is {"messages": [{"role": ..., "content": ...}, ...]}'
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return "each message needs role and content, both text"
        if message.get("role") not in ROLES:
            return f"unknown role {message.get('role')!r}; known are {', '.join(ROLES)}"
    if messages[-1]["role"] != "assistant":
        return f"the last message must be the assistant's, not the {messages[-1]['role']}'s"
    return "" if messages[-1]["content"].strip() else "the answer is empty"


def measure(
    data: TrainingData, counter: Counter, limit: int, progress: Callable[[int], None] = lambda _: None
) -> Lengths:
    """Count the tokens of each training sample; ``progress`` is told how many are done."""
    sizes: list[int] = []
    for messages in read_samples(data.train):
        sizes.append(of_messages(messages, counter))
        if len(sizes) % 256 == 0:
            progress(len(sizes))
    progress(len(sizes))
    too_long = tuple((line, size) for line, size in enumerate(sizes, start=1) if size > limit)
    return Lengths(tuple(sizes), limit, too_long, counter.exact)


def check_lengths(lengths: Lengths, allow_drop: bool = False) -> str:
    """What is to be said about samples over the limit; "" when there are none. ConfigError unless they may go."""
    if not lengths.too_long:
        return ""
    count, of = len(lengths.too_long), len(lengths.tokens)
    longest = max(size for _, size in lengths.too_long)
    where = ", ".join(str(line) for line, _ in lengths.too_long[:5]) + (", ..." if count > 5 else "")
    said = f"{count} of {of} samples are longer than max_length {lengths.limit}"
    said += f" (longest {longest:,} tokens; lines {where})"
    if not allow_drop:
        raise ConfigError(
            f"{said}, and ms-swift would drop them without a word. Raise it (--set max_length={_round_up(longest)}), "
            "build the dataset with a shorter --max-length, or give --allow-drop"
        )
    if count == of:
        raise ConfigError(f"{said}: none would be left. Raise it: --set max_length={_round_up(longest)}")
    return f"{said}; they are dropped, as --allow-drop says"


def _round_up(tokens: int) -> int:
    return -(-tokens // 256) * 256
