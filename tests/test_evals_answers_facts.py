"""Facts and steps, found in answers: against examples counted by hand."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.answers.facts import facts_recalled, recalled
from evals.answers.steps import completeness, longest_in_order
from evals.answers.text import normalised, visible
from evals.questions import Fact

PORT = Fact("The gateway listens on port 7860.", (("7860",), ("port", "listens")))
ANSWER = "By default the gateway **listens** on `7860` [1]."


@pytest.mark.parametrize(
    ("keys", "answer", "found"),
    [
        ((("7860",), ("port", "listens")), ANSWER, True),
        ((("7860",), ("socket",)), ANSWER, False),  # AND
        ((("7860", "8080"),), "It is 8080.", True),  # OR
        ((("5",),), "Wait 15 seconds, 0.5 or 5.5 of them, or 500.", False),  # whole numbers
        ((("5",),), "Wait 5 s.", True),
        ((("5 seconds",),), "after 5\n  seconds.", True),
        ((("port",),), "This is supported and important.", False),  # a word's beginning
        ((("restart",),), "It is restarted.", True),
        ((("1000",),), "at most 1,000 pages", True),
        ((("start_timeout_s",),), "Set `start_timeout_s`.", True),
        ((("监听 7860 端口",),), "网关默认监听7860端口。", True),
        ((("７８６０",), ("端口：",)), "端口: 7860", True),  # NFKC
        ((("re:within \\d+ (s|seconds)",),), "It stops Within 10 Seconds.", True),
        ((("re:^never$",),), "It never does.", False),
        ((("1",),), "See the page [1].", False),  # a marker is no statement
    ],
)
def test_keys_are_groups_of_alternatives(keys: tuple[tuple[str, ...], ...], answer: str, found: bool) -> None:
    assert recalled(Fact("", keys), answer) is found


def test_a_fact_without_keys_must_be_said_by_the_answer() -> None:
    fact = Fact("The gateway listens on port 7860.")
    assert recalled(fact, "By default the gateway listens on port 7860 [1]. Change it with `--port`.")
    assert not recalled(fact, "By default the gateway listens on port 8080.")
    assert not recalled(fact, "The chat app is a web page.")
    assert not recalled(fact, "")


def test_the_share_of_facts_and_what_is_missing() -> None:
    other = Fact("Ctrl-C stops it.", (("ctrl-c",),))
    assert facts_recalled([PORT, other], ANSWER) == (0.5, (other,))
    assert facts_recalled([PORT], "") == (0.0, (PORT,))


def test_texts_are_brought_to_one_spelling() -> None:
    assert normalised("**Set**\u3000`A`  to “1,000”") == 'set a to "1000"'
    assert normalised("端口 7860 ，默认") == "端口7860,默认"
    assert visible("a b [1]\n c") == 3


STEPS = tuple(Fact(word, ((word,),)) for word in ("install", "configure", "restart", "check"))


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("1. Install it.\n2. Configure it.\n3. Restart it.\n4. Check it.", 1.0),
        ("First install, then configure; restart and check.", 1.0),
        ("1. Restart it.\n2. Install it.\n3. Configure it.\n4. Check it.", 0.75),
        ("Check. Restart. Configure. Install.", 0.25),
        ("Install it and check it.", 0.5),
        ("Before you restart: install. Then configure. Now restart. Check.", 1.0),  # said twice, once in its place
        ("## Install\n\n```\nconfigure\n```\n\nThen restart.", 0.75),
        ("", 0.0),
    ],
)
def test_steps_count_in_their_order(answer: str, share: float) -> None:
    assert completeness(STEPS, answer) == share


def test_a_step_that_is_said_over_two_sentences_counts_where_it_ends() -> None:
    wide = Fact("", (("restart",), ("engine",)))
    after = Fact("", (("done",),))
    assert completeness([wide, after], "Press restart. That is for the engine. Done.") == 1.0
    assert completeness([after, wide], "Press restart. Done. That is for the engine.") == 1.0


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=6))
def test_the_longest_chain_is_the_one_of_trying_all(places: list[list[int]]) -> None:
    def fits(chosen: tuple[int, ...]) -> bool:
        at = -1
        for step in chosen:
            later = [place for place in places[step] if place >= at]
            if not later:
                return False
            at = min(later)
        return True

    sizes = range(len(places), -1, -1)
    best = next(size for size in sizes if any(fits(chosen) for chosen in combinations(range(len(places)), size)))
    assert longest_in_order(places) == best
