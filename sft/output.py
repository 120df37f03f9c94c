"""A dataset on disk: all files or none. What was there before stays until the new one is whole.

train.jsonl, val.jsonl      {"messages": [...]} a line: what ms-swift reads; val is empty where nothing is set aside
alpaca_train.json, ...      the same in Alpaca format
sharegpt_train.json, ...    the same in ShareGPT format
dataset_info.json           names all of them that hold samples, for LLaMA-Factory
provenance.jsonl            a line for each sample: id, split, line, shape, pages with hashes, generator, family
build.json                  the pages it was built from, which part of the samples at hand went in (previous.py), and
                            which share was to be validated with
rejects.jsonl               what the gates turned down, and why
card.md, *.png              what is in it (card.py, charts.py)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from sft.replace import replacing
from sft.split import Split
from sft.types import Reject, Sample

MARK = "provenance.jsonl"
"""A folder that holds this file is a dataset of ours and may be replaced."""


BUILD = "build.json"


def write_dataset(
    out: Path,
    split: Split,
    rejects: Sequence[Reject],
    extras: Callable[[Path], None] = lambda _: None,
    build: Mapping[str, Any] | None = None,
) -> None:
    """Write all files; ``extras`` adds its own to the folder. Raises ConfigError, DiskFullError."""
    out = out.expanduser().absolute()
    check_free(out)
    with replacing(out) as folder:
        for name, samples in (("train", split.train), ("val", split.val)):
            _lines(folder / f"{name}.jsonl", ({"messages": list(sample.messages)} for sample in samples))
            _json(folder / f"alpaca_{name}.json", [alpaca(sample) for sample in samples])
            _json(folder / f"sharegpt_{name}.json", [sharegpt(sample) for sample in samples])
        _lines(folder / "rejects.jsonl", map(_reject, rejects))
        _json(folder / "dataset_info.json", dataset_info(split))
        _json(folder / BUILD, build or {})
        extras(folder)
        _lines(folder / MARK, _provenance(split))


def alpaca(sample: Sample) -> dict[str, Any]:
    """One sample as LLaMA-Factory's Alpaca format has it: earlier turns are ``history``."""
    system = next((message["content"] for message in sample.messages if message["role"] == "system"), "")
    turns = [list(pair) for pair in zip(sample.questions, sample.answers, strict=True)]
    question, answer = turns[-1]
    return {"instruction": question, "input": "", "output": answer, "system": system, "history": turns[:-1]}


def sharegpt(sample: Sample) -> dict[str, Any]:
    """One sample in ShareGPT's form: human and gpt in turns, the system prompt beside them."""
    names = {"user": "human", "assistant": "gpt"}
    system = next((message["content"] for message in sample.messages if message["role"] == "system"), "")
    turns = [message for message in sample.messages if message["role"] != "system"]
    said = [{"from": names[message["role"]], "value": message["content"]} for message in turns]
    return {"conversations": said, "system": system}


def dataset_info(split: Split) -> dict[str, Any]:
    """LLaMA-Factory's index of the folder (its data/README.md describes the fields); it cannot read an empty file.

    Its ShareGPT reader takes OpenAI's messages, too, when told the names of the tags: docduet_train is train.jsonl.
    """
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
    for name, samples in (("train", split.train), ("val", split.val)):
        if not samples:
            continue
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
        info[f"docduet_{name}_sharegpt"] = {
            "file_name": f"sharegpt_{name}.json",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system"},
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


def check_free(out: Path) -> None:
    """Raises ConfigError when ``out`` holds something that is not a dataset of ours."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()):
        raise ConfigError(f"{out} holds other files: give --out a folder of its own")
