"""One engine for base and adapter: checkpoints are loaded into it and out of it while it answers. Real processes."""

from __future__ import annotations

import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from data.checkpoints import Manifest, publish, write_manifest
from data.home import Home
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines import vllm
from serving.engines.checkpoint import CheckpointEngine
from serving.engines.supervisor import Supervisor
from serving.engines.vllm import Launch
from serving.engines.watched import Policy
from serving.server import in_background

FAST = Policy(
    poll_s=0.05, check_s=0.1, backoff_s=0.05, backoff_cap_s=0.1, quick_deaths=9, answer_s=2, polite_s=0.5, linger_s=0.2
)

# A server with a base model and adapters, as vLLM's: it answers with the name of the adapter's folder.
CHILD = textwrap.dedent(
    """
    import http.server, json, os, sys, time
    folder, port, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    loras = {}
    open(log, "a").write(f"pid {os.getpid()}\\n")
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args): pass
        def do_GET(self):
            self.reply(200, {"data": [{"id": name, "max_model_len": 4096} for name in ("base", *loras)]})
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("lora_adapter"):
                open(log, "a").write(f"{self.path.split('/')[-1]} {body['lora_name']}\\n")
                if self.path.startswith("/v1/unload"):
                    return self.reply(200 if loras.pop(body["lora_name"], None) else 404, {})
                if os.path.exists(os.path.join(body["lora_path"], "broken")):
                    return self.reply(500, {"error": {"message": "rank 128 is larger than max_lora_rank 64"}})
                loras[body["lora_name"]] = os.path.basename(body["lora_path"])
                return self.reply(200, {})
            if body["model"] not in ("base", *loras):
                return self.reply(404, {"error": {"message": "no such model"}})
            said = loras.get(body["model"], "base")
            self.send_response(200); self.end_headers()
            for at in range(8):
                self.piece({"choices": [{"delta": {"content": said if at == 0 else "."}, "finish_reason": None}]})
                time.sleep(0.03)
            self.piece({"choices": [{"delta": {}, "finish_reason": "stop"}]})
            self.wfile.write(b"data: [DONE]\\n\\n")
        def piece(self, value):
            self.wfile.write(b"data: " + json.dumps(value).encode() + b"\\n\\n"); self.wfile.flush()
        def reply(self, status, body):
            body = json.dumps(body).encode()
            self.send_response(status); self.send_header("Content-Length", str(len(body))); self.end_headers()
            self.wfile.write(body)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    """
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def url(tmp_path: Path, home: Home) -> Iterator[str]:
    script = tmp_path / "engine.py"
    script.write_text(CHILD)

    def launch(config: EngineConfig, port: int) -> Launch:
        return Launch((sys.executable, str(script), config.model, str(port), str(tmp_path / "log")), {})

    config = ServingConfig(engines=(EngineConfig(name="base", model="models/base", lora=True),))
    supervisor = Supervisor(config.engines, home.logs, launch, FAST)
    checkpoint = CheckpointEngine(home, supervisor, config, poll_s=0.05)
    app = create_app(config, supervisor, LiveIndex(home, RagConfig()), checkpoint=checkpoint)
    with in_background(app) as url:
        yield url


def adapter(tmp_path: Path, name: str, base: str = "models/base") -> Path:
    folder = tmp_path / "checkpoints" / name
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    write_manifest(folder, Manifest(kind="adapter", base_model=base, lora_rank=16, system_prompt={"en": "trained"}))
    return folder


def ask(url: str, model: str = "sft") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Which port?"}], "max_tokens": 8}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20)


def answer(url: str) -> str:
    response = ask(url)
    return str(response.json()["choices"][0]["message"]["content"]) if response.status_code == 200 else ""


def log(tmp_path: Path) -> list[str]:
    path = tmp_path / "log"
    return path.read_text().splitlines() if path.exists() else []


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_an_adapter_joins_the_base_engine_and_the_next_takes_over(url: str, home: Home, tmp_path: Path) -> None:
    publish(home, adapter(tmp_path, "first"))
    until(lambda: answer(url) == "first.......")
    assert ask(url, "base").json()["choices"][0]["message"]["content"] == "base......."
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answers.append(ask(url))

    askers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for asker in askers:
        asker.start()
    until(lambda: answers)
    publish(home, adapter(tmp_path, "second"))
    until(lambda: "unload_lora_adapter sft-1" in log(tmp_path))
    stop.set()
    for asker in askers:
        asker.join()
    assert {response.status_code for response in answers} == {200}
    said = {response.json()["choices"][0]["message"]["content"] for response in answers}
    assert said == {"first.......", "second......."}
    assert [line for line in log(tmp_path) if "lora" in line] == [
        "load_lora_adapter sft-1",
        "load_lora_adapter sft-2",
        "unload_lora_adapter sft-1",
    ]
    assert len([line for line in log(tmp_path) if line.startswith("pid")]) == 1  # one engine all the time


def test_one_that_cannot_be_loaded_leaves_the_old_one(url: str, home: Home, tmp_path: Path) -> None:
    publish(home, adapter(tmp_path, "first"))
    until(lambda: answer(url) == "first.......")
    wrong = adapter(tmp_path, "wrong")
    (wrong / "broken").touch()
    publish(home, wrong)

    def problem() -> str:
        return str(httpx.get(f"{url}/readyz").json()["parts"]["checkpoint"].get("problem", ""))

    until(problem)
    assert "larger than max_lora_rank" in problem()
    assert answer(url) == "first......."


def test_an_engine_that_was_started_anew_gets_its_adapter_back(url: str, home: Home, tmp_path: Path) -> None:
    import os
    import signal

    publish(home, adapter(tmp_path, "first"))
    until(lambda: answer(url) == "first.......")
    os.kill(int(log(tmp_path)[0].split()[1]), signal.SIGKILL)
    until(lambda: log(tmp_path).count("load_lora_adapter sft-1") == 2)
    until(lambda: answer(url) == "first.......")


def test_an_adapter_over_another_model_gets_an_engine_of_its_own(url: str, home: Home, tmp_path: Path) -> None:
    publish(home, adapter(tmp_path, "other", base="models/other"))
    until(lambda: len([line for line in log(tmp_path) if line.startswith("pid")]) == 2)
    assert not [line for line in log(tmp_path) if "lora" in line]


def test_the_command_of_an_engine_that_takes_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "installed", lambda: "0.33.0")
    started = vllm.launch(EngineConfig(model="m", lora=True, lora_rank=20), 1)
    assert "--enable-lora" in started.argv
    assert started.argv[started.argv.index("--max-lora-rank") + 1] == "32"
    assert started.env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    plain = vllm.launch(EngineConfig(model="m"), 1)
    assert "--enable-lora" not in plain.argv
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in plain.env
    with pytest.raises(ValueError, match="give it a model"):
        EngineConfig(base_url="http://x/v1", lora=True)
