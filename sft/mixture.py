"""How much of each shape: shares of tokens, not of samples, so that a whole page does not weigh as much as a default.

A mixture is a YAML file; presets lie in recipes/mixtures/ and go by their bare name. The scarcest shape limits the
whole: shares are kept, not stretched, and the card says which shape it was. But a shape of which there is next to
nothing does not: it comes with all it has, and the rest of its share goes to the others (`_scarce`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from sft.rules.text import number_of, shuffled
from sft.tokens import Counter, of_messages
from sft.types import SHAPES, Sample

FOLDER = Path(__file__).parents[1] / "recipes" / "mixtures"

SCARCE = 2.0
"""A shape is scarce when the dataset would have more than so many times its tokens without heeding it."""

MOST_SCARCE = 0.5
"""Scarce shapes have less than this part of the shares together: what a mixture is mostly made of always limits it."""


@dataclass(frozen=True)
class Mixture:
    """``shares``: shape -> share of tokens, adding up to 1. ``repeat``: how often a scarce shape's sample may come."""

    name: str
    shares: Mapping[str, float]
    repeat: int = 1
    description: str = ""


@dataclass(frozen=True)
class Mixed:
    """``samples`` in training order. ``tokens``: shape -> tokens in it. ``taken``: shape -> which part of the tokens at
    hand that is (over 1 where samples repeat). ``missing``: shapes wanted of which there are none, ``scarce``: of which
    there are too few; their share, or what was left of it, went to the others. ``limited_by``: the shape that ran out
    first among the rest; "" when none did, and more would only have repeated most of it."""

    samples: tuple[Sample, ...]
    tokens: Mapping[str, int] = field(default_factory=dict)
    taken: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    limited_by: str = ""
    scarce: tuple[str, ...] = ()


def presets() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_mixture(name: str) -> Mixture:
    """The mixture in the file ``name``, or the preset of that name. Raises ConfigError."""
    import yaml

    path = Path(name).expanduser()
    if not path.suffix and not path.is_file():
        path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"no mixture {name!r}: give a .yaml file, or one of: {', '.join(presets())}")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    return _checked(path, read)


