"""Training and validation, so that validation measures something: no page and no question family lies on both sides.

Samples that share a page or a family form one group, and so do those joined through others. Groups go to validation
whole, small ones first come by hash, until it has its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sft.rules.text import number_of
from sft.types import Sample


@dataclass(frozen=True)
class Split:
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]


def split(samples: Sequence[Sample], share: float, seed: int = 0) -> Split:
    """About ``share`` of the samples for validation, fewer where groups are too large; order is kept."""
    groups = _groups(samples)
    members: dict[int, list[int]] = {}
    for at, group in enumerate(groups):
        members.setdefault(group, []).append(at)
    left = int(len(samples) * share)
    chosen: set[int] = set()
    for group in sorted(members, key=lambda group: number_of(str(seed), samples[members[group][0]].family)):
        if len(members[group]) <= left:
            chosen.add(group)
            left -= len(members[group])
    train = tuple(sample for sample, group in zip(samples, groups, strict=True) if group not in chosen)
    val = tuple(sample for sample, group in zip(samples, groups, strict=True) if group in chosen)
    return Split(train, val)


def _groups(samples: Sequence[Sample]) -> list[int]:
    """The group of each sample (union-find over pages and families)."""
    parent = list(range(len(samples)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[tuple[str, str], int] = {}
    for at, sample in enumerate(samples):
        for key in [("family", sample.family), *(("page", url) for url in sample.pages)]:
            parent[root(at)] = root(first.setdefault(key, at))
    return [root(at) for at in range(len(samples))]
