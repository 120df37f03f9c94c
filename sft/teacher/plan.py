"""Which questions a teacher is asked for, page by page: from the mixture's shares and the pages' lengths. Asks nothing.

A page is worth one question for each QUESTION_TOKENS of its text. Which shapes these are follows from the shares: a
share is of tokens, so a shape of long answers gets fewer questions, and one that often fails gets more. A shape with
share 0 is never asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from data.types import Page
from sft.mixture import Mixture
from sft.nearest import Candidate, Passages, by_lang
from sft.rules.text import number_of, shuffled
from sft.teacher.prompts import Wanted
from sft.tokens import CONTROL, estimate
from sft.types import SHAPES, Shape

QUESTION_TOKENS = 150
PART_TOKENS = 1400
"""Passages shown at once: about what the ``rag`` voice shows."""

QUESTIONS_A_CALL = 8
PARTS_A_PAGE = 20
"""A page of 2 MB gives at most 160 questions, about passages from all over it."""

REPLAY_ROUNDS = 8
"""How often a general prompt is answered at most, each time anew."""


class Expected(NamedTuple):
    """Tokens of one sample, and the share of questions that come through the gates."""

    tokens: int
    kept: float


EXPECTED: dict[Shape, Expected] = {
    "single": Expected(160, 0.85),
    "broad": Expected(420, 0.8),
    "how-to": Expected(380, 0.8),
    "troubleshooting": Expected(320, 0.6),
    "multi-turn": Expected(650, 0.6),
    "raft": Expected(1300, 0.7),
    "comparison": Expected(420, 0.6),
    "unanswerable": Expected(70, 0.5),
    "replay": Expected(420, 0.9),
}
IN_PARTS: tuple[Shape, ...] = ("single", "broad", "how-to", "troubleshooting", "multi-turn", "raft")
BY_LENGTH: tuple[Shape, ...] = (*IN_PARTS, "comparison", "unanswerable")
"""Shapes whose questions are counted by the pages' lengths."""

REWRITTEN: tuple[Shape, ...] = ("single", "broad", "how-to", "troubleshooting")
"""Shapes whose questions are asked in several ways."""

_TROUBLE = re.compile(
    r"\b(?:errors?|fail(?:s|ed|ure)?|exceptions?|cannot|can't|unable|wrong|problem|issue|refused|timeout|troubleshoot)|"
    r"错误|报错|失败|异常|无法|不能|问题|故障|超时",
    re.IGNORECASE,
)
_STEPS = re.compile(
    r"(?m)^\s*(?:\d+[.)、]\s|```|\$ )|\b(?:to|how to|run|click|install|set|create)\b|如何|运行|点击|安装|设置|创建"
)


@dataclass(frozen=True)
class Part:
    """Neighbouring passages of one page, and the questions wanted about them."""

    page: Page
    passages: tuple[Candidate, ...]
    wanted: tuple[Wanted, ...] = ()


@dataclass(frozen=True)
class WholePage:
    page: Page


@dataclass(frozen=True)
class Comparison:
    pages: tuple[Page, Page]
    passages: tuple[Candidate, ...]
    count: int


@dataclass(frozen=True)
class Missing:
    """Questions that nothing answers, beside these passages."""

    page: Page
    passages: tuple[Candidate, ...]
    count: int


@dataclass(frozen=True)
class Replay:
    """A general prompt. ``round``: for another answer to the same one."""

    prompt: str
    lang: str
    round: int


Job = Part | WholePage | Comparison | Missing | Replay


def urls_of(job: Job) -> tuple[str, ...]:
    """The pages that it is about."""
    if isinstance(job, Replay):
        return ()
    return tuple(page.url for page in (job.pages if isinstance(job, Comparison) else (job.page,)))


