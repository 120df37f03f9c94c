"""A checkpoint folder as it passes from training to serving: manifest.json, and the pointer to the one that serves.

A folder is whole when manifest.json is in it (it is written last, before the folder gets its name) and its files have
the sizes that it lists. DOCDUET_HOME/runs/current-sft names the folder that the `sft` voice answers with; it is
replaced at once. Training writes both (sft/training/export.py), the gateway reads both: neither knows the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import CheckpointError
from data.home import Home

MANIFEST = "manifest.json"
FORMAT = 1
DEMO_MODEL = "docduet-tiny"
"""The small model that the demonstration brings along: good for seeing DocDuet run, not for advice."""
DEMO_FOLDER = Path(__file__).parent / "samples" / "models" / DEMO_MODEL
"""Where it lies, if this version has it: base/, a model, and adapter/, what it learned of the handbook."""


class Manifest(BaseModel):
    """What a checkpoint is and how to ask it. Unknown fields of later versions are kept out, not refused.

    ``kind``: a full model, or a PEFT adapter over ``base_model`` (a folder or a hub name; one that begins with a dot is
    meant from the checkpoint's own folder). ``system_prompt``: by language, as trained. ``chat_template_sha256``,
    ``tokenizer_sha256``: "" where the folder has none of its own.
    ``pages``: url -> content hash of the pages that it was trained on: a page with another hash now has changed since.
    ``curves``: measure -> values, "step" among them. ``files``: name -> bytes.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = FORMAT
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    kind: Literal["full", "adapter"]
    base_model: str
    lora_rank: int | None = Field(None, gt=0)
    system_prompt: Mapping[str, str]
    enable_thinking: bool = False
    chat_template_sha256: str = ""
    tokenizer_sha256: str = ""
    dataset: str = ""
    dataset_sha256: str = ""
    pages: Mapping[str, str] = Field(default_factory=dict)
    recipe: str = ""
    step: int = 0
    argv: tuple[str, ...] = ()
    versions: Mapping[str, str] = Field(default_factory=dict)
    metrics: Mapping[str, float] = Field(default_factory=dict)
    curves: Mapping[str, tuple[float, ...]] = Field(default_factory=dict)
    files: Mapping[str, int] = Field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest:
    """A checkpoint folder's manifest, the folder checked against it. Raises CheckpointError."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no {MANIFEST}: make it with `docduet sft export RUN`") from None
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{folder / MANIFEST} cannot be read ({error}): export the run again") from None
    if manifest.format > FORMAT:
        raise CheckpointError(f"{folder} was made by a later version of DocDuet: update, or export the run again")
    for name, size in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise CheckpointError(f"{path} is missing or not whole: export the run again")
    if manifest.base_model.startswith("."):
        return manifest.model_copy(update={"base_model": os.path.normpath(folder.absolute() / manifest.base_model)})
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json at once and durably."""
    _replace(folder / MANIFEST, manifest.model_dump_json(indent=2))


def is_demo(model: str) -> bool:
    """Whether a model's folder or name is that of the demonstration's model, or of one made from it."""
    return any(part.lower().startswith(DEMO_MODEL) for part in Path(model).parts[-2:])


def bundled_base() -> Path | None:
    """The demonstration's model; None where it does not come with this version."""
    folder = DEMO_FOLDER / "base"
    return folder if (folder / "config.json").is_file() else None


def bundled_adapter() -> Path | None:
    """What it has learned of the handbook, as a checkpoint; None where that does not come with this version."""
    folder = DEMO_FOLDER / "adapter"
    return folder if bundled_base() and (folder / MANIFEST).is_file() else None


def publish(home: Home, folder: Path) -> None:
    """Make ``folder`` the checkpoint that the `sft` voice answers with. Raises CheckpointError when it is not whole."""
    read_manifest(folder)
    home.current_sft.parent.mkdir(parents=True, exist_ok=True)
    said = {"path": str(folder.absolute()), "published": datetime.now(UTC).isoformat(timespec="seconds")}
    _replace(home.current_sft, json.dumps(said, ensure_ascii=False))


def current(home: Home) -> Path | None:
    """The folder that was published last; None before the first. Raises CheckpointError when the pointer is damaged.

    The folder itself is not looked at: ``read_manifest`` says whether it is whole.
    """
    try:
        return Path(json.loads(home.current_sft.read_text(encoding="utf-8"))["path"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{home.current_sft} is damaged ({error}): run `docduet sft export RUN --serve`"
        ) from None


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.partial")
    with part.open("w", encoding="utf-8") as sink:
        sink.write(text)
        sink.flush()
        os.fsync(sink.fileno())
    part.replace(path)
