"""Mixtures: shares of tokens, what is missing or scarce, limits, presets, and files that are wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data.errors import ConfigError
from data.types import Page
from sft.build import build
from sft.card import card
from sft.mixture import Mixture, load_mixture, mix, presets
from sft.rules.writer import RuleWriter
from sft.tokens import Estimate, of_messages
from sft.types import Sample, Shape
from tests.test_sft_dataset import sample
from tests.test_sft_rules import ENGLISH


def many(shape: Shape, count: int, size: int) -> list[Sample]:
    return [
        sample(f"{shape} question {n}?", f"{shape} {n} " * size, shape, page=f"{shape}{n}.md", family=f"{shape}{n}")
        for n in range(count)
    ]


def test_shares_are_of_tokens() -> None:
    pool = [*many("single", 400, 5), *many("whole-page", 40, 200)]
    mixed = mix(pool, Mixture("m", {"single": 0.25, "whole-page": 0.75}), Estimate())
    total = sum(mixed.tokens.values())
    assert mixed.tokens["single"] / total == pytest.approx(0.25, abs=0.02)
    assert mixed.limited_by in ("single", "whole-page")
    recount = sum(of_messages(one.messages, Estimate()) for one in mixed.samples if one.shape == "single")
    assert recount == mixed.tokens["single"]


def test_a_missing_shape_gives_its_share_to_the_others_and_repeat_stretches_a_scarce_one() -> None:
    pool = [*many("single", 100, 5), *many("broad", 25, 5)]
    shares = {"single": 0.5, "broad": 0.3, "replay": 0.2}
    once, thrice = (mix(pool, Mixture("m", shares, repeat), Estimate()) for repeat in (1, 3))
    assert once.missing == ("replay",)
    assert once.limited_by == "broad"
    assert once.scarce == ()
    assert len(thrice.samples) > 2 * len(once.samples)


def test_a_shape_of_one_sample_does_not_limit_the_whole() -> None:
    pool = [*many("single", 300, 5), *many("broad", 50, 5), *many("comparison", 1, 5), *many("raft", 2, 5)]
    shares = {"single": 0.5, "broad": 0.25, "comparison": 0.15, "raft": 0.1}
    mixed = mix(pool, Mixture("m", shares, repeat=2), Estimate())
    assert (mixed.scarce, mixed.limited_by, mixed.missing) == (("comparison", "raft"), "broad", ())
    counts = Counter(one.shape for one in mixed.samples)
    assert (counts["comparison"], counts["raft"]) == (2, 4)  # all there are, as often as they may come
    assert mixed.tokens["single"] / mixed.tokens["broad"] == pytest.approx(2, rel=0.02)
    assert counts["broad"] == 100


def test_repeats_stretch_scarce_shapes_and_never_double_the_whole() -> None:
    pool = [*many("single", 100, 5), *many("broad", 40, 5), *many("unanswerable", 100, 1)]
    shares = {"single": 0.6, "broad": 0.39, "unanswerable": 0.01}
    mixed = mix(pool, Mixture("m", shares, repeat=3), Estimate())
    assert mixed.limited_by == ""
    counts = Counter(one.shape for one in mixed.samples)
    assert counts["single"] == 100  # each once
    assert counts["broad"] == pytest.approx(65, abs=2)
    assert len({one.id for one in mixed.samples}) == 140 + counts["unanswerable"]


def test_shapes_that_are_only_somewhat_scarce_keep_to_the_shares() -> None:
    pool = [*many("single", 300, 5), *many("broad", 60, 5)]
    mixed = mix(pool, Mixture("m", {"single": 0.7, "broad": 0.3}), Estimate())
    assert (mixed.scarce, mixed.limited_by) == ((), "broad")
    assert mixed.tokens["broad"] / sum(mixed.tokens.values()) == pytest.approx(0.3, abs=0.02)


def test_what_a_mixture_is_mostly_made_of_always_limits_it() -> None:
    """The article's short answers stay short answers where there are many conversations."""
    mixed = mix([*many("single", 200, 5), *many("multi-turn", 2000, 5)], load_mixture("article-short"), Estimate())
    assert (mixed.scarce, mixed.limited_by) == ((), "single")
    assert mixed.tokens["single"] / sum(mixed.tokens.values()) == pytest.approx(0.95, abs=0.02)
    half = mix([*many("single", 4, 5), *many("broad", 400, 5)], Mixture("m", {"single": 0.5, "broad": 0.5}), Estimate())
    assert half.limited_by == "single"


def test_a_small_limit_that_all_shapes_can_meet_makes_none_scarce() -> None:
    pool = [*many("single", 400, 5), *many("broad", 10, 5)]
    mixture = Mixture("m", {"single": 0.6, "broad": 0.4})
    assert mix(pool, mixture, Estimate()).scarce == ("broad",)
    few, more = (mix(pool, mixture, Estimate(), limit) for limit in (20, 100))
    assert few.scarce == ()
    assert sum(one.shape == "broad" for one in few.samples) == pytest.approx(8, abs=2)
    assert more.scarce == ("broad",)
    assert sum(one.shape == "broad" for one in more.samples) == pytest.approx(10, abs=2)
    assert 95 <= len(more.samples) <= 100


def test_one_page_gives_what_it_has_and_the_card_says_what_is_scarce() -> None:
    page = Page("tool.md", "Tool", ENGLISH, "en")
    facts = build([page], [RuleWriter()], load_mixture("balanced"), Estimate(), 4096, None)
    kept = facts.drafts - len(facts.rejects)
    assert len({one.id for one in facts.mixed.samples}) > 0.45 * kept
    assert facts.mixed.scarce
    for shape in facts.mixed.scarce:
        assert f"samples of shape {shape}, too few for its share" in card(facts)
    assert facts.as_dict()["scarce"] == list(facts.mixed.scarce)


def test_a_limit_keeps_the_shares() -> None:
    pool = [*many("single", 200, 5), *many("broad", 200, 5)]
    mixed = mix(pool, Mixture("m", {"single": 0.5, "broad": 0.5}), Estimate(), limit=20)
    assert len(mixed.samples) <= 20
    assert abs(sum(one.shape == "single" for one in mixed.samples) - 10) <= 2


@pytest.mark.parametrize("name", presets())
def test_the_presets_add_up(name: str) -> None:
    assert sum(load_mixture(name).shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shares: {single: 0.5, broad: 0.4}", "add up to 0.9"),
        ("shares: {singel: 1.0}", "unknown shape 'singel'"),
        ("shares: {single: much}", "must be a number"),
        ("share: {single: 1}", "needs a table"),
        ("shares: {single: 1.0}\nrepeat: 0", "repeat"),
        ("shares: [", "not YAML"),
    ],
)
def test_a_broken_mixture_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_mixture(str(path))


def test_an_unknown_mixture_names_the_presets() -> None:
    with pytest.raises(ConfigError, match="balanced"):
        load_mixture("no-such")
