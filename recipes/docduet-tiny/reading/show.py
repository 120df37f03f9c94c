"""From a draft to a task: cut pages as the product cuts them, find neighbours by BM25, choose, order, put markers.

Gold stands where the search for the question as asked puts it, as long as that is among those shown; else somewhere,
rather in front. How many passages, and whether they are widened to what follows in their section, varies as it does
between `[rag] top_k` and `context_tokens`.
"""

from __future__ import annotations

import random
import re
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from data.sentences import sentences
from rag.chunk import chunk_page
from rag.lexical import tokenize
from reading.parts import Draft, Passage, Piece, Slice
from sft.tokens import CONTROL

CHUNK_TOKENS, WHOLE_TOKENS = 220, 660
"""As in [rag]."""

ROOM = {"en": 5400, "zh": 1750}
"""Characters of all passages of a prompt: with instructions, question and answer some 2,048 tokens."""

COUNTS = ((1, 8), (2, 14), (3, 24), (4, 22), (5, 14), (6, 18))
"""How many passages are shown, and how often of a hundred."""

WIDENED = 0.35
"""Of prompts with at most three passages: how many have them widened."""

_LOOKED_AT = 24
_ITEM = re.compile(r"\s*(?:(?:\d+[.)]|[-*+])\s+)?")
_FENCE = re.compile(r"\s*(?:```|~~~)")


class Shelf:
    """All passages of a slice, and the search over them. Passages get ids as they are used: ``used`` is the table."""

    def __init__(self, slice_: Slice) -> None:
        self.slice = slice_
        self.used: dict[tuple[int, int], Passage] = {}
        self.pool: list[tuple[int, int]] = []  # (page, chunk)
        self.cut = [
            [chunk for chunk in chunk_page(page, CHUNK_TOKENS, WHOLE_TOKENS) if not CONTROL.search(chunk.searchable)]
            for page in slice_.pages
        ]
        self.pool = [(page, at) for page, chunks in enumerate(self.cut) for at in range(len(chunks))]
        self.place = {one: number for number, one in enumerate(self.pool)}

    @cached_property
    def _tokens(self) -> list[list[str]]:
        return [tokenize(self.cut[page][at].searchable) or [""] for page, at in self.pool]

    @cached_property
    def words(self) -> list[frozenset[str]]:
        """Terms of each chunk of the pool."""
        return [frozenset(tokens) for tokens in self._tokens]

    @cached_property
    def squeezed(self) -> list[str]:
        """Text of each chunk of the pool without spaces and marks."""
        return [squeeze(self.cut[page][at].text) for page, at in self.pool]

    @cached_property
    def rarity(self) -> dict[str, int]:
        """Term -> in how many chunks it stands."""
        counts: dict[str, int] = defaultdict(int)
        for words in self.words:
            for word in words:
                counts[word] += 1
        return counts

    @cached_property
    def _index(self) -> Any:
        import bm25s

        index = bm25s.BM25(k1=1.2, b=0.75)
        index.index(self._tokens, show_progress=False)
        return index

    def near(self, query: str) -> list[int]:
        """Numbers of the pool's chunks, nearest first."""
        terms = [
            term for term in tokenize(query) if term in self.rarity
        ]  # bm25s trips over a query it knows nothing of
        if not terms:
            return []
        count = min(_LOOKED_AT, len(self.pool))
        found, scores = self._index.retrieve([terms], k=count, show_progress=False)
        return [int(one) for one, score in zip(found[0], scores[0], strict=True) if score > 0]

    def holding(self, piece: Piece) -> int | None:
        """The chunk that holds all of a piece's place."""
        chunks = self.cut[piece.page]
        at = bisect_right(chunks, piece.start, key=lambda one: one.start) - 1
        end = piece.start + len(self.slice.pages[piece.page].body[piece.start : piece.end].rstrip())
        return self.place[piece.page, at] if at >= 0 and end <= chunks[at].end else None

    def saying(self, line: str, page: int) -> int | None:
        """The chunk of ``page`` that says a line: word for word, or with nearly all of its terms."""
        said = squeeze(line)
        places = [self.place[page, at] for at in range(len(self.cut[page]))]
        for place in places:
            if said and said in self.squeezed[place]:
                return place
        terms = set(tokenize(line))
        best = max(places, key=lambda place: len(terms & self.words[place]), default=None)
        enough = best is not None and terms and len(terms & self.words[best]) >= 0.9 * len(terms)
        return best if enough else None

    def passage(self, place: int, more: int = 0) -> Passage:
        """The chunk, with up to ``more`` chunks after it under the same headings."""
        page, at = self.pool[place]
        chunks, last = self.cut[page], at
        while last < at + more and last + 1 < len(chunks) and chunks[last + 1].heading_path == chunks[at].heading_path:
            last += 1
        key = (place, last - at)
        if key not in self.used:
            start, end = chunks[at].start, chunks[last].end
            number = self.slice.number * 100_000 + len(self.used)
            whole = self.slice.pages[page]
            self.used[key] = Passage(
                number, page, whole.title, chunks[at].heading_path, whole.body[start:end], start, end
            )
        return self.used[key]


