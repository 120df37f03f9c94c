"""Training and validation, so that validation measures something: no page and no question family lies on both sides.

Samples that share a page or a family form one group, and so do those joined through others. Groups go to validation
whole, small ones first come by hash, until it has its share. When a dataset is brought up to date (`--diff`), what it
was trained on stays out of validation and the other way round: its pages and families are `Sides`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sft.rules.text import number_of
from sft.types import Sample

Key = tuple[str, str]
"""("page", url) or ("family", name)."""

Sides = Mapping[Key, Literal["train", "val"]]
"""Where pages and families lie already."""


@dataclass(frozen=True)
class Split:
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]


def keys(sample: Sample) -> Iterator[Key]:
    """What must not lie on both sides."""
    yield "family", sample.family
    yield from (("page", url) for url in sample.pages)


def split(samples: Sequence[Sample], share: float, seed: int = 0, sides: Sides | None = None) -> Split:
    """About ``share`` of the samples for validation, fewer where groups are too large (0: none); order is kept.

    Groups that ``sides`` knows lie there (`on_one_side` has made sure that they can).
    """
    groups = _groups(samples)
    members: dict[int, list[int]] = {}
    for at, group in enumerate(groups):
        members.setdefault(group, []).append(at)
    known = {group: _sides_of((samples[at] for at in members[group]), sides or {}) for group in members}
    chosen = {group for group in members if "val" in known[group]}
    left = int(len(samples) * share) - sum(len(members[group]) for group in chosen)
    for group in sorted(members, key=lambda group: number_of(str(seed), samples[members[group][0]].family)):
        if not known[group] and len(members[group]) <= left:
            chosen.add(group)
            left -= len(members[group])
    train = tuple(sample for sample, group in zip(samples, groups, strict=True) if group not in chosen)
    val = tuple(sample for sample, group in zip(samples, groups, strict=True) if group in chosen)
    return Split(train, val)


def on_one_side(samples: Sequence[Sample], sides: Sides) -> tuple[list[Sample], list[Sample]]:
    """(those that can be put on one side, those that would tie training and validation together)."""
    kept: list[Sample] = []
    torn: list[Sample] = []
    for sample in samples:
        (torn if len(_sides_of([sample], sides)) == 2 else kept).append(sample)
    groups = _groups(kept)
    members: dict[int, list[Sample]] = {}
    for sample, group in zip(kept, groups, strict=True):
        members.setdefault(group, []).append(sample)
    tied = {group for group, found in members.items() if len(_sides_of(found, sides)) == 2}
    out = {at for at, group in enumerate(groups) if group in tied and "val" in _sides_of([kept[at]], sides)}
    return (
        [sample for at, sample in enumerate(kept) if at not in out],
        [*torn, *(sample for at, sample in enumerate(kept) if at in out)],
    )


def _sides_of(samples: Iterable[Sample], sides: Sides) -> set[str]:
    return {sides[key] for sample in samples for key in keys(sample) if key in sides}


def _groups(samples: Sequence[Sample]) -> list[int]:
    """The group of each sample (union-find over pages and families)."""
    parent = list(range(len(samples)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[Key, int] = {}
    for at, sample in enumerate(samples):
        for key in keys(sample):
            parent[root(at)] = root(first.setdefault(key, at))
    return [root(at) for at in range(len(samples))]
