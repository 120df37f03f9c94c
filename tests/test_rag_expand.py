"""Sections around found chunks: whole where the budget reaches, exact slices, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.chunk import estimate_tokens
from rag.config import RagConfig
from rag.expand import Piece, widen
from rag.retriever import HybridRetriever
from tests.fakes import HashedWords


def pieces(*sections: int, tokens: int = 10) -> dict[int, Piece]:
    """Chunks of one page, ``sections[i]`` of them under heading i."""
    paths = [str(n) for n, count in enumerate(sections) for _ in range(count)]
    return {i: Piece(i, "page", (path,), 20 * i, 20 * i + 20, tokens) for i, path in enumerate(paths)}


def test_the_whole_section_and_no_more() -> None:
    assert widen([3], pieces(2, 4, 3), 1000) == [(2, 5)]


def test_what_follows_first_and_within_the_budget() -> None:
    assert widen([3], pieces(9), 20) == [(3, 4)]
    assert widen([3], pieces(9), 30) == [(2, 4)]
    assert widen([3], pieces(9), 5) == [(3, 3)]


def test_two_of_one_section_share_it_without_overlap() -> None:
    assert widen([2, 5], pieces(8), 1000) == [(0, 4), (5, 7)]
    assert widen([2, 3], pieces(8), 1000) == [(0, 2), (3, 7)]


def test_another_page_is_never_entered() -> None:
    two = {**pieces(2), 2: Piece(2, "other", ("0",), 0, 20, 10)}
    assert widen([1], two, 1000) == [(0, 1)]


@given(st.lists(st.integers(0, 29), min_size=1, max_size=8, unique=True), st.integers(0, 400))
def test_sections_hold_their_chunk_and_share_nothing(found: list[int], budget: int) -> None:
    known = pieces(7, 1, 12, 10)
    ranges = widen(found, known, budget)
    read = [i for first, last in ranges for i in range(first, last + 1)]
    assert len(read) == len(set(read))
    assert all(first <= chunk_id <= last for chunk_id, (first, last) in zip(found, ranges, strict=True))
    assert sum(known[i].tokens for i in read) <= max(budget, sum(known[i].tokens for i in found))


STEPS = "\n\n".join(
    f"Step {n}: turn the valve number {n} slowly until its lamp shows the colour {n}." for n in range(40)
)


@pytest.fixture
def retriever(tmp_path: Path) -> HybridRetriever:
    body = f"# Before\n\nNothing here.\n\n# Valves\n\n{STEPS}\n\n# After\n\nNothing there."
    config = RagConfig(chunk_tokens=80, top_k=1, context_tokens=600)
    pages = [Page("valves.md", "Valves", body), Page("other.md", "Other", "Something else.")]
    return HybridRetriever(build_index(pages, Home(tmp_path), config, embedder=HashedWords()), HashedWords(), config)


def test_the_model_reads_the_section_of_what_was_found(retriever: HybridRetriever) -> None:
    (passage,) = retriever.search("Step 20 valve number 20 colour 20")
    (section,) = retriever.sections([passage])
    page = retriever.page(passage.page_id)
    assert page is not None
    assert page.body[section.start : section.end] == section.text
    assert page.body[passage.start : passage.end] == passage.text
    assert section.start < passage.start < passage.end < section.end
    assert 450 < estimate_tokens(section.text) <= 600
    assert "Nothing" not in section.text
    assert (section.title, section.heading_path) == (passage.title, passage.heading_path)


def test_without_a_budget_the_passage_is_all(retriever: HybridRetriever) -> None:
    passages = retriever.search("Step 20 valve", 2)
    retriever._config = retriever._config.model_copy(update={"context_tokens": 0})
    assert [section.text for section in retriever.sections(passages)] == [passage.text for passage in passages]
    assert retriever.sections([]) == []
