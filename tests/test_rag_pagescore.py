"""BM25 over pages, counted from chunks: against the formula written out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.lexical import tokenize
from rag.pagescore import page_scores
from rag.retriever import HybridRetriever
from tests.fakes import HashedWords

PAGES = [
    Page("a.md", "Pumps", "\n\n".join(f"## Part {n}\n\n{'The pump and its valve. ' * 20}" for n in range(4))),
    Page(
        "b.md", "Mixed", "\n\n".join(f"## Part {n}\n\n{'Nothing of the kind. ' * 24}" for n in range(3)) + "\n\nA pump."
    ),
    Page("c.md", "Lamps", "A lamp with a valve."),
]


def test_the_formula(tmp_path: Path) -> None:
    generation = build_index(PAGES, Home(tmp_path), RagConfig(chunk_tokens=120), embedder=HashedWords()).load()
    urls = [row.url for row in generation.rows(range(generation.info.chunks))]
    words = [set(tokenize(f"{row.context}\n{row.text}")) for row in generation.rows(range(generation.info.chunks))]
    vocabulary = generation.bm25.vocab_dict
    ids, lengths = [vocabulary["pump"], vocabulary["valv"]], generation.page_lengths
    found = page_scores(generation.bm25, ids, generation.chunk_pages, lengths, np.arange(len(PAGES), dtype=np.int32))
    mean = len(urls) / len(PAGES)
    for page in PAGES:
        expected, length = 0.0, urls.count(page.url)
        for word in ("pump", "valv"):
            df = len({url for url, held in zip(urls, words, strict=True) if word in held})
            n = sum(word in held for url, held in zip(urls, words, strict=True) if url == page.url)
            expected += math.log(1 + (3 - df + 0.5) / (df + 0.5)) * n / (n + 1.2 * (0.25 + 0.75 * length / mean))
        number = generation.chunk_pages[urls.index(page.url)]
        assert found[number] == pytest.approx(expected)


def test_of_two_equal_passages_the_one_on_the_page_of_the_subject_comes_first(tmp_path: Path) -> None:
    same = "Open the lid, then press reset."
    about = "\n\n".join(f"## Reset {n}\n\n{'The reset of the lid takes a moment. ' * 12}" for n in range(3))
    elsewhere = "\n\n".join(f"## Colour {n}\n\n{'Paint it in any colour you like. ' * 12}" for n in range(3))
    pages = [
        Page("a.md", "Guide", f"## Do\n\n{same} Blue.\n\n{elsewhere}"),
        Page("b.md", "Guide", f"## Do\n\n{same} Grey.\n\n{about}"),
    ]
    config = RagConfig(chunk_tokens=60)
    generation = build_index(pages, Home(tmp_path), config, embedder=HashedWords())
    retriever = HybridRetriever(generation, HashedWords(), config)
    rows = generation.rows(range(generation.info.chunks))
    twins = [row.chunk_id for row in rows if same in row.text]
    assert len(twins) == 2
    fused = retriever._fused("reset lid", [(n, 1.0) for n in twins], [])
    assert [rows[chunk_id].url for chunk_id, _ in fused] == ["b.md", "a.md"]
