"""A model comes whole or not at all: against a small hub on loopback, by the real huggingface_hub."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.errors import ConfigError, DocDuetError, UnreachableSource
from docduet import app
from sft.training.fetch import fetch
from tests.hub_server import COMMIT, Hub, serve

REPO = "Qwen/Qwen3-Tiny"
CHUNK = 10 * 1024 * 1024
"""huggingface_hub writes so many bytes at once; what came of the next piece is lost with the line."""
WEIGHTS = random.Random(0).randbytes(CHUNK + 300_000)
FILES = {
    "config.json": b'{"model_type": "qwen3"}',
    "model.safetensors": WEIGHTS,
    "sub/tokenizer.json": b"{}",
    "pytorch_model.bin": b"the same weights again",
    "model.gguf": b"and again",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serve(REPO, dict(FILES)) as running:
        yield running


def test_a_model_comes_with_what_is_needed_of_it(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch(REPO, tmp_path / "m", endpoint=hub.url)
    here = {path.relative_to(tmp_path / "m").as_posix() for path in (tmp_path / "m").rglob("*") if path.is_file()}
    assert here == {"config.json", "model.safetensors", "sub/tokenizer.json", "fetched.json"}
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == WEIGHTS
    assert (fetched.commit, fetched.loaded) == (COMMIT, sum(file.size for file in fetched.files))
    assert json.loads((tmp_path / "m" / "fetched.json").read_text())["commit"] == COMMIT
    assert hub.tokens == []  # the saved token is for the official hub, not for a mirror
    assert fetch(REPO, tmp_path / "m", endpoint=hub.url).loaded == 0


def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = CHUNK + 100_000
    with pytest.raises(UnreachableSource, match="What came is kept: run the same command again"):
        fetch(REPO, tmp_path / "m", endpoint=hub.url)
    partial = tmp_path / "m" / "model.safetensors.partial"
    assert partial.stat().st_size == CHUNK
    assert not (tmp_path / "m" / "fetched.json").exists()
    hub.break_after, hub.broken = None, False
    hub.ranges.clear()
    fetched = fetch(REPO, tmp_path / "m", endpoint=hub.url)
    assert hub.ranges == [f"bytes={CHUNK}-"]
    assert fetched.loaded <= len(WEIGHTS) - CHUNK + len(FILES["config.json"]) + len(FILES["sub/tokenizer.json"])
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == WEIGHTS
    assert not partial.exists()


def test_damaged_bytes_are_found_by_their_hash_and_loaded_again(hub: Hub, tmp_path: Path) -> None:
    hub.files["model.safetensors"] = WEIGHTS[:-1] + b"!"
    with pytest.raises(ConfigError, match=r"model.safetensors from .* is damaged \(sha256"):
        fetch(REPO, tmp_path / "m", endpoint=hub.url)
    assert not (tmp_path / "m" / "model.safetensors").exists()
    hub.files["model.safetensors"] = WEIGHTS
    fetch(REPO, tmp_path / "m", endpoint=hub.url)
    (tmp_path / "m" / "config.json").write_text('{"model_type": "Qwen3"}')  # changed here, of the same size
    assert fetch(REPO, tmp_path / "m", endpoint=hub.url).loaded == len(FILES["config.json"])


def test_a_file_outside_of_the_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.listed.append({"rfilename": "../../evil", "size": 1, "blobId": "0" * 40})
    with pytest.raises(ConfigError, match="outside of the model's folder"):
        fetch(REPO, tmp_path / "m", endpoint=hub.url)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("repo", "revision", "said"),
    [
        ("Qwen/Other", "", "knows no model Qwen/Other"),
        (REPO, "v9", "has no revision 'v9'"),
        ("Qwen3-8B", "", "write OWNER/NAME"),
    ],
)
def test_a_wrong_name_is_said_clearly(repo: str, revision: str, said: str, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        fetch(repo, tmp_path / "m", endpoint=hub.url, revision=revision)


def test_offline_is_said_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableSource, match=r"could not be reached .*copy the model's folder here by hand"):
        fetch(REPO, tmp_path / "m", endpoint="http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnreachableSource, match="HF_HUB_OFFLINE is set"):
        fetch(REPO, tmp_path / "m")


def test_other_peoples_folders_are_left_alone(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        fetch(REPO, tmp_path, endpoint=hub.url)


def test_the_command_says_where_the_model_lies(hub: Hub, tmp_path: Path) -> None:
    env = {"DOCDUET_HOME": str(tmp_path)}
    done = CliRunner().invoke(app, ["sft", "fetch", REPO, "--endpoint", hub.url], env=env)
    assert done.exit_code == 0, done.output
    assert f"is whole in {tmp_path}/models/Qwen3-Tiny: 3 files" in done.stdout


def test_a_missing_client_is_named(tmp_path: Path) -> None:
    try:
        import modelscope  # noqa: F401
    except ImportError:
        with pytest.raises(DocDuetError, match="pip install modelscope"):
            fetch(REPO, tmp_path / "m", source="modelscope")
    else:
        pytest.skip("modelscope is installed")
