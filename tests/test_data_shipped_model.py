"""docduet-tiny as it is shipped: whole, small enough, and base and adapter fit each other.

What it answers is tests/test_serving_shipped_answers.py's.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.checkpoints import DEMO_FOLDER, bundled_adapter, bundled_base, read_manifest
from serving.engines.demo import demo_engine
from serving.engines.supervisor import Supervisor
from sft.training.manifest import file_hash, template_hash

EXPORT = Path(__file__).parents[1] / "recipes" / "docduet-tiny" / "07_export.py"
HANDBOOK = DEMO_FOLDER.parents[2] / "handbook"
LIMIT_BYTES = 50_000_000
BASE, ADAPTER = DEMO_FOLDER / "base", DEMO_FOLDER / "adapter"


@pytest.fixture(scope="module")
def export() -> Iterator[Any]:
    sys.path.insert(0, str(EXPORT.parent))
    spec = importlib.util.spec_from_file_location("export_of_the_shipped_model", EXPORT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    yield script
    sys.path.remove(str(EXPORT.parent))


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_base_and_adapter_are_there_and_as_they_were_made(export: Any) -> None:
    assert (bundled_base(), bundled_adapter()) == (BASE, ADAPTER)
    for folder in (BASE, ADAPTER):
        assert export.differences(folder / export.SUMS) == []
        summed = {line.split(maxsplit=1)[1] for line in (folder / export.SUMS).read_text().splitlines()}
        assert {path.relative_to(folder).as_posix() for path in files(folder)} == summed | {export.SUMS}


def test_both_together_are_under_50_mb() -> None:
    assert 0 < sum(path.stat().st_size for path in files(DEMO_FOLDER)) < LIMIT_BYTES


def test_the_adapter_was_made_for_this_base(export: Any, tmp_path: Path) -> None:
    manifest = read_manifest(ADAPTER)
    assert manifest.kind == "adapter"
    assert Path(manifest.base_model) == BASE
    assert manifest.tokenizer_sha256 == file_hash(BASE / "tokenizer.json")
    assert manifest.chat_template_sha256 == template_hash(BASE)
    assert export.digest(BASE / "model.safetensors") in (ADAPTER / "README.md").read_text(encoding="utf-8")
    engines = demo_engine().engines
    assert Supervisor(engines, tmp_path).lora_host(manifest.base_model) == "base"
    assert engines[0].lora_rank == manifest.lora_rank == json.loads((ADAPTER / "adapter_config.json").read_text())["r"]


def test_the_adapter_has_learned_every_page_of_the_handbook() -> None:
    pages = {path.relative_to(HANDBOOK).as_posix() for path in HANDBOOK.rglob("*.md")}
    assert set(read_manifest(ADAPTER).pages) == pages


def test_weights_are_in_bfloat16() -> None:
    import torch
    from safetensors.torch import load_file

    assert json.loads((BASE / "config.json").read_text())["dtype"] == "bfloat16"
    for path in (BASE / "model.safetensors", ADAPTER / "adapter_model.safetensors"):
        assert {tensor.dtype for tensor in load_file(path).values()} == {torch.bfloat16}


@pytest.mark.parametrize("folder", [BASE, ADAPTER], ids=["base", "adapter"])
def test_its_card_says_what_it_is_and_names_no_machine(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card
    assert "not for advice" in card
    assert "Not measured yet" not in card
    for path in files(folder) | files(EXPORT.parent / "run"):
        assert not any(place in path.read_bytes() for place in (b"/tmp/", b"/root/", b"/work/", b"/home/"))
