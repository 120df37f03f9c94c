"""A teacher without any knowledge: a real vLLM engine that holds a tiny Qwen3 with random weights."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from data.chat.client import Patience
from serving.config import EngineConfig
from serving.engines import vllm
from sft.gates import standard_gates
from sft.mixture import Mixture
from sft.teacher.flows import Settings
from sft.teacher.writer import Asking, TeacherWriter
from sft.tokens import Estimate
from sft.types import Sample
from tests import tiny_qwen3
from tests.teacher_lessons import docs

CONTEXT = 8192  # its tokenizer makes nearly every character a token


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    vllm.installed()
    folder = tmp_path_factory.mktemp("engine")
    model = tiny_qwen3.make(folder / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": CONTEXT}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    args = ("--enforce-eager", "--max-model-len", str(CONTEXT))
    launch = vllm.launch(EngineConfig(name="tiny", model=str(model), args=args), port)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            launch.argv, env={**os.environ, **launch.env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
            print((folder / "log").read_text()[-4000:])  # shown where the test fails


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        assert process.poll() is None, "the engine died"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail("the engine did not get ready")


@pytest.mark.real
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_the_gates_turn_down_nearly_all_gibberish(url: str, tmp_path: Path) -> None:
    mixture = Mixture("m", {"single": 0.35, "raft": 0.05, "replay": 0.4, "whole-page": 0.15, "comparison": 0.05})
    asking = Asking(url, tmp_path / "cache.sqlite", 8, patience=Patience(call_s=200), limit=40)
    writer = TeacherWriter(asking, Settings(""), mixture, standard_gates(Estimate(), 4096))
    outcomes = list(writer.drafts(docs(20)))
    gates = Counter(one.gate for one in outcomes if not isinstance(one, Sample))
    print(dict(gates), writer.usage.as_dict())
    assert len(outcomes) >= 20
    assert sum(gates.values()) > 0.9 * len(outcomes)
    assert "teacher" not in gates  # every call was answered: it is what was said that is turned down
    assert writer.settings.model == "tiny"
