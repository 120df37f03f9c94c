"""The sft voice changes its checkpoint while it answers: real processes in place of vLLM, through the real gateway."""

from __future__ import annotations

import json
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.checkpoints import Manifest, publish, write_manifest
from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.checkpoint import CheckpointEngine, engine_config
from serving.engines.supervisor import Supervisor
from serving.engines.vllm import Launch
from serving.engines.watched import Policy
from serving.server import in_background

FAST = Policy(
    poll_s=0.05, check_s=0.2, backoff_s=0.05, backoff_cap_s=0.1, quick_deaths=2, answer_s=1, polite_s=0.5, linger_s=0.3
)

PAGES = [
    Page(url="ports.md", title="Ports", lang="en", body="# Ports\n\nThe gateway listens on port 7860 by default.\n"),
    Page(url="logs.md", title="Logs", lang="en", body="# Logs\n\nEvery engine writes a log file of its own.\n"),
]

# An engine that answers with the name of its model's folder and the system prompt it was given, in ten pieces.
CHILD = textwrap.dedent(
    """
    import http.server, json, os, sys, time
    folder, port = sys.argv[1], int(sys.argv[2])
    open(os.path.join(os.path.dirname(folder), "pids"), "a").write(f"{os.getpid()}\\n")
    if os.path.exists(os.path.join(folder, "dies")): sys.exit("weights of the wrong shape")
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args): pass
        def do_GET(self):
            self.reply(b'{"data": [{"id": "%s"}]}' % sys.argv[3].encode())
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = f"{os.path.basename(folder)}: {body['messages'][0]['content']}"
            self.send_response(200); self.end_headers()
            for at in range(10):
                piece = said if at == 0 else "."
                self.piece({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
                time.sleep(0.03)
            self.piece({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self.wfile.write(b"data: [DONE]\\n\\n")
        def piece(self, value):
            self.wfile.write(b"data: " + json.dumps(value).encode() + b"\\n\\n"); self.wfile.flush()
        def reply(self, body):
            self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
            self.wfile.write(body)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    """
)


def launcher(script: Path) -> Callable[[EngineConfig, int], Launch]:
    def launch(config: EngineConfig, port: int) -> Launch:
        return Launch((sys.executable, str(script), config.model, str(port), config.served_model or config.name), {})

    return launch


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def url(tmp_path: Path, home: Home) -> Iterator[str]:
    script = tmp_path / "engine.py"
    script.write_text(CHILD)
    config = ServingConfig()
    supervisor = Supervisor((), home.logs, launcher(script), FAST)
    checkpoint = CheckpointEngine(home, supervisor, config, poll_s=0.05)
    live = LiveIndex(home, RagConfig())
    with in_background(create_app(config, supervisor, live, checkpoint=checkpoint)) as url:
        yield url


def checkpoint(tmp_path: Path, name: str, system: str = "as trained") -> Path:
    folder = tmp_path / "checkpoints" / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    said = {"en": system}
    write_manifest(
        folder, Manifest(kind="full", base_model="base", system_prompt=said, files={"model.safetensors": 7}, step=3)
    )
    return folder


def point_at(home: Home, folder: Path) -> None:
    """What `publish` would refuse: files can be lost after it."""
    home.current_sft.write_text(json.dumps({"path": str(folder), "published": str(time.time())}))


def ask(url: str) -> httpx.Response:
    question = {"role": "user", "content": "Which port does it listen on?"}
    body = {"model": "sft", "messages": [question], "max_tokens": 8}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20)


def answer(url: str) -> str:
    response = ask(url)
    return str(response.json()["choices"][0]["message"]["content"]) if response.status_code == 200 else ""


def state(url: str) -> dict[str, Any]:
    part: dict[str, Any] = httpx.get(f"{url}/readyz").json()["parts"]["checkpoint"]
    return part


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def names(url: str) -> list[str]:
    return [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]]


def test_without_a_checkpoint_there_is_no_such_voice(url: str) -> None:
    assert names(url) == ["auto", "rag"]
    assert ask(url).status_code == 404
    assert state(url) == {"state": "none"}


