"""What is written is what the trainers read: ms-swift's and LLaMA-Factory's own loaders take every sample.

Run by `make test-real`, which installs both into .venv-train.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.prompts import REFUSAL, Message, sft_messages
from data.types import Page
from sft.build import build
from sft.imports.writer import ImportWriter
from sft.mixture import Mixture
from sft.output import write_dataset
from sft.rules.writer import RuleWriter
from sft.split import Split
from sft.tokens import Estimate
from sft.types import SHAPES, Sample, Shape
from tests.test_sft_dataset import docs
from tests.test_sft_rules import ENGLISH
from tests.tiny_qwen3 import make

REPO = Path(__file__).parents[1]
PYTHON = REPO / ".venv-train" / "bin" / "python"
THOUGHT = "<think>\nThe page says three.\n</think>\n\n"

BUILT: tuple[Shape, ...] = ("single", "how-to", "multi-turn", "raft", "troubleshooting", "whole-page")

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON.exists(), reason="the trainers are not installed: run `make test-real`"),
]


def sample(*said: str, shape: Any = "single", lang: str = "en") -> Sample:
    roles = ("user", "assistant") * (len(said) // 2)
    turns = [Message(role=role, content=text) for role, text in zip(roles, said, strict=True)]
    messages = (*sft_messages(said[0], (), lang), *turns[1:])
    return Sample(messages, shape, lang, ("a.md",), ("h",), "rules", f"f:{said[0]}", "")


ODD = (
    sample("How many?", f"{THOUGHT}Three are kept."),
    sample("How many?", "Three.", "And lids?", f"{THOUGHT}Two lids are kept.", shape="multi-turn"),
    sample(
        "端口是多少？",
        "<think>\n文档说 7860。\n</think>\n\n默认端口是 `7860`。\n\n```toml\nport = 7860\n```",
        lang="zh",
    ),
    sample('Say "hi"\tand \\n', "{{ braces }} and {% tags %}, 😀 and \u2028 too."),
    sample("Nothing?", REFUSAL["en"], shape="unanswerable"),
    *(sample(f"What of {shape}?", f"An answer of the shape {shape}.", shape=shape) for shape in SHAPES),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One built from pages and an import, one of everything odd, with thinking."""
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "faq.csv").write_text("question,answer\nWhere do I find the settings?,In docduet.toml.\n")
    mixture = Mixture("all", dict.fromkeys(BUILT, 1 / len(BUILT)), repeat=9)
    writers = [RuleWriter(), ImportWriter([folder / "faq.csv"])]
    build(
        [*docs(), Page("tool.md", "Tool", ENGLISH)], writers, mixture, Estimate(), 4000, folder / "built", val_share=0.3
    )
    write_dataset(folder / "odd", Split(ODD, tuple(replace(one, family="other") for one in ODD)), [])
    return [folder / "built", folder / "odd"]


def read(trainer: str, dataset: Path, model: Path) -> dict[str, list[str]]:
    """File or dataset name -> the trained text of each sample."""
    argv = [str(PYTHON), str(REPO / "tests" / "train_loaders.py"), trainer, str(dataset), str(model)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=dataset)
    assert ended.returncode == 0, ended.stderr[-4000:]
    found: dict[str, list[str]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def conversations(dataset: Path, side: str) -> list[list[Message]]:
    text = (dataset / f"{side}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line)["messages"] for line in text.split("\n") if line]


def missing(messages: list[Message], trained: str) -> list[str]:
    """Answers that carry no loss. Thoughts of earlier turns are left out by Qwen3's template on purpose."""
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    said = [*(answer.split("</think>")[-1].strip() for answer in answers[:-1]), answers[-1]]
    return [answer for answer in said if answer.strip() not in trained]


def test_ms_swift_takes_every_sample(datasets: list[Path], model: Path) -> None:
    for dataset in datasets:
        found = read("swift", dataset, model)
        for side in ("train", "val"):
            wanted = conversations(dataset, side)
            got = found[f"{side}.jsonl"]
            assert len(got) == len(wanted) > 0
            assert [left for one, text in zip(wanted, got, strict=True) if (left := missing(one, text))] == []


def test_llama_factory_takes_every_sample(datasets: list[Path], model: Path) -> None:
    for dataset in datasets:
        found = read("llamafactory", dataset, model)
        assert len(found) == 6
        for name, got in found.items():
            wanted = conversations(dataset, "val" if "val" in name else "train")
            assert len(got) == len(wanted) > 0, name
            last = Counter(messages[-1]["content"].strip() for messages in wanted)
            assert not [answer for answer in last if not any(answer in text for text in got)], name


def test_llama_factory_takes_a_dataset_without_validation(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "ds", Split(ODD, ()), [])
    found = read("llamafactory", tmp_path / "ds", model)
    assert {name: len(got) for name, got in found.items()} == dict.fromkeys(
        ("docduet_train", "docduet_train_alpaca", "docduet_train_sharegpt"), len(ODD)
    )


def test_the_built_dataset_holds_what_it_should(datasets: list[Path]) -> None:
    lines = (datasets[0] / "provenance.jsonl").read_text().splitlines()
    assert {json.loads(line)["shape"] for line in lines} >= {*BUILT, "imported"}
