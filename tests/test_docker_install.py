"""The install steps of the images, run as they stand in a clean environment.

That is: what a build context holds, a home of its own and a PATH without this repository. The engine's and the
trainer's are only resolved: they need CUDA.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from serving.engines.watched import free_port

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]
PASSED_ON = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE", "HTTPS_PROXY")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What .dockerignore lets through."""
    folder = tmp_path / "context"
    folder.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, ignored = ROOT / line[1:], shutil.ignore_patterns("__pycache__", "*.pyc")
            if source.is_dir():
                shutil.copytree(source, folder / line[1:], ignore=ignored)
            else:
                shutil.copy(source, folder)
    return folder


@pytest.fixture
def clean(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed | {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "PYTHONSAFEPATH": "1"}


def install(what: str, context: Path, folder: Path, env: dict[str, str], *more: str) -> None:
    script = context / f"docker/install-{what}.sh"
    done = subprocess.run(
        [script, "python3", folder, *more], env=env, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_the_gateway_installs_and_answers(context: Path, clean: dict[str, str], tmp_path: Path) -> None:
    venv, port = tmp_path / "venv", free_port()
    install("gateway", context, venv, clean)
    shutil.rmtree(context)  # the image's second stage has no sources
    env = clean | {"PATH": f"{venv}/bin:/usr/bin:/bin", "DOCDUET_HOME": str(tmp_path / "data")}
    command = ["docduet", "serve", "--demo", "--port", str(port)]
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen([f"{venv}/bin/docduet", *command[1:]], env=env, cwd="/", stdout=log, stderr=log)
        try:
            answer = ask(f"http://127.0.0.1:{port}", process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert "7860" in answer


def ask(url: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/readyz", timeout=5).raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(1)
    messages = [{"role": "user", "content": "Which port does DocDuet listen on?"}]
    answer = httpx.post(f"{url}/v1/chat/completions", json={"model": "rag", "messages": messages}, timeout=60)
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("what", ["engine", "trainer"])
def test_the_gpu_images_resolve(what: str, context: Path, clean: dict[str, str], tmp_path: Path) -> None:
    install(what, context, tmp_path / "venv", clean, "--dry-run")
