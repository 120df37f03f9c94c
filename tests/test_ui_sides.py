"""Two answers side by side as HTML, and votes: what is sent and what comes back. The browser's part is in tests/e2e."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tests.fake_gateway import serving, source
from ui.chat.render import item, turn_html
from ui.client import Gateway, RequestError
from ui.events import Source
from ui.i18n import Words
from ui.sides.client import cast, chosen, comment_of, reply_of, split, vote_of
from ui.sides.render import citations, differences, size
from ui.sides.voting import Voting
from ui.turns import Reply, Turn, Vote, dump, load, messages, on_page, stopped

EN, ZH = Words("en"), Words("zh")
CARD = Source(1, "Ports", quote="Set the port.", href="/pages/p1")
TIMES = {"first_token": 400.0, "total": 1900.0}
READ = Reply("done", "It is 7860 [1]. Change it with `--port` [1].", sources=(CARD,), arm="rag", timings_ms=TIMES)
LEARNED = Reply("done", "It is 7860. Restart it afterwards.", arm="sft", timings_ms=TIMES)
TWO = Turn("k1", "How?", "compare", answer_id="ans_1", replies=(READ, LEARNED))
BLIND = replace(TWO, voice="blind", blind=True, replies=(Reply("done", "It is 7860."), Reply("done", "Port 7860.")))


def test_each_side_has_its_length_citations_time_and_sources() -> None:
    html = turn_html(TWO, EN)
    left, right = html.split('class="dd-side"')[1:]
    assert "7 words · 2 citations · first word 0.4 s · total 1.9 s" in left
    assert "6 words · no citations · first word 0.4 s" in right
    assert left.count('class="dd-card"') == 1
    assert "<details><summary>Sources (1)" in left  # folded, so that the vote stays in sight
    assert 'class="dd-card"' not in right
    assert "无引用" in turn_html(TWO, ZH)


@pytest.mark.parametrize(("answer", "length"), [
    ("It's `--port 80` [1], ok?", (4, "words")), ("端口是 7860 [1]。", (4, "characters")), ("", (0, "words")),
    ("Read 端口 now please", (3, "words")), ("| a | b |\n|-|-|\n| 1 | 2 |\n", (4, "words")),
])  # fmt: skip
def test_length_is_words_or_for_chinese_characters(answer: str, length: tuple[int, str]) -> None:
    assert size(answer) == length


def test_only_markers_of_a_source_are_citations() -> None:
    assert citations(replace(READ, answer="a [1] b [2] c [1]")) == 2


def test_differences_wait_for_both_and_for_two_answers() -> None:
    assert differences(TWO) == ({"Change it with `--port` [1]."}, {"Restart it afterwards."})
    assert "<mark>Restart it afterwards.</mark>" in turn_html(TWO, EN)
    refused, writing = replace(LEARNED, refused=True), replace(LEARNED, state="writing")
    for other in (refused, writing, Reply("failed", failure="gone")):
        html = turn_html(replace(TWO, replies=(READ, other)), EN)
        assert "<mark>" not in html
        assert 'data-switch="diff"' not in html
    same = turn_html(replace(TWO, replies=(LEARNED, LEARNED)), EN)
    assert "Both say the same" in same
    assert 'data-switch="diff"' not in same


def test_a_vote_is_asked_for_once_two_whole_answers_stand_there() -> None:
    assert 'data-vote="k1"' in turn_html(TWO, EN)
    assert 'data-vote="k1"' in turn_html(replace(TWO, voice="auto"), EN)
    writing, failed = replace(LEARNED, state="writing"), Reply("failed", failure="gone")
    for turn in (replace(TWO, replies=(READ,)), replace(TWO, replies=(READ, writing)), replace(TWO, answer_id=""),
                 stopped(replace(TWO, replies=(READ, writing))), replace(TWO, replies=(READ, failed))):  # fmt: skip
        assert "data-vote" not in turn_html(turn, EN)
    broken = turn_html(replace(BLIND, replies=(BLIND.replies[0], failed)), EN)
    assert "nothing to vote on" in broken


def test_before_a_blind_vote_the_sides_differ_in_their_words_alone() -> None:
    html = turn_html(BLIND, EN)
    assert not re.search(r"Reads|Learned|rag|sft|Side by side|citations|first word|sources|dd-card", html)
    left, right = re.findall("(?s)<section.*?</section>", html)
    assert re.sub(r"<p>.*?</p>|Left|\d", "", left) == re.sub(r"<p>.*?</p>|Right|\d", "", right)
    assert "named after your vote" in html
    assert item(BLIND, EN)["copies"] == [{"text": text, "sources": ""} for text in ("It is 7860.", "Port 7860.")]


def test_after_the_vote_it_is_shown_and_only_an_open_one_can_be_changed() -> None:
    voted = replace(TWO, vote=Vote("1", ("complete",), "<b>so</b>"))
    html = turn_html(voted, EN)
    assert "You found the right answer better" in html
    assert "Left: Reads the docs · Right: Learned the docs" in html
    assert "More complete" in html
    assert '<q dir="auto">&lt;b&gt;so&lt;/b&gt;</q>' in html
    assert 'value="1" checked' in html
    assert 'value="complete" checked' in html
    assert "Change vote" in html
    assert "你认为右侧的回答更好" in turn_html(voted, ZH)
    revealed = turn_html(replace(voted, blind=True), EN)
    assert "Change vote" not in revealed
    assert "data-vote" not in revealed
    assert "2 citations" in revealed


def test_a_turn_keeps_its_vote_and_an_older_one_has_none() -> None:
    voted = replace(TWO, vote=Vote("tie", ("clear",), "so"), revision=2)
    assert load([dump(voted)]) == [voted]
    old = dump(TWO)
    del old["vote"], old["revision"]
    assert load([old]) == [TWO]
    assert load([{**old, "vote": {"winner": "2"}}]) == []


def test_the_better_answer_stands_for_its_turn_in_what_is_asked_next() -> None:
    assert messages([TWO], "And?")[1]["content"] == READ.answer
    assert messages([replace(TWO, vote=Vote("1"))], "And?")[1]["content"] == LEARNED.answer


@pytest.mark.parametrize(("comment", "parts"), [
    ("#clear #accurate so it is", (("clear", "accurate"), "so it is")), ("#clear", (("clear",), "")),
    ("#hash tag", ((), "#hash tag")), ("", ((), "")), ("no #clear", ((), "no #clear")),
])  # fmt: skip
def test_quick_reasons_stand_before_the_comment(comment: str, parts: tuple[tuple[str, ...], str]) -> None:
    assert split(comment) == parts
    assert comment_of(Vote("0", *parts)) == comment


@pytest.mark.parametrize("data", [{}, {"winner": "2"}, {"winner": ["0"]}, {"winner": None, "comment": "x"}])
def test_nonsense_from_the_browser_is_no_vote(data: dict[str, Any]) -> None:
    assert chosen(data) is None


def test_a_vote_from_the_browser_is_cut_to_what_it_may_hold() -> None:
    vote = chosen({"winner": "both_bad", "reasons": ["wrong", "clear", 7, "<b>"], "comment": f"  {'x' * 9000}"})
    assert vote == Vote("both_bad", ("wrong",), "x" * 2000)
    assert chosen({"winner": "0", "reasons": 5, "comment": 6}) == Vote("0")
    assert chosen({"winner": "0", "reasons": [["clear"], {}]}) == Vote("0")


KNOWN = {"refused": False, "degraded": None}
TOLD = {"arm": "rag", "sources": [source(1)], "timings_ms": {"total": 9.0}, **KNOWN}
CHOICES = [
    {
        "index": 0,
        "message": {"content": "It is 7860 [1].", "reasoning": "hm"},
        "finish_reason": "stop",
        "docduet": TOLD,
    },
    {"index": 1, "message": {"content": "Port 7860."}, "finish_reason": "stop", "docduet": {"arm": "sft", **KNOWN}},
]


class Booth:
    """A gateway that counts votes, or answers with an error."""

    def __init__(self) -> None:
        self.votes: list[dict[str, Any]] = []
        self.error: tuple[int, str] | None = None

    def app(self) -> FastAPI:
        app = FastAPI()
        app.post("/v1/votes")(self._vote)
        return app

    async def _vote(self, request: Request) -> Response:
        body = await request.json()
        if self.error:
            error = {"message": self.error[1], "type": "e", "code": "c", "param": None}
            return JSONResponse({"error": error}, self.error[0])
        self.votes.append({**body, "as": request.headers.get("authorization", "")})
        return JSONResponse({"object": "vote", **body, "arms": ["rag", "sft"], "created": 1, "choices": CHOICES})


@pytest.fixture(scope="module")
def booth() -> Booth:
    return Booth()


@pytest.fixture(scope="module")
def url(booth: Booth) -> Iterator[str]:
    with serving(booth.app()) as url:
        yield url


async def test_a_blind_vote_brings_names_sources_and_times(booth: Booth, url: str) -> None:
    gateway = Gateway(url, "dd_key")
    voted = await cast(gateway, BLIND, Vote("0", ("clear",), "so"))
    await gateway.aclose()
    assert booth.votes[-1] == {"answer_id": "ans_1", "winner": "0", "comment": "#clear so", "as": "Bearer dd_key"}
    assert (voted.vote, voted.revision) == (Vote("0", ("clear",), "so"), 1)
    left, right = voted.replies
    assert (left.arm, left.thinking, len(left.sources), left.timings_ms) == ("rag", "hm", 1, {"total": 9.0})
    assert (right.arm, right.answer, right.state) == ("sft", "Port 7860.", "done")
    assert not voted.secret


async def test_an_open_vote_leaves_the_replies_alone(booth: Booth, url: str) -> None:
    gateway = Gateway(url)
    assert (await cast(gateway, TWO, Vote("tie"))).replies == TWO.replies
    booth.error = (409, "it stays")
    with pytest.raises(RequestError, match="it stays"):
        await cast(gateway, TWO, Vote("tie"))
    booth.error = None
    await gateway.aclose()


def test_a_stored_vote_and_choice_are_read_back() -> None:
    assert vote_of(None) is None
    assert vote_of({"winner": "7"}) is None
    assert vote_of({"winner": "1", "comment": "#clear yes", "arms": []}) == Vote("1", ("clear",), "yes")
    failed = reply_of({"message": {"content": ""}, "finish_reason": "error", "docduet": {"error": {"message": "gone"}}})
    assert (failed.state, failed.failure) == ("failed", "gone")
    assert reply_of({"message": {"content": "x"}, "docduet": {"blind": True}}) == Reply("done", "x")


@pytest.mark.parametrize(("error", "says"), [
    (None, ""), ((409, "no"), "has been cast already"), ((404, "no"), "no such answer"), ((401, "no"), "sign in"),
    ((500, "disk full"), "disk full"),
])  # fmt: skip
async def test_the_page_gets_the_turn_anew_or_an_error_for_its_place(
    booth: Booth, url: str, error: tuple[int, str] | None, says: str
) -> None:
    voting = Voting(Gateway(url))
    value = {"lang": "en", "turns": [item(TWO, EN)]}
    booth.error = error
    answer = await voting.vote(value, event(key="k1", winner="0"))
    booth.error = None
    await voting.gateway.aclose()
    assert answer["key"] == "k1"
    if error:
        assert says in answer["error"]
    else:
        assert on_page({"turns": [answer["item"]]})[0].vote == Vote("0")


@pytest.mark.parametrize("sent", [{"key": "other", "winner": "0"}, {"key": "k1", "winner": "9"}, {}])
async def test_a_vote_on_nothing_is_refused(url: str, sent: dict[str, Any]) -> None:
    voting = Voting(Gateway(url))
    assert "not counted" in (await voting.vote({"lang": "en", "turns": [item(TWO, EN)]}, event(**sent)))["error"]


def event(**data: Any) -> gr.EventData:
    made: Any = SimpleNamespace(_data=data)
    return made
