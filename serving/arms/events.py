"""What an arm says, in order: Started, then Reasoning/Text/Cited, then one Finished, or Failed in its place.

Arms yield these; serving/api/wire.py turns them into OpenAI's shapes. Frozen, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from serving.arms.findings import Sentence, Stale, Truncated, Unsupported
from serving.arms.sources import Source


@dataclass(frozen=True)
class Started:
    """First event. ``query`` is the standalone question searched; ``rewritten`` when it is not the user's own.

    ``translated``: the query is in another language than the question.
    """

    query: str
    rewritten: bool
    translated: bool = False


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of the model's thinking: never part of the answer."""

    text: str


@dataclass(frozen=True)
class Cited:
    """A citation marker; ``first`` when its source has not been cited before in this answer."""

    source: Source
    first: bool

    @property
    def marker(self) -> str:
        return f"[{self.source.n}]"


@dataclass(frozen=True)
class Finished:
    """Last event. ``timings_ms``: rewrite, retrieve, rerank, translate, first_token, verify, total (milliseconds spent,
    or since the request). ``unsupported``, ``support``, ``stale``: what checking found (verify.py); ``support`` is None
    where nothing was checked.
    """

    arm: str
    sources: tuple[Source, ...] = ()
    refused: bool = False
    degraded: str | None = None
    finish_reason: str = "stop"
    usage: dict[str, int] | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    unsupported: tuple[Unsupported, ...] = ()
    support: tuple[Sentence, ...] | None = None
    stale: tuple[Stale, ...] = ()
    truncated: Truncated | None = None


@dataclass(frozen=True)
class Failed:
    """Last event of a choice that broke off while the other goes on. ``code``: the word that an error response has."""

    arm: str
    message: str
    code: str = "engine_unavailable"


Event = Started | Text | Reasoning | Cited | Finished | Failed