def _checked(path: Path, read: Any) -> Mixture:
    if not isinstance(read, dict) or not isinstance(read.get("shares"), dict):
        raise ConfigError(f"{path} needs a table `shares` such as {{single: 0.7, how-to: 0.3}}")
    unknown = sorted(set(read) - {"shares", "repeat", "description"})
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; known are shares, repeat and description")
    shares, repeat = read["shares"], read.get("repeat", 1)
    for shape, share in shares.items():
        if shape not in SHAPES:
            raise ConfigError(f"{path}: unknown shape {shape!r}; known are {', '.join(SHAPES)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ConfigError(f"{path}: the share of {shape} is {share!r}; it must be a number from 0 to 1")
    total = math.fsum(shares.values())
    if abs(total - 1) > 1e-6:
        raise ConfigError(f"{path}: the shares add up to {total:g}, not to 1; change them by {1 - total:+g} in all")
    if isinstance(repeat, bool) or not isinstance(repeat, int) or not 1 <= repeat <= 20:
        raise ConfigError(f"{path}: repeat is {repeat!r}; it must be a whole number from 1 to 20")
    return Mixture(
        path.stem, {shape: float(shares[shape]) for shape in shares}, repeat, str(read.get("description", ""))
    )


def mix(samples: Sequence[Sample], mixture: Mixture, counter: Counter, limit: int = 0, seed: int = 0) -> Mixed:
    """As many tokens as the shares allow, drawn with ``seed``; at most ``limit`` samples (0: no limit).

    Imported samples come whole and on top in a mixture that gives them no share: somebody wrote each by hand.
    """
    sizes = {id(sample): of_messages(sample.messages, counter) for sample in samples}
    pools: dict[str, list[Sample]] = {}
    for sample in samples:
        if mixture.shares.get(sample.shape) or _is_on_top(sample, mixture):
            pools.setdefault(sample.shape, []).append(sample)
    if not pools:
        wanted = ", ".join(shape for shape, share in mixture.shares.items() if share)
        raise ConfigError(f"mixture {mixture.name}: there are no samples of its shapes ({wanted})")
    whole = {shape: sum(sizes[id(one)] for one in pool) for shape, pool in pools.items()}
    missing = tuple(shape for shape, share in mixture.shares.items() if share and shape not in pools)
    on_top = [] if "imported" in mixture.shares else pools.pop("imported", [])
    on_top = shuffled(on_top, str(seed), "on top", key=_id)[:limit] if limit else on_top
    left = limit - len(on_top) if limit else -1
    filled = _fill(pools, mixture, left, sizes, seed) if pools and left else _Filled({})
    chosen = _ordered([*on_top, *(one for drawn in filled.drawn.values() for one in drawn)], (), seed)
    tokens = dict.fromkeys(whole, 0)
    for sample in chosen:
        tokens[sample.shape] += sizes[id(sample)]
    taken = {shape: tokens[shape] / whole[shape] for shape in whole}
    return Mixed(chosen, tokens, taken, missing, filled.limited_by, filled.scarce)


def refill(
    base: Sequence[Sample],
    samples: Sequence[Sample],
    taken: Mapping[str, float],
    mixture: Mixture,
    counter: Counter,
    limit: int = 0,
) -> Mixed:
    """``base`` as it is, and of ``samples`` the part that ``taken`` says: as a whole build would have drawn them.

    Each sample's own hash decides, so that a page's samples do not depend on what else has changed. A shape that
    ``taken`` does not know is taken whole. Nothing is added beyond ``limit`` samples in all (0: no limit).
    """
    drawn = []
    for sample in samples:
        if mixture.shares.get(sample.shape) or _is_on_top(sample, mixture):
            times = taken.get(sample.shape, 1.0)
            drawn += [sample] * (int(times) + (number_of("refill", sample.id) / 2**64 < times % 1))
    if limit:
        drawn = shuffled(drawn, "limit", key=_id)[: max(0, limit - len(base))]
    chosen = _ordered(drawn, base, 0)
    tokens: dict[str, int] = {}
    for sample in chosen:
        tokens[sample.shape] = tokens.get(sample.shape, 0) + of_messages(sample.messages, counter)
    missing = tuple(shape for shape, share in mixture.shares.items() if share and shape not in tokens)
    return Mixed(chosen, tokens, {**dict.fromkeys(tokens, 1.0), **taken}, missing)


def _is_on_top(sample: Sample, mixture: Mixture) -> bool:
    return sample.shape == "imported" and "imported" not in mixture.shares


def _id(sample: Sample) -> str:
    return sample.id


@dataclass(frozen=True)
class _Filled:
    """``drawn``: shape -> its samples."""

    drawn: Mapping[str, list[Sample]]
    limited_by: str = ""
    scarce: tuple[str, ...] = ()


def _fill(
    pools: Mapping[str, list[Sample]], mixture: Mixture, limit: int, sizes: Mapping[int, int], seed: int
) -> _Filled:
    """The samples of each shape. ``limit`` < 0: none. A limit that the scarcest shape can meet makes nothing scarce."""
    room = {shape: sum(sizes[id(one)] for one in pool) * mixture.repeat for shape, pool in pools.items()}
    order = sorted(pools, key=lambda shape: room[shape] / mixture.shares[shape])
    levels = [room[shape] / mixture.shares[shape] for shape in order]
    once = levels[_middle(mixture.shares, order)] / mixture.repeat  # more would say most of it again
    last = _scarce(room, mixture.shares, order, [min(level, once) for level in levels])
    for scarce in range(last + 1):
        level = min(levels[scarce], once)
        drawn = _draw(pools, _budgets(room, mixture.shares, level), sizes, seed)
        count = sum(map(len, drawn.values()))
        if 0 <= limit < count:
            less = _draw(pools, _budgets(room, mixture.shares, level * limit / count), sizes, seed)
            places = [(shape, at) for shape, pool in less.items() for at in range(len(pool))]
            kept = shuffled(places, str(seed))[:limit]
            few = {shape: [less[shape][at] for one, at in kept if one == shape] for shape in less}
            return _Filled(few, scarce=tuple(order[:scarce]))
    return _Filled(drawn, order[last] if levels[last] <= once else "", tuple(order[:last]))


def _middle(shares: Mapping[str, float], order: Sequence[str]) -> int:
    """The place in ``order`` at which more than half of the shares are reached."""
    upto = list(accumulate(shares[shape] for shape in order))
    return next(at for at, share in enumerate(upto) if share > upto[-1] / 2)


def _budgets(room: Mapping[str, float], shares: Mapping[str, float], level: float) -> dict[str, float]:
    """Tokens of each shape: ``level`` times its share, or all it has."""
    return {shape: min(level * shares[shape], room[shape]) for shape in room}


def _scarce(
    room: Mapping[str, float], shares: Mapping[str, float], order: Sequence[str], levels: Sequence[float]
) -> int:
    """How many of ``order``, scarcest first, are not heeded: the fewest after which heeding no more of them would not
    double the whole (SCARCE). ``room``: tokens that each shape has, repeats included; ``levels``: what each allows."""
    whole = math.fsum(shares[shape] for shape in order)
    upto = [at for at in range(len(order)) if math.fsum(shares[one] for one in order[:at]) < MOST_SCARCE * whole]
    totals = [math.fsum(_budgets(room, shares, levels[at]).values()) for at in upto]  # never less than the one before
    return next(at for at in upto if totals[at] * SCARCE >= totals[-1])


def _ordered(drawn: Sequence[Sample], base: Sequence[Sample], seed: int) -> tuple[Sample, ...]:
    """Shuffled; ``base`` keeps its order, and what was drawn comes in between."""
    copies: dict[str, int] = {}
    placed = [((at + 0.5) / len(base), "", sample) for at, sample in enumerate(base)]
    for sample in drawn:
        copy = copies[sample.id] = copies.get(sample.id, 0) + 1
        placed.append((number_of(str(seed), sample.id, str(copy)) / 2**64, sample.id, sample))
    return tuple(sample for _, _, sample in sorted(placed, key=lambda one: one[:2]))


def _draw(
    pools: Mapping[str, list[Sample]], budgets: Mapping[str, float], sizes: Mapping[int, int], seed: int
) -> dict[str, list[Sample]]:
    """Shape -> samples, each pool in a drawn order, again from its start when it ends, up to its budget."""
    drawn: dict[str, list[Sample]] = {}
    for shape, pool in pools.items():
        order = shuffled(range(len(pool)), str(seed), shape)
        left, at, drawn[shape] = budgets[shape] + 0.5, 0, []
        while left >= sizes[id(pool[order[at % len(pool)]])] or not drawn[shape]:
            sample = pool[order[at % len(pool)]]
            drawn[shape].append(sample)
            left -= sizes[id(sample)]
            at += 1
    return drawn
