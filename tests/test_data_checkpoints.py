"""What passes from training to serving: the manifest, and the pointer to the checkpoint that serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.checkpoints import FORMAT, Manifest, current, publish, read_manifest, write_manifest
from data.errors import CheckpointError
from data.home import Home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"12345")
    files = {"model.safetensors": 5}
    write_manifest(folder, Manifest(kind="full", base_model="base", system_prompt={"en": "Answer."}, files=files))
    return folder


def test_a_manifest_comes_back_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.kind == "full"
    assert manifest.system_prompt == {"en": "Answer."}
    assert manifest.created.tzinfo is not None


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="docduet sft export RUN"):
        read_manifest(tmp_path)


def test_a_file_cut_short_or_missing_is_found(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"1234")
    with pytest.raises(CheckpointError, match="not whole"):
        read_manifest(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not whole"):
        read_manifest(folder)


def test_a_later_format_is_refused_and_a_new_field_is_not(folder: Path) -> None:
    path = folder / "manifest.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"new": 1}))
    assert read_manifest(folder).base_model == "base"
    path.write_text(json.dumps(said | {"format": FORMAT + 1}))
    with pytest.raises(CheckpointError, match="later version"):
        read_manifest(folder)
    path.write_text('{"kind": "other"}')
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_manifest(folder)


def test_the_pointer_is_replaced_and_read(folder: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert current(home) is None
    publish(home, folder)
    assert current(home) == folder
    assert [path.name for path in home.runs.iterdir()] == ["current-sft"]
    with pytest.raises(CheckpointError):
        publish(home, tmp_path)
    assert current(home) == folder  # what was served before still is


def test_a_damaged_pointer_says_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.runs.mkdir()
    home.current_sft.write_text("{")
    with pytest.raises(CheckpointError, match="--serve"):
        current(home)
