"""How many useful tokens does a dataset hold? Prompt and answer, as the model's template writes them, without padding.

Counted once before the start, so that tokens/s says what was learned from and not what the GPU was fed. Samples over
the trainer's max_length do not count: ms-swift leaves them out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError
from sft.tokens import Counter, of_messages


@dataclass(frozen=True)
class Useful:
    """Of one epoch. ``context``: length of the sample that a token stands in, averaged over tokens."""

    samples: int = 0
    tokens: int = 0
    context: float = 0.0


def count(dataset: Path, counter: Counter, max_length: int) -> Useful:
    """Count a dataset's training file. Raises ConfigError naming the line that is no conversation."""
    lengths = [length for length in _lengths(training_file(dataset), counter) if length <= max_length]
    tokens = sum(lengths)
    return Useful(len(lengths), tokens, sum(length * length for length in lengths) / tokens if tokens else 0.0)


def training_file(dataset: Path) -> Path:
    """A dataset is a folder made by `docduet sft build` or its .jsonl file. Raises ConfigError."""
    path = dataset / "train.jsonl" if dataset.is_dir() else dataset
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; make a dataset with `docduet sft build --out DIR`")
    return path


def conversations(dataset: Path) -> Iterator[list[dict[str, str]]]:
    """The messages of each sample. Raises ConfigError."""
    path = training_file(dataset)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                messages = json.loads(line)["messages"]
                if not all(isinstance(message["content"], str) for message in messages):
                    raise TypeError("content that is not text")
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f'{path}, line {number}: no conversation with "messages" ({type(error).__name__}: {error})'
                ) from None
            yield messages


def _lengths(path: Path, counter: Counter) -> Iterator[int]:
    for messages in conversations(path):
        yield of_messages(messages, counter)  # type: ignore[arg-type]
