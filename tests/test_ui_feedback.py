"""Opinions on replies: when one can be given, how it looks, what each button does over the real gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from data.errors import GatewayError
from serving.server import in_background
from tests.fakes import ScriptedEngine
from tests.store_gateway import QUESTION, ask, gateway, home_of
from tests.test_ui_render import DONE, EN, EVIL, REPLY, SOURCE, ZH, Balanced
from ui.client import Gateway
from ui.feedback.client import act_in
from ui.feedback.component import Opinions
from ui.feedback.opinion import NONE, Opinion, opinable, opinion_of, with_opinion, with_stored
from ui.feedback.render import feedback_html
from ui.turns import Reply, Turn, dump, load

TURN = replace(DONE, answer_id="ans_1")
OPINION = Opinion("down", ("wrong",), "no flag", "Port 7860.", ("guide/ports.md",), "kept", "sft")


def html(opinion: Opinion, words: Any = EN, turn: Turn = TURN) -> str:
    found = feedback_html(with_opinion(turn, 0, opinion), 0, words)
    Balanced().feed(found)
    return found


def test_an_opinion_needs_an_answer_that_has_ended_and_is_no_secret() -> None:
    assert opinable(TURN, 0)
    assert not opinable(TURN, 1)
    assert not opinable(DONE, 0), "nobody knows which answer it is"
    for reply in (Reply("writing", "It"), Reply("failed", "It"), Reply("stopped"), replace(REPLY, state="waiting")):
        assert not opinable(replace(TURN, replies=(reply,)), 0)
        assert feedback_html(replace(TURN, replies=(reply,)), 0, EN) == ""
    assert opinable(replace(TURN, replies=(replace(REPLY, state="stopped"),)), 0)
    blind = replace(TURN, blind=True, replies=(replace(REPLY, arm=""),) * 2)
    assert not opinable(blind, 0)
    assert opinable(replace(blind, replies=(REPLY, REPLY)), 1)


def test_thumbs_say_whether_they_are_pressed() -> None:
    assert html(NONE).count('aria-pressed="false"') == 2
    rated = html(Opinion("up"))
    assert 'data-opinion="up" aria-pressed="true"' in rated
    assert 'data-opinion="down" aria-pressed="false"' in rated
    assert "Thank you." in rated
    assert "感谢反馈。" in html(Opinion("up"), ZH)


def test_the_form_holds_what_was_said() -> None:
    form = html(replace(OPINION, open=True))
    assert 'value="wrong" checked' in form
    assert 'value="outdated">' in form
    assert ">\nno flag</textarea>" in form
    assert ">\nPort 7860.</textarea>" in form
    assert 'name="page" value="guide/ports.md" checked' in form
    assert 'value="guide/ports.md">' in html(replace(OPINION, open=True, pages=()))
    good = html(Opinion("up", open=True))
    assert "fieldset" in good
    assert 'name="reason"' not in good, "nothing is wrong with it"
    assert 'name="page" value="guide/ports.md" checked' in good
    sourceless = replace(TURN, replies=(replace(REPLY, sources=()),))
    assert 'name="page"' not in html(replace(OPINION, open=True), turn=sourceless)


@pytest.mark.parametrize(
    ("review", "use", "told"),
    [
        ("kept", "sft", "Use for training and evaluation"),
        ("proposed", "sft", "an administrator decides"),
        ("promoted", "sft", "Used for training."),
        ("promoted", "eval", "never for training"),
        ("rejected", "sft", "decided not to use"),
    ],
)
def test_what_became_of_a_correction(review: Any, use: str, told: str) -> None:
    shown = html(replace(OPINION, review=review, use=use))
    assert told in shown
    assert ('data-opinion="promote"' in shown) == (review == "kept")
    assert '<div dir="auto"><p>Port 7860.</p>' in shown


def test_nothing_hostile_leaves_the_block() -> None:
    source = replace(SOURCE, title=EVIL, url=f"x{EVIL}")
    turn = replace(TURN, replies=(replace(REPLY, sources=(source,)),))
    bad = Opinion("down", (EVIL,), f"</textarea>{EVIL}", EVIL, (EVIL,), "kept", "sft", failure=EVIL)
    for opinion in (bad, replace(bad, open=True), replace(bad, review="promoted")):
        shown = html(opinion, turn=turn)
        assert "<img" not in shown
        assert "<script" not in shown


def test_an_opinion_goes_to_the_browser_and_back_and_comes_from_the_store() -> None:
    turn = with_opinion(TURN, 0, OPINION)
    assert (turn.revision, load([dump(turn)])) == (1, [turn])
    entry = {
        "choice": 0,
        "rating": "down",
        "reasons": ["wrong"],
        "comment": "no flag",
        "should_have_said": "Port 7860.",
    }
    told = {"review": "kept", "use": "sft", "pages": ["guide/ports.md"]}
    assert with_stored(TURN, [entry | {"correction": told}]).reply.opinion == OPINION
    assert with_stored(turn, []).reply.opinion == NONE
    assert opinion_of({"rating": "up", "correction": None}) == Opinion("up")


def test_what_is_no_act_is_nothing() -> None:
    for data in (None, 3, {}, {"key": "k", "choice": -1, "do": "up"}, {"key": "k", "choice": 0, "do": "explode"}):
        assert act_in(data) is None


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("opinions")
    app = gateway(home_of(folder), f"sqlite:///{folder}/own.sqlite", ScriptedEngine("It is port 7860 [1]."))
    with in_background(app) as url:
        yield url


@pytest.fixture
async def opinions(url: str) -> AsyncIterator[Opinions]:
    found = Opinions(Gateway(url))
    yield found
    await found.gateway.aclose()


def asked(url: str) -> tuple[Turn, str]:
    """A turn on the page that the gateway knows, and its conversation."""
    with httpx.Client(base_url=f"{url}/v1", timeout=30) as http:
        answer = ask(http, QUESTION, conversation="new")
    return replace(TURN, answer_id=answer["id"]), answer["docduet"]["conversation"]


async def press(opinions: Opinions, turn: Turn, do: str, **form: Any) -> tuple[Turn, str]:
    """The turn after a button, as the browser gets it, and what is focused."""
    value = {"lang": "en", "turns": [{"turn": dump(turn)}]}
    event: Any = SimpleNamespace(_data={"key": turn.key, "choice": 0, "do": do} | form)
    got = await opinions.opine(value, event)
    (after,) = load([got["item"]["turn"]])
    return after, got["focus"]


async def test_each_button(opinions: Opinions, url: str) -> None:
    turn, conversation = asked(url)
    turn, focus = await press(opinions, turn, "up")
    assert (turn.reply.opinion, focus, turn.revision) == (Opinion("up"), "", 1)
    turn, _ = await press(opinions, turn, "up")
    assert turn.reply.opinion == NONE
    turn, focus = await press(opinions, turn, "down")
    assert turn.reply.opinion == Opinion("down", open=True)
    assert focus == "form input, form textarea"
    form = {"reasons": ["wrong", "other"], "comment": " see ", "should_have_said": "Port 7860.", "pages": ["port.md"]}
    turn, focus = await press(opinions, turn, "send", **form)
    said = turn.reply.opinion
    assert (said.reasons, said.comment, said.pages, said.review) == (("wrong", "other"), "see", ("port.md",), "kept")
    assert (said.open, focus) == (False, ".dd-opinion")
    turn, _ = await press(opinions, turn, "promote")
    assert turn.reply.opinion == replace(said, review="promoted")  # an open gateway's user is an administrator
    (stored,) = (await opinions.gateway.request_json("GET", f"/v1/conversations/{conversation}"))["turns"]
    assert with_stored(TURN, stored["feedback"]).reply.opinion == turn.reply.opinion
    turn, _ = await press(opinions, turn, "down")
    assert turn.reply.opinion.open, "pressed again it would lose words: they are shown"
    turn, focus = await press(opinions, turn, "cancel")
    assert (turn.reply.opinion.open, focus) == (False, '[data-opinion="down"]')
    turn, _ = await press(opinions, turn, "up")
    assert (turn.reply.opinion.reasons, turn.reply.opinion.should_have_said) == ((), "Port 7860.")
    turn, _ = await press(opinions, turn, "take_back")
    assert turn.reply.opinion == NONE


async def test_a_failure_keeps_what_was_typed(opinions: Opinions, url: str) -> None:
    turn, _ = asked(url)
    turn, _ = await press(opinions, turn, "down")
    gone = replace(turn, answer_id="ans_0")
    after, focus = await press(opinions, gone, "send", comment="see there", should_have_said="Port 7860.")
    opinion = after.reply.opinion
    assert (opinion.comment, opinion.should_have_said, opinion.open, focus) == ("see there", "Port 7860.", True, "")
    assert opinion.failure == "The gateway does not know this answer any more."
    away = Opinions(Gateway("http://127.0.0.1:9"))
    after, _ = await press(away, turn, "cancel")
    assert not after.reply.opinion.failure
    after, _ = await press(away, replace(turn, replies=(REPLY,)), "up")
    assert (after.reply.opinion.rating, after.reply.opinion.failure[:11]) == ("", "The gateway")
    await away.gateway.aclose()
    with pytest.raises(GatewayError):
        await opinions.gateway.request_json("GET", "/v1/nothing")


async def test_what_is_not_on_the_page_changes_nothing(opinions: Opinions) -> None:
    value = {"lang": "en", "turns": [{"turn": dump(DONE)}]}
    for data in ({"key": "k1", "choice": 0, "do": "up"}, {"key": "k9", "choice": 0, "do": "up"}, None):
        event: Any = SimpleNamespace(_data=data)
        assert "item" not in await opinions.opine(value, event)
