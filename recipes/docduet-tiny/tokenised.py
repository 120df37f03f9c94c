"""Reading tasks -> tokens: the very prompt that the gateway sends (data/prompts.py), the chat template, the answer.

Files of a folder, as 03_tasks.py writes them: ``*passages-*.jsonl.xz`` with {"id", "title", "heading_path", "text"} a
line, ``*tasks-*`` and ``chat-*`` with {"passages": [ids as shown], "question", "history", "answer", "lang", "kind",
"split"}. A task without passages is plain talk, asked as the `base` voice asks. What is too long for a row is left out
and counted.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rows import Samples

from data.citations import strip_markers
from data.prompts import Message, base_messages, rag_messages

HELDOUT = "heldout"
END = "<|im_end|>"
PASSAGES, TASKS = "*passages-*.jsonl.xz", ("*tasks-*.jsonl.xz", "chat-*.jsonl.xz")
TOKENIZER = ("tokenizer.json", "chat_template.jinja")
CHUNK = 500  # tasks that a process is given at a time

_passages: Mapping[str, Passage] = {}
_tokenizer: Any = None


@dataclass(frozen=True)
class Passage:
    title: str
    heading_path: tuple[str, ...]
    text: str


def read_lines(folder: Path, *patterns: str) -> Iterator[dict[str, Any]]:
    """The objects in ``folder``'s files of these patterns, in the order of their names."""
    paths = _files(folder, *patterns)
    if not paths:
        raise FileNotFoundError(f"no {' or '.join(patterns)} in {folder}: make them with 03_tasks.py")
    for path in paths:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def tasks_of(folder: Path) -> Iterator[dict[str, Any]]:
    """The tasks of a folder."""
    return read_lines(folder, *TASKS)


def _files(folder: Path, *patterns: str) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def passages_of(folder: Path) -> dict[str, Passage]:
    """Passage id -> passage."""
    return {
        str(line["id"]): Passage(line["title"], tuple(line["heading_path"]), line["text"])
        for line in read_lines(folder, PASSAGES)
    }


def messages_of(task: Mapping[str, Any], passages: Mapping[str, Passage]) -> list[Message]:
    """What the gateway asks for a task, as serving/arms/rag.py and plain.py put it."""
    history = [Message(role=m["role"], content=strip_markers(m["content"])) for m in task.get("history") or ()]
    if not task["passages"]:
        return base_messages(task["question"], history, task["lang"])
    shown = [passages[str(key)] for key in task["passages"]]
    return rag_messages(task["question"], shown, history, task["lang"])


def prompt_of(messages: Sequence[Message], tokenizer: Any) -> str:
    """As vLLM renders it with thinking off."""
    made = tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return str(made)


def samples(folder: Path, tokenizer_folder: Path, cache: Path, row_tokens: int, processes: int) -> dict[str, Samples]:
    """The tokenised tasks of a folder: "train" and "heldout". Kept in ``cache`` under a hash of all that made them."""
    path = cache / f"samples-{_fingerprint(folder, tokenizer_folder, row_tokens)}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".partial.npz")
        np.savez(part, **_tokenised(folder, tokenizer_folder, row_tokens, processes))
        part.replace(path)
    with np.load(path) as kept:
        return {
            split: Samples(kept[f"{split}_tokens"], kept[f"{split}_starts"], kept[f"{split}_answers"])
            for split in ("train", HELDOUT)
        }


def _tokenised(folder: Path, tokenizer_folder: Path, row_tokens: int, processes: int) -> dict[str, Any]:
    global _passages
    _passages = passages_of(folder)  # the processes are forked: they share it
    tasks = list(tasks_of(folder))
    chunks = [tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK)]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with multiprocessing.get_context("fork").Pool(processes, _begin, (tokenizer_folder,)) as pool:
        done = [one for chunk in pool.imap(_chunk, chunks) for one in chunk]
    arrays: dict[str, Any] = {}
    for split in ("train", HELDOUT):
        kept = [
            ids
            for ids, task in zip(done, tasks, strict=True)
            if _split(task) == split and len(ids[0]) + len(ids[1]) <= row_tokens
        ]
        arrays |= {f"{split}_{name}": values for name, values in _joined(kept).items()}
    left_out = len(tasks) - sum(len(arrays[f"{split}_answers"]) for split in ("train", HELDOUT))
    print(f"tokenised {len(tasks):,} tasks; {left_out:,} too long for a row were left out", flush=True)
    return arrays


def _split(task: Mapping[str, Any]) -> str:
    return HELDOUT if task.get("split") == HELDOUT else "train"


def _joined(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    lengths = [len(prompt) + len(answer) for prompt, answer in pairs]
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    answers = starts[:-1] + np.array([len(prompt) for prompt, _ in pairs], np.int64)
    flat = [part for pair in pairs for part in pair]
    return {
        "tokens": np.concatenate(flat) if flat else np.zeros(0, np.uint16),
        "starts": starts,
        "answers": answers,
    }


def _begin(tokenizer_folder: Path) -> None:
    global _tokenizer
    from transformers import AutoTokenizer

    _tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)


def _chunk(tasks: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    prompts = [prompt_of(messages_of(task, _passages), _tokenizer) for task in tasks]
    encode = _tokenizer.backend_tokenizer.encode_batch
    asked = encode(prompts, add_special_tokens=False)
    said = encode([task["answer"] + END for task in tasks], add_special_tokens=False)
    return [(np.array(a.ids, np.uint16), np.array(b.ids, np.uint16)) for a, b in zip(asked, said, strict=True)]


def _fingerprint(folder: Path, tokenizer_folder: Path, row_tokens: int) -> str:
    digest = hashlib.sha256(str(row_tokens).encode())
    for path in [*_files(folder, PASSAGES, *TASKS), *(tokenizer_folder / name for name in TOKENIZER)]:
        if path.exists():
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    digest.update("".join(m["content"] for m in rag_messages("", [Passage("", (), "")])).encode())
    return digest.hexdigest()[:16]
