"""The whole road for real, on a CPU: from a folder of docs to a tuned model that is compared and served, by the script.

Needs vLLM's CPU build here, and ms-swift in the environment that DOCDUET_TRAIN_PYTHON names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.checkpoints import read_manifest
from serving.engines import vllm
from serving.engines.watched import free_port
from sft.training.records import read_run
from tests.tiny_qwen3 import save, tokenizer
from tests.training_runs import PYTHON, ROOT

HANDBOOK = ROOT / "data/handbook/en"
PAGES = ("quick-start.md", "engines.md", "configuration.md", "troubleshooting.md", "web-sites.md")

pytestmark = [
    pytest.mark.real,
    pytest.mark.engine,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(Path(sys.executable) == PYTHON, reason="no training environment: set DOCDUET_TRAIN_PYTHON"),
]


@pytest.fixture
def road(tmp_path: Path) -> dict[str, str]:
    """Docs, a tiny model that has their words, and questions; the environment of the script."""
    vllm.installed()
    docs, work = tmp_path / "docs", tmp_path / "work"
    docs.mkdir()
    work.mkdir()
    for name in PAGES:
        (docs / name).write_text((HANDBOOK / name).read_text())
    words = tokenizer([page.read_text() for page in docs.iterdir()], 2048)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "head_dim": 32, "vocab_size": 2048, "max_position_embeddings": 4096}
    model = save(tmp_path / "model", words, tie_word_embeddings=True, **sizes)
    asked = [("How is DocDuet installed?", True), ("What does a bicycle cost?", False)]
    lines = [json.dumps({"question": question, "inside": inside}) for question, inside in asked]
    (work / "questions.jsonl").write_text("\n".join(lines))
    (tmp_path / "docduet").write_text(f'#!/bin/sh\nexec {sys.executable} -m docduet "$@"\n')
    (tmp_path / "docduet").chmod(0o755)
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SOURCE": str(docs),
        "MODEL": str(model),
        "WORK": str(work),
        "DOCDUET_HOME": str(work / "home"),
        "RECIPE": "tiny-cpu",
        "SETTINGS": "num_train_epochs=1 learning_rate=1e-3",
        "MAX_LENGTH": "1024",
        "CONTEXT": "4096",
        "ENGINE_ARGS": "--enforce-eager",
        "DOCDUET": str(tmp_path / "docduet"),
        "VLLM": str(Path(sys.executable).with_name("vllm")),
        "DOCDUET_TRAIN_PYTHON": str(PYTHON),
        "DOCDUET__SERVING__PORT": str(free_port()),
        "PORT": str(free_port()),
        "SERVE": "1",
        "NO_COLOR": "1",
    }


def until_served(script: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 900) -> None:
    """Until the gateway, its base engine and the published checkpoint are ready."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert script.poll() is None, log.read_text()[-4000:]
        try:
            told = httpx.get(f"{url}/readyz", trust_env=False).json()
            if told["parts"]["engines"]["base"]["state"] == told["parts"]["checkpoint"]["state"] == "ready":
                return
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        time.sleep(1)
    pytest.fail(log.read_text()[-4000:])


def test_from_a_folder_of_docs_to_a_tuned_model_that_is_served(road: dict[str, str], tmp_path: Path) -> None:
    work, log = Path(road["WORK"]), tmp_path / "log"
    url = f"http://127.0.0.1:{road['DOCDUET__SERVING__PORT']}"
    with log.open("wb") as sink:
        script = subprocess.Popen(
            ["bash", str(ROOT / "recipes/qwen3-8b.sh")],
            env=road, cwd=tmp_path, stdout=sink, stderr=sink, start_new_session=True,
        )  # fmt: skip
        try:
            until_served(script, url, log)
            answered = [ask(url, "rag"), ask(url, "sft")]
            script.send_signal(signal.SIGTERM)
            assert script.wait(60) in (0, -signal.SIGTERM), log.read_text()[-3000:]
        finally:
            if script.poll() is None:
                os.killpg(script.pid, signal.SIGKILL)
                script.wait()
    steps = read_run(work / "run").steps
    assert steps[-1].step == steps[-1].total > 10
    assert steps[-1].loss < steps[0].loss
    manifest = read_manifest(work / "served")
    assert (manifest.recipe, manifest.step) == ("tiny-cpu", steps[-1].step)
    assert manifest.pages
    report = (work / "before-after.md").read_text()
    assert "How is DocDuet installed?" in report
    assert "**before** (" in report
    assert "**after** (" in report
    assert (work / "run" / "plots" / "curves.html").is_file()
    assert [one["choices"][0]["docduet"]["arm"] for one in answered] == ["rag", "sft"]
    assert all(one["usage"]["completion_tokens"] > 0 for one in answered)


def ask(url: str, model: str) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "How is DocDuet installed?"}], "max_tokens": 40}
    return httpx.post(f"{url}/v1/chat/completions", json=body, trust_env=False, timeout=120).raise_for_status().json()
