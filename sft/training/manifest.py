"""What goes into a checkpoint's manifest.json: where the weights come from and how they must be asked.

Gathered from the run's folder, the checkpoint and the dataset; the format is data/checkpoints.py's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.checkpoints import Manifest
from data.errors import CheckpointError
from data.prompts import sft_messages
from sft.training.dataset import open_dataset, read_samples
from sft.training.folder import sha256
from sft.training.records import Run

POINTS = 400
"""At most this many points of each curve are kept."""


@dataclass(frozen=True)
class Told:
    """What the dataset says. ``notes``: what a person should know."""

    pages: dict[str, str]
    thinking: bool
    notes: tuple[str, ...]


def make_manifest(folder: Path, run: Run, step: int, kind: str, files: Iterable[str]) -> tuple[Manifest, list[str]]:
    """For the checkpoint files in ``folder``, out of ``run``; and notes for the user. Raises CheckpointError."""
    info = run.info
    if info is None:
        raise CheckpointError(f"{run.folder} has no run.json: only runs of `docduet sft train` can be exported")
    told = from_dataset(Path(info.dataset), info.dataset_sha256)
    manifest = Manifest(
        kind="adapter" if kind == "adapter" else "full",
        base_model=info.model,
        lora_rank=lora_rank(folder) if kind == "adapter" else None,
        system_prompt={lang: sft_messages("", lang=lang)[0]["content"] for lang in ("en", "zh")},
        enable_thinking=told.thinking,
        chat_template_sha256=template_hash(folder),
        tokenizer_sha256=file_hash(folder / "tokenizer.json"),
        dataset=info.dataset,
        dataset_sha256=info.dataset_sha256,
        pages=told.pages,
        recipe=info.recipe,
        step=step,
        argv=info.starts[-1].argv if info.starts else (),
        versions=info.versions,
        metrics=_up_to(run, step).metrics(),
        curves=curves(_up_to(run, step)),
        files={name: (folder / name).stat().st_size for name in sorted(files)},
    )
    return manifest, list(told.notes)


def from_dataset(dataset: Path, digest: str) -> Told:
    """The pages it was made from, and whether its answers think. Nothing of a dataset that has changed since."""
    if not dataset.exists() or sha256(dataset) != digest:
        said = f"{dataset} is gone or has changed since training: the manifest names no pages, so nothing can be stale"
        return Told({}, False, (said,))
    notes = []
    folder = dataset if dataset.is_dir() else dataset.parent
    pages, aside = _pages(folder / "provenance.jsonl", "train"), _pages(folder / "provenance.jsonl", "val")
    if aside:
        notes.append(
            f"{len(aside)} more pages were set aside for validation and not learned; a dataset built with "
            "`docduet sft build --val-share 0` has every page learned"
        )
    if not pages:
        notes.append("the dataset has no provenance.jsonl: answers cannot be marked as stale when pages change")
    systems, thinking = _prompts(dataset)
    if not systems & {sft_messages("", lang=lang)[0]["content"] for lang in ("en", "zh")}:
        notes.append("no sample has the system prompt that the sft voice asks with: expect weaker answers")
    return Told(pages, thinking, tuple(notes))


def _pages(provenance: Path, side: str) -> dict[str, str]:
    """Url -> content hash of the pages in training ("train") or in validation ("val")."""
    try:
        rows = [json.loads(line) for line in provenance.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {page["url"]: page["hash"] for row in rows if row["split"] == side for page in row["pages"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{provenance} cannot be read ({error}): build the dataset again") from None


def _prompts(dataset: Path) -> tuple[set[str], bool]:
    systems: set[str] = set()
    thinking = False
    for messages in read_samples(open_dataset(dataset).train):
        systems |= {message["content"] for message in messages if message["role"] == "system"}
        thinking = thinking or any("</think>" in turn["content"] for turn in messages if turn["role"] == "assistant")
    return systems, thinking


def lora_rank(folder: Path) -> int:
    """Of an adapter folder: the highest rank of any of its modules. Raises CheckpointError."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        return max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}/adapter_config.json cannot be read ({error})") from None


def template_hash(folder: Path) -> str:
    """sha256 of the chat template, whichever of its two places it is in; "" without one."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return hashlib.sha256(own.read_bytes()).hexdigest()
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        template: Any = config.get("chat_template") or ""
    except (OSError, ValueError, AttributeError):
        return ""
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def file_hash(path: Path) -> str:
    """sha256; "" where there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _up_to(run: Run, step: int) -> Run:
    return Run(
        run.folder,
        run.info,
        tuple(one for one in run.steps if one.step <= step),
        tuple(one for one in run.evaluations if one.step <= step),
    )


def curves(run: Run) -> dict[str, tuple[float, ...]]:
    """Loss, gradient norm and learning rate by step, thinned to POINTS; -1 for what is not finite (JSON has no NaN)."""
    every = max(1, math.ceil(len(run.steps) / POINTS))
    kept = run.steps[::every]
    if run.steps and kept[-1] is not run.steps[-1]:
        kept = (*kept, run.steps[-1])
    found = {"step": tuple(float(one.step) for one in kept)}
    for name in ("loss", "grad_norm", "learning_rate"):
        values = tuple(float(getattr(one, name)) for one in kept)
        found[name] = tuple(value if math.isfinite(value) else -1.0 for value in values)
    return found
