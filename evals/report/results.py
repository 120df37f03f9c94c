"""What a report says, as frozen dataclasses; `as_dict` and `from_dict` are its JSON. Shares are 0 to 1, times in ms."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Share:
    """A share of ``of`` with its 95 % interval; None where there is nothing to count."""

    value: float | None
    low: float
    high: float
    of: float


@dataclass(frozen=True)
class ByUser:
    """A share with an interval over people: those of ``of`` votes whose voter is known. ``variance``: of the share."""

    value: float
    low: float
    high: float
    of: int
    users: int
    variance: float


@dataclass(frozen=True)
class EqualLength:
    """A win rate for answers of equal length. ``slope``: above 0, the longer answer is liked more; ``slope_p``: by
    chance, with this probability."""

    value: float
    low: float
    high: float
    of: int
    slope: float
    slope_p: float


@dataclass(frozen=True)
class Position:
    """How often the left answer of a blind comparison won, and the probability of as much by chance."""

    share: Share
    p: float


@dataclass(frozen=True)
class Counts:
    """Votes of a pair, from the first arm's side. ``win_rate``: a tie counts half, "both bad" is left out."""

    votes: int
    wins: int
    losses: int
    ties: int
    both_bad: int
    win_rate: Share
    p: float


@dataclass(frozen=True)
class Slice:
    """The votes of a pair on some of the questions. ``p_holm``: adjusted for the number of slices looked at."""

    value: str
    counts: Counts
    p_holm: float = 1.0


@dataclass(frozen=True)
class Needed:
    """``total``: votes with which 60 % of the decided ones are told from 50 %, with a power of 80 %, at the present
    share of ties and of votes by the same people; ``more``: of those, how many are missing."""

    total: int
    more: int
    design_effect: float


@dataclass(frozen=True)
class Pair:
    """``verdict``: "first", "second", "open" (too few votes) or "even" (enough, and no difference to speak of)."""

    arms: tuple[str, str]
    counts: Counts
    by_user: ByUser | None
    equal_length: EqualLength | None
    first_position: Position
    needed: Needed
    verdict: str
    slices: dict[str, tuple[Slice, ...]] = field(default_factory=dict)
    sentence: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Median and 95th percentile of ``of`` values."""

    p50: float
    p95: float
    of: int


@dataclass(frozen=True)
class Voice:
    """What an arm has answered. From ``looked_at`` on, of its newest answers. ``citations``: of its citations, those
    whose sentence is borne out by the source, as checked when it answered."""

    arm: str
    answers: int
    refused: Share
    degraded: Share
    failed: int
    up: int
    down: int
    looked_at: int
    first_ms: Spread | None
    total_ms: Spread | None
    tokens: Spread | None
    length: Spread | None
    citations: Share


@dataclass(frozen=True)
class Scores:
    """An arm in an evaluation run: means over its questions. ``refusals_right``: refused what the docs do not hold, and
    answered what they hold."""

    arm: str
    questions: int
    facts_recalled: Share
    citation_precision: Share
    citation_recall: Share
    faithful: Share
    refused: Share
    refusals_right: Share
    total_ms: Spread | None
    tokens: Spread | None
    length: Spread | None


@dataclass(frozen=True)
class Run:
    """An evaluation run. ``file``: its name in DOCDUET_HOME/evals."""

    file: str
    set: str
    started_at: str
    scores: tuple[Scores, ...]


@dataclass(frozen=True)
class Report:
    """Everything. ``router``: how often the vote went to the arm that the router believed in more."""

    votes: int
    users: int
    sentence: dict[str, str]
    pairs: tuple[Pair, ...]
    voices: tuple[Voice, ...]
    router: Position
    comparisons: int
    runs: tuple[Run, ...] = ()
    problems: tuple[str, ...] = ()
    filters: dict[str, Any] = field(default_factory=dict)
    made_at: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def from_dict(body: dict[str, Any]) -> Report:
    """What `as_dict` gave. ValueError (pydantic's) for anything else."""
    from pydantic import TypeAdapter

    return TypeAdapter(Report).validate_python(body)
