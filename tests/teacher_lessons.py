"""Lessons for a scripted teacher: pages to ask about, a writer that asks it, and what comes of that."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.chat.client import Patience
from data.store import FileRecord, PageStore
from data.types import Page
from docduet import app
from sft.build import build
from sft.card import Facts
from sft.gates import standard_gates
from sft.mixture import Mixture
from sft.teacher.flows import Settings
from sft.teacher.writer import Asking, TeacherWriter
from sft.tokens import Estimate as EstimatedTokens
from tests.fake_teacher import FakeTeacher

QUICK = Patience(call_s=60, tries=3, backoff_s=0.01)
"""Tries again at once, and gives up on no call that a busy machine is slow to answer: it would be billed twice."""
ONLY_SINGLE = Mixture("m", {"single": 1.0})
PLACES = ["attic", "cellar", "garage", "kitchen", "hallway", "balcony", "garden", "library", "office", "workshop"]
THINGS = ["copper", "silver", "golden", "wooden", "plastic", "marble", "rubber", "velvet", "cotton", "granite"]
地点 = ["阁楼", "地窖", "车库", "厨房", "走廊", "阳台", "花园", "书房", "办公室", "工坊"]
EVERY = Mixture(
    "every",
    {
        "single": 0.1,
        "broad": 0.1,
        "how-to": 0.1,
        "troubleshooting": 0.05,
        "multi-turn": 0.1,
        "comparison": 0.05,
        "unanswerable": 0.02,
        "raft": 0.4,
        "whole-page": 0.04,
        "replay": 0.04,
    },
    repeat=20,
)
REFUSALS = ("I could not find this in the documentation.", "文档中没有找到相关内容。")


def docs(count: int, lang: str = "en", facts: int = 6) -> list[Page]:
    """Pages of sentences that have hardly a word in common."""
    return [_page(number, lang, facts) for number in range(count)]


def _page(number: int, lang: str, facts: int) -> Page:
    rng = random.Random(number)
    lines = []
    for at in range(facts):
        thing, place, size = THINGS[(number + at) % 10], PLACES[(number * 3 + at) % 10], rng.randrange(100, 10_000)
        name = "".join(rng.choice("bcdfglmnprstvz") + rng.choice("aeiou") for _ in range(4))
        english = f"The {thing} {name} device in the {place} accepts {size} cards before {name} stops with an error."
        chinese = f"{地点[(number + at) % 10]}里的{name}设备最多接收{size}张卡片，然后停止{name}模式并报告错误。"
        if at == 0:
            english, chinese = f"How to install it: {english}", f"安装：{chinese}"
        lines.append(english if lang == "en" else chinese)
    body = "\n\n".join(f"## Part {at}\n\n{line}" for at, line in enumerate(lines))
    return Page(f"{lang}/{number}.md", f"Guide {number}" if lang == "en" else f"指南{number}", body, lang)


def teach(
    teacher: FakeTeacher,
    tmp_path: Path,
    mixture: Mixture = ONLY_SINGLE,
    limit: int = 0,
    patience: Patience = QUICK,
    **settings: Any,
) -> TeacherWriter:
    asking = Asking(teacher.url, tmp_path / "cache.sqlite", concurrency=8, patience=patience, limit=limit)
    return TeacherWriter(asking, Settings("wise", **settings), mixture, standard_gates(EstimatedTokens(), 4096))


def made(writer: TeacherWriter, pages: Sequence[Page], mixture: Mixture = ONLY_SINGLE, limit: int = 0) -> Facts:
    return build(pages, [writer], mixture, EstimatedTokens(), 4096, None, limit=limit)


def command(home: Path, *words: str) -> list[str]:
    """Arguments of `docduet sft build` over a page store in ``home``."""
    return ["sft", "build", "--out", str(home / "ds"), "--mixture", str(home / "m.yaml"), *words]


def prepared(home: Path, pages: Sequence[Page]) -> Path:
    """A DOCDUET_HOME with these pages, and a mixture of single questions beside them."""
    home.mkdir(parents=True, exist_ok=True)
    store = PageStore(home / "pages.sqlite")
    for page in pages:
        store.put(page, FileRecord(page.url, page.url, 1, 1, "h", "r", 1))
    store.close()
    (home / "m.yaml").write_text("shares: {single: 1.0}")
    return home


def run(home: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setenv("DOCDUET_HOME", str(home))
    return CliRunner().invoke(app, command(home, *words))
