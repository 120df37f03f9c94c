"""Token shards: uint16 ids, documents ended by <|endoftext|>, in xz parts that travel; needs numpy alone.

write_shards(folder, "train-en", arrays, end=10204)      train-en-00.u16.xz ... and shards.json with sha256 and sizes
ids = read_shards(folder, "train")                       np.memmap of all train-* parts in a row (unpacked once)
first = document_starts(ids, end)                        where each document begins
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterable
from pathlib import Path

import numpy as np

PART_BYTES = 24_000_000
"""Largest part in the folder, compressed."""

INDEX = "shards.json"
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 2, "lp": 1, "pb": 1, "dict_size": 64 << 20}]
_RAW_PER_PART = 15_000_000
"""Tokens to a part: 30 MB raw, some 18 MB packed."""


class DamagedShards(ValueError):
    """A part is missing or is not what was written."""


def write_shards(folder: Path, name: str, documents: Iterable[np.ndarray], end: int) -> list[dict[str, object]]:
    """Write ``documents`` (1-D integer arrays, ids below 65,536, without ``end``) as parts of ``name``.

    Returns the parts' entries. A document never spans two parts, so each part can be read alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries, pile, size = [], [], 0
    for ids in documents:
        if len(ids) and int(ids.max()) > 65_535:
            raise ValueError("token ids of 65,536 and more do not fit into uint16")
        pile.append(np.append(ids.astype(np.uint16), np.uint16(end)))
        size += len(ids) + 1
        if size >= _RAW_PER_PART:
            entries.append(_part(folder, f"{name}-{len(entries):02}", pile))
            pile, size = [], 0
    if pile:
        entries.append(_part(folder, f"{name}-{len(entries):02}", pile))
    _note(folder, name, entries, end)
    return entries


def _part(folder: Path, name: str, pile: list[np.ndarray]) -> dict[str, object]:
    ids = np.concatenate(pile).astype("<u2")
    packed = lzma.compress(ids.tobytes(), filters=_FILTERS)
    if len(packed) > PART_BYTES:
        raise ValueError(f"{name} takes {len(packed)} bytes: lower _RAW_PER_PART")
    file = f"{name}.u16.xz"
    (folder / file).write_bytes(packed)
    return {
        "file": file,
        "bytes": len(packed),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "tokens": len(ids),
        "documents": len(pile),
    }


def _note(folder: Path, name: str, entries: list[dict[str, object]], end: int) -> None:
    path = folder / INDEX
    known = json.loads(path.read_text()) if path.exists() else {"end": end, "parts": []}
    if known["end"] != end:
        raise ValueError("the folder holds shards of another tokenizer: give an empty one")
    others = [part for part in known["parts"] if part["file"].rpartition("-")[0] != name]
    known["parts"] = sorted([*others, *entries], key=lambda part: part["file"])
    path.write_text(json.dumps(known, indent=1))


def read_shards(folder: Path | str, name: str = "train", cache: Path | str | None = None) -> np.ndarray:
    """All parts whose names begin with ``name`` ("train", "train-zh", "heldout"), joined: a read-only memmap.

    Parts are checked against shards.json and unpacked once into ``cache`` (default: the folder). Raises DamagedShards.
    """
    folder = Path(folder)
    parts = [part for part in index(folder)["parts"] if part["file"].startswith(f"{name}-")]
    if not parts:
        raise DamagedShards(f"no shards named {name} in {folder}: run 02_pack.py")
    total = sum(part["tokens"] for part in parts)
    key = hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest()[:12]
    whole = Path(cache or folder) / f"{name}-{key}.u16"
    if not whole.exists() or whole.stat().st_size != 2 * total:
        whole.parent.mkdir(parents=True, exist_ok=True)
        draft = whole.with_suffix(".draft")
        with draft.open("wb") as file:
            for part in parts:
                file.write(_unpacked(folder, part))
        draft.replace(whole)
    return np.memmap(whole, dtype="<u2", mode="r", shape=(total,))


def _unpacked(folder: Path, part: dict[str, object]) -> bytes:
    path = folder / str(part["file"])
    packed = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(packed).hexdigest() != part["sha256"]:
        raise DamagedShards(f"{path} is missing or damaged: copy it again")
    return lzma.decompress(packed)


def index(folder: Path | str) -> dict[str, list[dict[str, object]]]:
    """shards.json: `end` (the id that ends a document) and `parts`."""
    path = Path(folder) / INDEX
    if not path.exists():
        raise DamagedShards(f"{path} is missing: run 02_pack.py")
    return json.loads(path.read_text())


def document_starts(ids: np.ndarray, end: int) -> np.ndarray:
    """Offsets at which documents begin, in rising order."""
    ends = np.flatnonzero(ids == end)
    return np.concatenate([[0], ends[:-1] + 1]) if len(ends) else np.zeros(1, dtype=np.int64)
