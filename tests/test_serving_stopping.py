"""`stop` ends an answer before the sequence, however it comes in, and never inside a marker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.arms.events import Cited, Event, Finished, Reasoning, Started, Text
from serving.arms.findings import Sentence, Unsupported
from serving.arms.sources import Source
from serving.arms.stopping import StopFilter, for_cited, stopped

ONE = Source(1, "p", "u", "Title", (), "quote", (), "en", 1.0)
TWO = replace(ONE, n=2)
DONE = Finished("rag", sources=(ONE, TWO), finish_reason="length", usage={"total_tokens": 9})


def said(events: list[Event]) -> str:
    return "".join(e.text if isinstance(e, Text) else e.marker for e in events if isinstance(e, Text | Cited))


def run(events: list[Event], *stops: str) -> list[Event]:
    stopper = StopFilter(stops)
    return [passed for event in events for passed in stopper.feed(event)]


@pytest.mark.parametrize(
    ("stops", "expected", "sources"),
    [
        (("END",), "Port [1] and more [2].", [1, 2]),
        ((" and",), "Port [1]", [1]),
        (("more", "and"), "Port [1] ", [1]),
        (("[1]",), "Port ", []),
        (("]",), "Port ", []),
        (("1] an",), "Port ", []),
        (("[2",), "Port [1] and more ", [1]),
        ((".",), "Port [1] and more [2]", [1, 2]),
        (("more [2].x",), "Port [1] and more [2].", [1, 2]),
    ],
)
def test_the_first_sequence_ends_the_answer(stops: tuple[str, ...], expected: str, sources: list[int]) -> None:
    events = [Text("Port "), Cited(ONE, True), Text(" and "), Text("more "), Cited(TWO, True), Text(".")]
    passed = run([Started("q", False), *events, DONE], *stops)
    assert said(passed) == expected
    last = passed[-1]
    assert isinstance(last, Finished)
    assert [source.n for source in last.sources] == sources
    assert last.usage == DONE.usage
    assert last.finish_reason == ("length" if expected.endswith("].") else "stop")


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "🙂", "\n", ONE, TWO]), max_size=12),
    st.lists(st.text("ab🙂\n[1]", min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_like_cutting_the_whole_text(pieces: list[str | Source], stops: list[str], cut: int) -> None:
    """A second implementation: the whole text first, then the cut, then back to the marker's beginning."""
    events = [Text(piece) if isinstance(piece, str) else Cited(piece, True) for piece in pieces]
    whole, ends, inside = "", [], set()
    for event in events:
        start, whole = len(whole), whole + said([event])
        if isinstance(event, Cited):
            inside |= {(at, start) for at in range(start + 1, len(whole))}
    ends = [whole.index(stop) for stop in stops if stop in whole]
    end = dict(inside).get(min(ends), min(ends)) if ends else len(whole)
    small: list[Event] = [
        part
        for event in events
        for part in (
            [Text(event.text[i : i + cut]) for i in range(0, len(event.text), cut)]
            if isinstance(event, Text)
            else [event]
        )
    ]
    assert said(run([*small, DONE], *stops)) == whole[:end]


def test_what_was_found_out_about_the_rest_is_cut_off_too() -> None:
    sentences = (Sentence(0, 4), Sentence(5, 12))
    done = replace(DONE, support=sentences, unsupported=(Unsupported(5, 12, 1),))
    last = run([Text("One. Two STOP."), done], " STOP")[-1]
    assert isinstance(last, Finished)
    assert (last.support, last.unsupported) == (sentences[:1], ())


def test_thinking_after_the_end_is_cut_too_and_text_is_not_held_longer_than_needed() -> None:
    stopper = StopFilter(("STOP",))
    assert stopper.feed(Text("Hello S")) == [Text("Hello ")]
    assert stopper.feed(Text("T")) == []
    assert said(stopper.feed(Text("art"))) == "START"[:1] + "Tart"
    assert stopper.feed(Text("STOP!")) == []
    assert stopper.hit
    assert stopper.feed(Reasoning("hm")) == []


def test_engines_are_not_told_what_could_cut_a_marker() -> None:
    assert for_cited({"stop": ["END", "]", "\n", "7", " "], "seed": 1}) == {"stop": ["END", "\n"], "seed": 1}
    assert for_cited({"stop": "1"}) == {}


async def test_each_choice_stops_by_itself() -> None:
    async def choices():  # type: ignore[no-untyped-def]
        for index, text in ((0, "a."), (1, "b"), (0, "c"), (1, "d")):
            yield index, Text(text)

    passed = [choice async for choice in stopped(choices(), (".",))]
    assert passed == [(0, Text("a")), (1, Text("b")), (1, Text("d"))]