def squeeze(text: str) -> str:
    """NFKC, lower case, letters and digits only."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).lower())


def said_by(shelf: Shelf, draft: Draft) -> list[tuple[str, int]] | None:
    """(line or sentence, chunk) of the whole answer in order; None where no chunk says one of them."""
    found: list[tuple[str, int]] = []
    for piece in draft.pieces:
        whole = shelf.holding(piece) if piece.start >= 0 else None
        if whole is not None:
            found.append((piece.text, whole))
            continue
        if piece.start >= 0 and "\n" not in piece.text and len(draft.pieces) == 1 and draft.kind.startswith("fact"):
            return None
        lines, fenced = [], False
        for line in piece.text.split("\n"):
            fence = bool(_FENCE.match(line))
            lines.append(line)
            fenced ^= fence
            if not fenced and line.strip() and not fence:
                place = shelf.saying(line, piece.page)
                if place is None and not line.rstrip().endswith((":", "：")):
                    return None
                if place is not None:
                    found.append(("\n".join(lines), place))
                    lines = []
        if lines:
            if not found:
                return None
            found[-1] = ("\n".join([found[-1][0], *lines]), found[-1][1])
    return found


def written(parts: Sequence[tuple[str, int]], separate: bool) -> str:
    """The answer with markers. ``parts``: (text, number of its passage); ``separate``: parts are paragraphs' sentences."""
    merged: list[list[Any]] = []
    for text, number in parts:
        if merged and merged[-1][1] == number and not separate:
            merged[-1][0] += f"\n{text}"
        else:
            merged.append([text, number])
    return (" " if separate else "\n").join(marked(text, number) for text, number in merged)


def marked(text: str, number: int) -> str:
    """``[number]`` after each sentence, list item and row of a table, as the prompt asks; code is left alone.

    What is nothing but code under a line that announces it has its marker on that line.
    """
    lines, fenced, any_ = [], False, False
    for line in text.split("\n"):
        fence = bool(_FENCE.match(line))
        plain = (
            not (fenced or fence)
            and line.strip()
            and not line.rstrip().endswith((":", "："))
            and not re.fullmatch(r"[\s|:-]+", line)
        )
        fenced ^= fence
        if (
            not plain
            and not (fenced or fence)
            and line.rstrip().endswith((":", "："))
            and len(said := sentences(line.strip())) > 1
        ):
            indent = line[: len(line) - len(line.lstrip())]  # what announces a list has none, what stands before it has
            line, any_ = indent + " ".join([*(f"{part} [{number}]" for part in said[:-1]), said[-1]]), True
        if plain and not line.startswith("#"):
            mark = _ITEM.match(line)[0]  # the number of an item is no sentence of its own
            said = line[len(mark) :].strip()
            parts = [said] if said.startswith("|") else sentences(said)
            line, any_ = mark + " ".join(f"{part} [{number}]" for part in parts), True
        lines.append(line)
    if not any_:
        at = next((at for at, line in enumerate(lines) if line.rstrip().endswith((":", "："))), None)
        if at is None:
            return f"{text}\n\n[{number}]"
        lines[at] = f"{lines[at].rstrip()} [{number}]"
    return "\n".join(lines)


def count_of(rng: random.Random) -> int:
    return rng.choices([count for count, _ in COUNTS], [share for _, share in COUNTS])[0]


def arranged(shelf: Shelf, query: str, gold: Sequence[int], rng: random.Random) -> list[Passage]:
    """What is shown: the gold chunks among the nearest others that do not say the same, in the search's order."""
    ranked = shelf.near(query)
    count = max(count_of(rng), len(set(gold)))
    others = [place for place in ranked if place not in gold]
    shown = [place for place in ranked[:count] if place in gold]
    missing = [place for place in dict.fromkeys(gold) if place not in shown]
    chosen = sorted([*shown, *others[: count - len(shown) - len(missing)]], key=ranked.index)
    for place in missing:
        chosen.insert(min(len(chosen), int(rng.expovariate(0.8))), place)
    return opened(shelf, chosen, rng, gold)


def opened(shelf: Shelf, places: Sequence[int], rng: random.Random, keep: Sequence[int] = ()) -> list[Passage]:
    """Chunks as passages, perhaps widened, and as many as there is room for: ``keep`` always."""
    more = rng.randint(1, 2) if len(places) <= 3 and rng.random() < WIDENED else 0
    taken = set(places)
    room = ROOM[shelf.slice.lang]
    sizes = {place: len(shelf.cut[shelf.pool[place][0]][shelf.pool[place][1]].text) for place in places}
    left = room - sum(sizes[place] for place in places if place in keep)
    shown = []
    for place in places:
        if place not in keep:
            if sizes[place] > left:
                continue
            left -= sizes[place]
        wide = more if more and not any(place + step in taken for step in range(1, more + 1)) else 0
        passage = shelf.passage(place, wide)
        extra = len(passage.text) - sizes[place]
        if extra > left:
            passage = shelf.passage(place)
            extra = 0
        left -= extra
        shown.append(passage)
    return shown
