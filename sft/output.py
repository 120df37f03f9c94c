"""A dataset on disk: all files or none. What was there before stays until the new one is whole.

train.jsonl, val.jsonl      {"messages": [...]} a line: what ms-swift reads
alpaca_train.json, ...      the same for LLaMA-Factory, Alpaca format
dataset_info.json           names both for LLaMA-Factory (ShareGPT format reads the .jsonl files as they are)
provenance.jsonl            a line for each sample: id, split, line, shape, pages with hashes, generator, family
rejects.jsonl               what the gates turned down, and why
card.md, *.png              what is in it (card.py, charts.py)
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import ConfigError, DiskFullError
from sft.split import Split
from sft.types import Reject, Sample

MARK = "provenance.jsonl"
"""A folder that holds this file is a dataset of ours and may be replaced."""


def write_dataset(
    out: Path, split: Split, rejects: Sequence[Reject], extras: Callable[[Path], None] = lambda _: None
) -> None:
    """Write all files; ``extras`` adds its own to the folder. Raises ConfigError, DiskFullError."""
    with _replacing(out) as folder:
        for name, samples in (("train", split.train), ("val", split.val)):
            _lines(folder / f"{name}.jsonl", ({"messages": list(sample.messages)} for sample in samples))
            _json(folder / f"alpaca_{name}.json", [alpaca(sample) for sample in samples])
        _lines(folder / "rejects.jsonl", map(_reject, rejects))
        _json(folder / "dataset_info.json", dataset_info())
        extras(folder)
        _lines(folder / MARK, _provenance(split))


def alpaca(sample: Sample) -> dict[str, Any]:
    """One sample as LLaMA-Factory's Alpaca format has it: earlier turns are ``history``."""
    system = next((message["content"] for message in sample.messages if message["role"] == "system"), "")
    turns = [list(pair) for pair in zip(sample.questions, sample.answers, strict=True)]
    question, answer = turns[-1]
    return {"instruction": question, "input": "", "output": answer, "system": system, "history": turns[:-1]}


def dataset_info() -> dict[str, Any]:
    """LLaMA-Factory's index of the folder (its data/README.md describes the fields)."""
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    }
    columns = {
        "prompt": "instruction",
        "query": "input",
        "response": "output",
        "system": "system",
        "history": "history",
    }
    info: dict[str, Any] = {}
    for name in ("train", "val"):
        info[f"docduet_{name}"] = {
            "file_name": f"{name}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": tags,
        }
        info[f"docduet_{name}_alpaca"] = {
            "file_name": f"alpaca_{name}.json",
            "formatting": "alpaca",
            "columns": columns,
        }
    return info


def _provenance(split: Split) -> Iterator[dict[str, Any]]:
    for name, samples in (("train", split.train), ("val", split.val)):
        for line, sample in enumerate(samples, start=1):
            yield {
                "id": sample.id,
                "split": name,
                "line": line,
                "shape": sample.shape,
                "lang": sample.lang,
                "pages": [
                    {"url": url, "hash": hash_} for url, hash_ in zip(sample.pages, sample.page_hashes, strict=True)
                ],
                "generator": sample.generator,
                "family": sample.family,
            }


def _reject(reject: Reject) -> dict[str, Any]:
    sample = reject.sample
    return {
        "gate": reject.gate,
        "reason": reject.reason,
        "id": sample.id,
        "shape": sample.shape,
        "pages": list(sample.pages),
        "messages": list(sample.messages),
    }


def _lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A fresh folder beside ``out`` that takes its place at the end; on any failure it goes and ``out`` stays."""
    out = out.expanduser().absolute()
    check_free(out)
    fresh, old = (out.parent / f".{out.name}.{kind}-{os.getpid()}" for kind in ("new", "old"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        yield fresh
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"no room left while writing {out}; make some and build again") from None
        raise ConfigError(f"the dataset cannot be written to {out}: {error}") from None
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_free(out: Path) -> None:
    """Raises ConfigError when ``out`` holds something that is not a dataset of ours."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()):
        raise ConfigError(f"{out} holds other files: give --out a folder of its own")
