"""The bundled model, offline; the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.errors import ConfigError
from rag.cache import EmbeddingCache
from rag.embed import SentenceTransformerEmbedder, fingerprint, load_embedder
from tests.fakes import HashedWords


def test_the_bundled_model_works_offline_and_knows_paraphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embedder = load_embedder("minilm")
    vectors = embedder.documents(["How to restart the server", "Bake the bread for an hour"])
    assert vectors.shape == (2, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    near, far = vectors @ embedder.query("reboot the machine")
    assert near > far + 0.2


def test_an_unknown_model_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"no/such-model.*minilm"):
        _ = SentenceTransformerEmbedder("no/such-model").fingerprint


def test_a_fingerprint_is_of_content_not_of_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(b"x" * 300_000)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").write_bytes(b"y" * 300_000)
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def test_only_new_texts_are_embedded(tmp_path: Path) -> None:
    embedder = HashedWords()
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        first, computed = cache.embed(embedder, ["a", "b b", "a"])
        assert computed == 2
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        second, computed = cache.embed(embedder, ["c", "a", "b b"])
        assert computed == 1
        assert cache.embed(HashedWords("other"), ["a"])[1] == 1
    assert sorted(embedder.embedded) == ["a", "b b", "c"]
    assert np.array_equal(second[1:], first[:2])
    assert np.array_equal(second[0], embedder.query("c"))


def test_a_damaged_cache_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"this is no database" * 100)
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        assert cache.embed(HashedWords(), ["a"])[1] == 1