def test_a_published_checkpoint_answers_with_the_prompt_it_was_trained_with(
    url: str, home: Home, tmp_path: Path
) -> None:
    publish(home, checkpoint(tmp_path, "first", "the words of its training"))
    until(lambda: answer(url))
    assert answer(url).startswith("first: the words of its training")
    assert names(url) == ["auto", "rag", "sft", "sft-rag", "compare"]
    assert state(url) == {"state": "ready", "step": 3, "base_model": "base"}


def test_the_fine_tuned_model_reads_too(url: str, home: Home, tmp_path: Path) -> None:
    build_index(PAGES, home, RagConfig())
    publish(home, checkpoint(tmp_path, "first"))
    until(lambda: answer(url))
    body = {"model": "sft-rag", "messages": [{"role": "user", "content": "Which port does the gateway listen on?"}]}
    choice = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20).json()["choices"][0]
    assert choice["docduet"]["arm"] == "sft-rag"
    assert choice["docduet"]["degraded"] is None
    assert choice["message"]["content"].startswith("first: ")  # its prompt follows, which holds the passages
    assert "7860" in choice["message"]["content"]


def test_a_new_checkpoint_takes_over_without_a_failed_request(url: str, home: Home, tmp_path: Path) -> None:
    publish(home, checkpoint(tmp_path, "first"))
    until(lambda: answer(url))
    answers: list[tuple[int, str]] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            response = ask(url)
            answers.append((response.status_code, response.text))

    askers = [threading.Thread(target=keep_asking) for _ in range(4)]
    for asker in askers:
        asker.start()
    publish(home, checkpoint(tmp_path, "second"))
    until(lambda: answers and "second: " in answers[-1][1])
    old, new = (int(pid) for pid in (tmp_path / "checkpoints" / "pids").read_text().split())
    until(lambda: not alive(old))
    stop.set()
    for asker in askers:
        asker.join()
    assert {code for code, _ in answers} == {200}
    whole = [json.loads(text)["choices"][0]["message"]["content"] for _, text in answers]
    assert all(text.endswith(".........") for text in whole)
    assert any(text.startswith("first") for text in whole)
    assert alive(new)


def test_a_damaged_checkpoint_leaves_the_old_one_in_place(url: str, home: Home, tmp_path: Path) -> None:
    publish(home, checkpoint(tmp_path, "first"))
    until(lambda: answer(url))
    second = checkpoint(tmp_path, "second")
    (second / "model.safetensors").write_bytes(b"half")
    point_at(home, second)
    until(lambda: "not whole" in state(url).get("problem", ""))
    (second / "manifest.json").unlink()
    point_at(home, second)
    until(lambda: "holds no manifest.json" in state(url).get("problem", ""))
    home.current_sft.write_text("{torn")
    until(lambda: "damaged" in state(url).get("problem", ""))
    assert answer(url).startswith("first")


def test_an_engine_that_does_not_start_leaves_the_old_one_in_place(url: str, home: Home, tmp_path: Path) -> None:
    publish(home, checkpoint(tmp_path, "first"))
    until(lambda: answer(url))
    wrong = checkpoint(tmp_path, "wrong")
    (wrong / "dies").touch()
    publish(home, wrong)
    until(lambda: "did not start" in state(url).get("problem", ""))
    assert "weights of the wrong shape" in state(url)["problem"]
    assert answer(url).startswith("first")
    publish(home, checkpoint(tmp_path, "better"))
    until(lambda: answer(url).startswith("better"))
    assert "problem" not in state(url)


def test_while_the_first_one_starts_the_error_says_so(url: str, home: Home, tmp_path: Path) -> None:
    wrong = checkpoint(tmp_path, "wrong")
    (wrong / "dies").touch()
    publish(home, wrong)
    until(lambda: state(url).get("problem"))
    response = ask(url)
    assert response.status_code == 503
    assert "did not start" in response.json()["error"]["message"]


def test_an_adapter_is_served_over_its_base_model() -> None:
    manifest = Manifest(kind="adapter", base_model="models/base", lora_rank=20, system_prompt={})
    config = engine_config("sft-1", Path("runs/adapter"), manifest, ("--max-model-len", "2048"))
    args = dict(zip(config.args[1::2], config.args[2::2], strict=True))
    assert (config.model, config.served_model, config.args[0]) == ("models/base", "sft", "--enable-lora")
    assert args["--max-lora-rank"] == "32"
    assert json.loads(args["--lora-modules"])["path"] == "runs/adapter"
    assert args["--max-model-len"] == "2048"
