"""The whole road as a script: every command parses, and a second start goes on where the first one broke off."""

from __future__ import annotations

import os
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from docduet import app
from serving.config import ServingConfig

SCRIPT = Path(__file__).parents[1] / "recipes" / "qwen3-8b.sh"

DOCDUET = """#!/usr/bin/env bash
# Stands in for the docduet command: notes how it was called, and leaves what the real one would leave.
echo "$*" >>"$CALLS"
[[ "$*" != "$FAIL_AT"* || -z "$FAIL_AT" ]] || exit 1
for ((n = 1; n <= $#; n++)); do [[ ${!n} != --out ]] || { next=$((n + 1)); out=${!next}; }; done
case "$1 $2" in
  "sft build") mkdir -p "$out"; touch "$out/train.jsonl" ;;
  "sft train") mkdir -p "$out"; touch "$out/run.json"; [[ -z "$TRAIN_FAILS" ]] || exit 1 ;;
esac
"""


def script(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    own = {"WORK": str(folder / "work"), "CALLS": str(folder / "calls"), "FAIL_AT": "", "TRAIN_FAILS": ""}
    own |= {"DOCDUET_TRAIN_PYTHON": "", "DOCDUET_HOME": str(folder / "home")}
    return subprocess.run(
        ["bash", str(SCRIPT)], env={**os.environ, **own, **env}, cwd=folder, capture_output=True, text=True
    )


def called(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "calls").read_text().splitlines()]


@pytest.fixture
def docduet(tmp_path: Path) -> str:
    path = tmp_path / "docduet"
    path.write_text(DOCDUET)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("recipe", ["qwen3-8b-1gpu", "qwen3-8b-lora"])
def test_every_command_parses(tmp_path: Path, recipe: str) -> None:
    done = script(tmp_path, DRY="1", RECIPE=recipe, SOURCE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = [line.partition("docduet ")[2] for line in done.stdout.splitlines() if "docduet " in line]
    root = typer.main.get_command(app)
    for words in map(shlex.split, lines):
        command, rest = root, words[2:] if words[0] == "--config" else words
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context("docduet", list(rest))
    parsed = [" ".join(shlex.split(line)[: 1 + line.startswith("sft")]) for line in lines[:-1]] + [
        lines[-1].split()[-1]
    ]
    order = ["sync", "sft fetch", "sft build", "sft doctor", "sft plan", "sft train", "sft plot", "sft export"]
    assert parsed == [*order, "sft compare", "serve"]
    assert ("--merge" in done.stdout) == (recipe == "qwen3-8b-lora")
    assert not (tmp_path / "work").exists()


def test_a_second_start_does_not_do_again_what_is_done(tmp_path: Path, docduet: str) -> None:
    first = script(tmp_path, DOCDUET=docduet, TRAIN_FAILS="1")
    assert first.returncode == 1
    assert called(tmp_path)[-1][:2] == ["sft", "train"]
    assert "--resume" not in called(tmp_path)[-1]
    (tmp_path / "calls").unlink()
    second = script(tmp_path, DOCDUET=docduet)
    assert second.returncode == 0, second.stderr
    calls = called(tmp_path)
    assert ["sft", "build"] not in [call[:2] for call in calls]
    assert "--resume" in next(call for call in calls if call[:2] == ["sft", "train"])
    assert calls[-1][:2] == ["sft", "export"]
    assert "write some questions" in second.stderr


def test_a_model_that_is_there_a_python_and_settings_are_passed_on(tmp_path: Path, docduet: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    done = script(
        tmp_path, DOCDUET=docduet, MODEL="model", DOCDUET_TRAIN_PYTHON="/env/bin/python",
        SETTINGS="lr=2e-5 max_length=9", SERVE="1", ENGINE_ARGS="--enforce-eager --seed 1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = {" ".join(call[:2]): call for call in called(tmp_path)}
    assert "sft fetch" not in calls
    for name in ("sft plan", "sft train"):
        assert "--set lr=2e-5 --set max_length=9" in " ".join(calls[name])
        assert "--model model " in " ".join(calls[name])
    for name in ("sft doctor", "sft train"):
        assert "--python /env/bin/python" in " ".join(calls[name])
    assert called(tmp_path)[-1][2:] == ["serve"]
    config = tomllib.loads((tmp_path / "work" / "docduet.toml").read_text())
    serving = ServingConfig(**config["serving"])
    assert [(one.name, one.model) for one in serving.engines] == [("base", str(tmp_path / "model"))]
    assert serving.engines[0].args == serving.sft_args  # of the published model, which the gateway starts itself
    assert serving.sft_args[-3:] == ("--enforce-eager", "--seed", "1")


def test_it_stops_at_the_first_failure(tmp_path: Path, docduet: str) -> None:
    done = script(tmp_path, DOCDUET=docduet, FAIL_AT="sft doctor")
    assert done.returncode == 1
    assert called(tmp_path)[-1][:2] == ["sft", "doctor"]


def test_an_engine_that_dies_is_said(tmp_path: Path, docduet: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "questions.jsonl").write_text('{"question": "q"}\n')
    done = script(tmp_path, DOCDUET=docduet, VLLM="false", PORT="9")
    assert done.returncode == 1
    assert "an engine ended" in done.stderr
