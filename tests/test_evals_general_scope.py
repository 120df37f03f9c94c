"""EvalScope: what it is told and how its reviews are read; for real against a gateway (`make test-real`).

The real test needs a Python with EvalScope: the one named by DOCDUET_TRAIN_PYTHON, or .venv-train/bin/python.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.errors import ConfigError, EvalScopeError
from data.prompts import Message
from docduet import app
from evals.general.asking import NEUTRAL, OWN
from evals.general.scope import datasets, installed, read_reviews, task_config
from serving.engines.delta import EngineDelta
from tests.client_gateway import index_handbook, scripted_gateway
from tests.fakes import ScriptedEngine

PYTHON = os.environ.get("DOCDUET_TRAIN_PYTHON") or str(Path(__file__).parents[1] / ".venv-train" / "bin" / "python")
SUMS = [(3, 4), (2, 5), (10, 20), (6, 6), (9, 1), (8, 7)]


def gsm8k(folder: Path) -> Path:
    """A dataset in gsm8k's format, as its folder comes from the hub."""
    rows = [
        {"question": f"Ann has {a} pens and buys {b}. How many pens has she?", "answer": f"{a}+{b}\n#### {a + b}"}
        for a, b in SUMS
    ]
    (folder / "gsm8k" / "main").mkdir(parents=True)
    for split in ("train", "test"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "gsm8k" / "main" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (folder / "gsm8k" / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: main/train.jsonl\n"
        "  - split: test\n    path: main/test.jsonl\n---\n",
        encoding="utf-8",
    )
    return folder


class Adder(ScriptedEngine):
    """Adds the two numbers of the last question; one with ``slips`` gets sums above 12 wrong."""

    def __init__(self, name: str, slips: bool = False) -> None:
        super().__init__(name=name)
        self.slips = slips

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        self.asked.append(messages)
        a, b = re.findall(r"Ann has (\d+) pens and buys (\d+)", messages[-1]["content"])[-1]
        total = int(a) + int(b)
        said = f"Step by step: \\boxed{{{total + (self.slips and total > 12)}}}"
        yield EngineDelta(text=said, reasoning="", finish_reason="stop", usage=None)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_evalscope_asks_a_gateway_and_its_report_agrees(tmp_path: Path) -> None:
    assert installed(PYTHON)
    base, sft = Adder("base"), Adder("sft", slips=True)
    options = ["--suite", "evalscope", "--tasks", "gsm8k", "--data-dir", str(gsm8k(tmp_path)), "--evalscope", PYTHON]
    with scripted_gateway(index_handbook(tmp_path / "home"), base, sft, verify=()) as url:
        done = CliRunner().invoke(
            app,
            ["eval", "general", "--gateway", url, *options, "--json"],
            env={"DOCDUET_HOME": str(tmp_path / "home")},
            catch_exceptions=False,
        )
    told = json.loads(done.stdout)
    assert told["arms"]["base"]["gsm8k"] == {"score": 1.0, "of": 6, "right": 6}
    assert told["arms"]["sft"]["gsm8k"] == {"score": pytest.approx(4 / 6), "of": 6, "right": 4}
    assert (told["differences"][0]["gained"], told["differences"][0]["lost"]) == (0, 2)
    assert {messages[0]["content"] for messages in (*base.asked, *sft.asked)} == {NEUTRAL["en"]}
    work = Path(told["run"]).parent / "evalscope" / Path(told["run"]).stem
    scores = {
        report["model_name"]: report["metrics"][0]["score"]
        for report in (json.loads(path.read_text()) for path in work.glob("*/reports/*/gsm8k.json"))
    }
    assert scores == {"base": 1.0, "sft": pytest.approx(4 / 6, abs=1e-3)}


def test_what_evalscope_is_told(tmp_path: Path) -> None:
    found = {"gsm8k": tmp_path / "gsm8k", "ceval": tmp_path / "ceval"}
    told = task_config("sft", "http://127.0.0.1:7860/", found, tmp_path / "work", "", 7, 50, 4)
    assert (told["model"], told["api_url"], told["limit"]) == ("sft", "http://127.0.0.1:7860/v1", 50)
    assert told["dataset_args"]["ceval"] == {"dataset_id": str(found["ceval"]), "system_prompt": NEUTRAL["zh"]}
    assert told["generation_config"]["extra_body"] == {"docduet": {"store": False}}
    assert told["generation_config"]["temperature"] == 0
    assert told["use_cache"] is None
    (tmp_path / "work").mkdir()
    again = task_config("sft", "http://127.0.0.1:7860/", found, tmp_path / "work", OWN, 7, 0, 4)
    assert again["use_cache"] == str(tmp_path / "work")
    assert again["limit"] is None
    assert again["dataset_args"]["ceval"] == {"dataset_id": str(found["ceval"])}


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--data-dir"):
        datasets([], None)
    with pytest.raises(ConfigError, match="can name gsm8k"):
        datasets(["mmlu"], tmp_path)
    with pytest.raises(ConfigError, match="modelscope download --dataset AI-ModelScope/gsm8k"):
        datasets(["gsm8k"], tmp_path)
    with pytest.raises(ConfigError, match="environment of its own"):
        installed(sys.executable)
    with pytest.raises(ConfigError, match="No such file"):
        installed(str(tmp_path / "python"))
    assert datasets(["gsm8k"], gsm8k(tmp_path)) == {"gsm8k": tmp_path / "gsm8k"}


def review(number: int, score: float, metric: str = "accuracy") -> str:
    score_of = {"value": {metric: score, "other": 1 - score}, "prediction": "So 7", "main_score_name": metric}
    return json.dumps({"index": number, "sample_score": {"score": score_of, "sample_id": number}}) + "\n"


def test_reviews_are_read_sample_by_sample(tmp_path: Path) -> None:
    folder = tmp_path / "reviews" / "sft"
    folder.mkdir(parents=True)
    (folder / "ceval_law.jsonl").write_text(review(0, 1.0) + review(1, 0.0))
    (folder / "ceval_logic.jsonl").write_text(review(0, 1.0))
    (folder / "ifeval_default.jsonl").write_text(review(0, 0.5, "prompt_level_strict"))
    found = read_reviews(tmp_path, "sft", ["ceval", "ifeval"])
    assert [(each.task, each.id, each.right) for each in found] == [
        ("ceval", "law-0", True),
        ("ceval", "law-1", False),
        ("ceval", "logic-0", True),
        ("ifeval", "default-0", False),
    ]
    with pytest.raises(EvalScopeError, match="no reviews of gsm8k"):
        read_reviews(tmp_path, "sft", ["gsm8k"])
    (folder / "ceval_law.jsonl").write_text('{"index": 0}\n')
    with pytest.raises(EvalScopeError, match="install that version"):
        read_reviews(tmp_path, "sft", ["ceval"])