@dataclass
class Plan:
    """``jobs``, in order. ``passages``: language -> all passages, for what is near. ``only``: urls of the pages that
    are asked about (None: all); general prompts are then left out."""

    pages: Sequence[Page]
    mixture: Mixture
    rewrites: int = 1
    limit: int = 0
    max_length: int = 4096
    chunk_tokens: int = 220
    whole_tokens: int = 660
    only: frozenset[str] | None = None

    @cached_property
    def passages(self) -> dict[str, Passages]:
        return by_lang(self.pages, self.chunk_tokens, self.whole_tokens)

    @cached_property
    def jobs(self) -> list[Job]:
        parts = self._parts()
        others: list[Job] = [*self._comparisons(), *self._missing(parts), *self._whole_pages(), *self._replays()]
        jobs = _interleaved([part for part in parts if part.wanted], others)
        return jobs if self.only is None else [job for job in jobs if self.only.intersection(urls_of(job))]

    @cached_property
    def _shares(self) -> dict[Shape, float]:
        return {shape: share for shape in SHAPES if (share := self.mixture.shares.get(shape)) and shape != "imported"}

    @cached_property
    def _weights(self) -> dict[Shape, float]:
        """Shape -> questions for each token of the dataset, where questions are counted by the pages' lengths."""
        weights: dict[Shape, float] = {}
        for shape in BY_LENGTH:
            if self._shares.get(shape):
                ways = self.rewrites if shape in REWRITTEN else 1
                weights[shape] = self._shares[shape] / (EXPECTED[shape].tokens * EXPECTED[shape].kept * ways)
        return weights

    @cached_property
    def _worth(self) -> dict[str, int]:
        """Page url -> questions that its length is worth."""
        most = PARTS_A_PAGE * QUESTIONS_A_CALL
        return {
            page.url: min(most, max(1, round(estimate(page.body) / QUESTION_TOKENS)))
            for page in self.pages
            if self.passages[page.lang].of(page)
        }

    @cached_property
    def _tokens(self) -> float:
        """Tokens of the dataset: what the pages are worth, or what ``limit`` samples have."""
        weight = sum(self._weights.values())
        whole = sum(self._worth.values()) / weight if weight else 0.0
        sizes: dict[Shape, float] = {shape: EXPECTED[shape].tokens for shape in self._shares if shape != "whole-page"}
        if "whole-page" in self._shares:
            sizes["whole-page"] = self._page_tokens
            if not weight:
                whole = len(self._eligible) * self._page_tokens / self._shares["whole-page"]
        if "replay" in self._shares and not whole:
            whole = len(replay_prompts()) * EXPECTED["replay"].tokens / self._shares["replay"]
        samples_a_token = sum(self._shares[shape] / size for shape, size in sizes.items())
        return min(whole, self.limit / samples_a_token) if self.limit and samples_a_token else whole

    def _count(self, shape: Shape) -> int:
        """Questions of a shape that is not asked about parts."""
        return round(self._tokens * self._weights.get(shape, 0.0))

    def _parts(self) -> list[Part]:
        """All parts that are looked at, with what is asked about them. Each page's depend on it alone: what is asked
        about the others, and cached, stays when one changes."""
        share = min(1.0, self._tokens * sum(self._weights.values()) / max(1, sum(self._worth.values())))
        inside = {shape: weight for shape, weight in self._weights.items() if shape in IN_PARTS}
        scale = share * sum(inside.values()) / (sum(self._weights.values()) or 1.0)
        found: list[Part] = []
        for page in self.pages:
            count = int(self._worth.get(page.url, 0) * scale + chance(page.url))
            if count or (share and page.url in self._worth):
                found += self._asked_about(page, count, inside)
        return found

    def _asked_about(self, page: Page, count: int, inside: Mapping[Shape, float]) -> Iterator[Part]:
        parts = cut(self.passages[page.lang].of(page))
        for at, part in enumerate(parts):
            here = min(QUESTIONS_A_CALL, count * (at + 1) // len(parts) - count * at // len(parts))
            text = "\n".join(one.text for one in part)
            weights = {shape: weight * fit for shape, weight in inside.items() if (fit := fits(shape, text))} or inside
            seed = f"{page.url}#{part[0].chunk.start}"
            yield Part(page, part, tuple(_wanted(weights, seed, number) for number in range(here)))

    def _comparisons(self) -> Iterator[Comparison]:
        """Pages with the nearest other one each, until there are enough questions."""
        left = self._count("comparison")
        done: set[frozenset[str]] = set()
        for page in sorted(self.pages, key=lambda page: chance(page.url)):
            other = self._nearest(page) if left > 0 and page.url in self._worth else None
            pair = frozenset([page.url, other.url if other else page.url])
            if other and pair not in done:
                done.add(pair)
                both = [one for some in (page, other) for one in cut(self.passages[page.lang].of(some))[0][:4]]
                yield Comparison((page, other), tuple(both), min(2, left))
                left -= 2

    def _nearest(self, page: Page) -> Page | None:
        """The page with the passage nearest to this one's beginning."""
        passages = self.passages[page.lang]
        query = f"{page.title}\n{passages.of(page)[0].text}"
        near = passages.near(query, 4, lambda one: one.page.url != page.url)
        return near[0].page if near else None

    def _missing(self, parts: Sequence[Part]) -> Iterator[Missing]:
        left = self._count("unanswerable")
        for part in sorted(parts, key=lambda part: chance(f"{part.page.url}#{part.passages[0].chunk.start}")):
            if left > 0:
                yield Missing(part.page, part.passages, min(2, left))
                left -= 2

    @cached_property
    def _eligible(self) -> list[Page]:
        """Pages that fit into a sample as they are."""
        fitting = (page for page in self.pages if estimate(page.body) < 0.9 * self.max_length)
        return [page for page in fitting if page.url in self._worth and not CONTROL.search(page.body)]

    @cached_property
    def _page_tokens(self) -> float:
        return sum(estimate(page.body) for page in self._eligible) / max(1, len(self._eligible)) or 1.0

    def _whole_pages(self) -> Iterator[WholePage]:
        share = self._shares.get("whole-page", 0.0)
        count = round(self._tokens * share / self._page_tokens / 0.8)
        drawn = sorted(self._eligible, key=lambda page: chance(f"whole {page.url}"))
        yield from map(WholePage, drawn[:count] if share else [])

    def _replays(self) -> Iterator[Replay]:
        """General prompts in the languages of the pages, evenly."""
        expected = EXPECTED["replay"]
        count = round(self._tokens * self._shares.get("replay", 0.0) / expected.tokens / expected.kept)
        langs = {page.lang for page in self.pages}
        prompts = shuffled([one for one in replay_prompts() if one[1] in langs] or replay_prompts(), "replay")
        for at in range(min(count, REPLAY_ROUNDS * len(prompts))):
            prompt, lang = prompts[at % len(prompts)]
            yield Replay(prompt, lang, at // len(prompts))


def fits(shape: str, text: str) -> int:
    """Whether asking for ``shape`` about ``text`` has a chance; twice as often where few texts fit."""
    pattern, often = {"troubleshooting": (_TROUBLE, 2), "how-to": (_STEPS, 1)}.get(shape, (None, 1))
    return often if pattern is None or pattern.search(text) else 0


def _wanted(weights: Mapping[Shape, float], seed: str, number: int) -> Wanted:
    """The shape of the ``number``-th question: steps of the golden ratio through the shares, so that few questions
    already have about the right shapes."""
    point = (chance(seed) + number * 0.6180339887498949) % 1 * sum(weights.values())
    shape = next((one for one, upto in zip(weights, accumulate(weights.values()), strict=True) if point < upto), None)
    drawn = number_of("wanted", seed, str(number))
    return Wanted(shape or [*weights][-1], drawn % 997, drawn // 997 % 991, drawn // 988_027 % 3)


def chance(key: str) -> float:
    """A number in [0, 1) that depends on ``key`` alone."""
    return number_of("chance", key) / 2**64


def cut(passages: Sequence[Candidate]) -> list[tuple[Candidate, ...]]:
    """Passages in parts of about PART_TOKENS; of a long page, PARTS_A_PAGE from all over it."""
    parts: list[list[Candidate]] = []
    size = PART_TOKENS
    for passage in passages:
        tokens = estimate(passage.text)
        if size + tokens > PART_TOKENS:
            parts.append([])
            size = 0
        parts[-1].append(passage)
        size += tokens
    step = max(1.0, len(parts) / PARTS_A_PAGE)
    kept = [parts[int(at * step)] for at in range(min(len(parts), PARTS_A_PAGE))]
    return [tuple(part) for part in kept]


@cache
def replay_prompts() -> list[tuple[str, str]]:
    """(prompt, language) of each general prompt."""
    lines = Path(__file__).with_name("replay.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["prompt"], row["lang"]) for row in map(json.loads, lines)]


def _interleaved(parts: Sequence[Job], others: Sequence[Job]) -> list[Job]:
    """The others spread evenly among the parts."""
    placed = [(at / max(1, len(parts)), 0, at, job) for at, job in enumerate(parts)]
    placed += [(at / max(1, len(others)), 1, at, job) for at, job in enumerate(others)]
    return [job for *_, job in sorted(placed, key=lambda one: one[:3])]
