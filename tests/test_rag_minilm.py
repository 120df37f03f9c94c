"""The bundled embedder against sentence-transformers on the same weights; neighbours; no torch where none is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rag.embed import SentenceTransformerEmbedder, bundled, fingerprint, load_embedder
from rag.minilm import MAX_TOKENS, MiniLM

TEXTS = [
    "How to restart the server",
    "`--tensor_model_parallel_size 4 --sequence_parallel true`",
    "HF_HUB_OFFLINE=1 docduet rag index --json",
    "| option | default |\n|---|---|\n| `lora_rank` | 8 |\n| `learning_rate` | 1e-4 |",
    "Each chunk is a slice of its page. Title and headings are put before it for embedding. " * 30,  # is truncated
    "如何使用 Megatron 进行 LoRA 训练？",
    "",
    "a lone surrogate \ud800 out of a broken page",
]


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    texts = [text.encode("utf-8", "replace").decode() for text in TEXTS]
    embedder = SentenceTransformerEmbedder(str(bundled()))
    embedder._model.max_seq_length = MAX_TOKENS
    return embedder.documents(texts)


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99999), ("mixed", 0.985), ("int8", 0.975)])
def test_vectors_are_those_of_the_original(reference: np.ndarray, precision: str, least: float) -> None:
    vectors = MiniLM("minilm", bundled(), "files", precision).documents(TEXTS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * reference).sum(axis=1).min() >= least


def test_a_vector_does_not_depend_on_its_neighbours() -> None:
    embedder = load_embedder("minilm")
    together = embedder.documents(TEXTS)
    assert np.array_equal(together, embedder.documents(TEXTS[::-1])[::-1])
    assert np.array_equal(together, np.stack([embedder.query(text) for text in TEXTS]))
    assert embedder.documents([]).shape == (0, 384)


def test_the_fingerprint_tells_how_the_vectors_are_computed() -> None:
    files = fingerprint(bundled())
    kinds = [MiniLM("minilm", bundled(), files, precision).fingerprint for precision in ("int8", "mixed", "fp32")]
    assert len({files, *kinds}) == 4
    assert load_embedder("minilm").fingerprint in kinds


def test_indexing_and_searching_import_no_torch(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Restart\n\nTo restart the server, run `systemctl restart app`.\n")
    env = {**os.environ, "DOCDUET_HOME": str(tmp_path / "home")}
    for words in (["sync", str(tmp_path / "docs")], ["rag", "search", "reboot the machine"]):
        code = (
            f"import sys, docduet; sys.argv = {['docduet', *words]!r}\ntry: docduet.main()\n"
            "finally: print('TORCH', 'torch' in sys.modules or 'sentence_transformers' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=100)
        assert "TORCH False" in done.stdout, done.stdout + done.stderr
    assert "systemctl restart app" in done.stdout
