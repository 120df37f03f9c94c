"""Turns as HTML, and how events change a turn."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from data.types import Filters
from ui.chat.details import seconds
from ui.chat.render import banner_html, item, status_html, turn_html, welcome_html
from ui.client import Readiness
from ui.events import (
    Done,
    Failure,
    Marker,
    Sentence,
    Source,
    SourceFound,
    Stale,
    Started,
    Text,
    Thinking,
    Unsupported,
    Used,
)
from ui.i18n import Words
from ui.turns import (
    Reply,
    Turn,
    after,
    before,
    dump,
    load,
    messages,
    plain_text,
    sources_text,
    stopped,
    with_local_links,
    without_links_to,
)

EN, ZH = Words("en"), Words("zh")
SOURCE = Source(
    1, "Ports", ("Setup",), "Set the port.", ((8, 12),), "/pages/ab?quote=x", "guide/ports.md", "ab", "en", 0.9
)
REPLY = Reply("done", "Set it [1].", sources=(SOURCE,), arm="rag", timings_ms={"total": 912.0})
DONE = Turn("k1", "How?", replies=(REPLY,))
EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def turned(turn: Turn, **fields: Any) -> Turn:
    """``turn`` with its reply changed."""
    return replace(turn, replies=(replace(turn.reply, **fields),))


class Balanced(HTMLParser):
    """Fails on markup that is not closed properly."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("br", "hr", "input", "rect", "circle", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Nothing is left open."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def details(turn: Turn, words: Words = EN) -> list[dict[str, str]]:
    """Each "Details" of a turn: term -> what it says."""
    found = re.findall(r'<details class="dd-details">.*?</details>', turn_html(turn, words))
    return [dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", one)) for one in found]


def test_how_an_answer_came_about_stands_behind_one_click() -> None:
    turn = replace(DONE, voice="auto", reason=f"it names --port {EVIL}", scores={"rag": 0.625, "sft": 0.375})
    turn = replace(turned(turn, left_out=(4, 2), timings_ms={"retrieve": 12.0, "total": 912.0}), used=Used(1234, 56))
    (told,) = details(turn)
    assert told["How Auto chose"].startswith("it names --port &quot;&gt;&lt;img")
    assert told["Weighed"] == "Reads the docs 0.62 · Learned the docs 0.38"
    assert told["Voice"] == "Reads the docs · rag"
    assert told["Searched for"] == "How?"
    assert told["Time"] == "search 12 ms · total 0.9 s"
    assert told["Tokens"] == "1,234 read, 56 written"
    assert told["Left out"] == "4 earlier messages and 2 passages had no room"
    assert "自动选择的理由" in details(turn, ZH)[0]
    assert "How Auto chose" not in details(replace(turn, voice="rag"))[0], "it was the reader's own choice"
    (both,) = details(replace(turn, replies=(turn.reply, replace(REPLY, arm="sft"))))
    assert "How Auto chose" in both
    assert both["Left"].startswith("Reads the docs · rag · search 12 ms · total 0.9 s")
    assert both["Right"].startswith("Learned the docs · sft")
    assert "Auto · Reads the docs" in turn_html(turn, EN)


LEARNED = "Set `port`. It is free. **Bold.**"
SUPPORT = (
    Sentence(0, 11, "guide/ports.md", "Ports <b>", "ab12"),
    Sentence(12, 23),
    Sentence(24, 33, "https://docs.test/x", "", "cd34"),
)


def test_a_learned_answer_says_which_sentences_the_docs_back() -> None:
    stale = (Stale("guide/ports.md", "Ports <b>"), Stale("gone.md"))
    turn = turned(DONE, answer=LEARNED, sources=(), arm="sft", support=SUPPORT, stale=stale)
    html = turn_html(turn, EN)
    assert re.findall(r'class="dd-flag dd-flag-(\w+)"', html) == ["backed", "unbacked", "backed"]
    assert re.search(r'<strong>Bold\.<a class="dd-flag[^>]* href="https://docs.test/x"', html)
    assert 'aria-label="Backed by: Ports &lt;b&gt;"' in html
    assert "2 of 3 sentences are backed by the docs." in html
    assert html.count('href="/pages/ab12"') == 3, "sentence, list of pages, changed pages"
    assert "Changed since the model learned it:" in html
    assert "<span>gone.md</span>" in html
    assert "has no sources" not in html
    assert "3 句中有 2 句得到文档支持。" in turn_html(turn, ZH)
    Balanced().feed(html)
    assert "dd-flag" not in item(turn, EN)["copies"][0]["text"]


def test_a_cited_sentence_that_its_source_does_not_back_is_marked() -> None:
    html = turn_html(turned(DONE, unsupported=(Unsupported(0, 11, 1), Unsupported(0, 11, 2))), EN)
    assert html.count("dd-flag-unbacked") == 1
    assert 'aria-label="[1], [2] does not say this"' in html
    assert "cited sentences that their source does not back (1)" in html


def test_a_turn_that_is_over_can_be_edited_and_asked_again() -> None:
    for turn, there in ((DONE, 1), (turned(DONE, state="writing"), 0)):
        html = turn_html(turn, EN)
        assert [html.count(act) for act in (" data-edit ", "data-again>", "data-again-with ")] == [there] * 3
    assert "data-copy" not in turn_html(turned(DONE, refused=True), EN)


def test_what_is_asked_anew_goes_with_all_after_it() -> None:
    turns = [replace(DONE, key=key) for key in "abc"]
    assert [turn.key for turn in before(turns, "b")] == ["a"]
    assert before(turns, "x") == before(turns, "") == turns


def test_an_answer_stands_beside_its_sources() -> None:
    html = turn_html(DONE, EN)
    assert 'href="#src-k1-1"' in html
    assert 'id="src-k1-1"' in html
    assert "<mark>port</mark>" in html
    assert '<a class="dd-open" href="/pages/ab?quote=x#quote"' in html
    assert "Sources (1)" in html
    assert "total 0.9 s" in html


def test_a_refusal_looks_different_and_has_no_sources() -> None:
    done = Done("rag", sources=(SOURCE,), refused=True)
    html = turn_html(after(turned(DONE, sources=()), done), EN)
    assert "dd-refused" in html
    assert "Not in the docs" in html
    assert "dd-card" not in html


def test_a_failure_says_what_to_do_and_keeps_what_was_said() -> None:
    turn = after(turned(DONE, state="writing"), Failure("the engine broke off", "engine_unavailable"))
    html = turn_html(turn, ZH)
    assert "语言模型暂时不可用" in html
    assert "the engine broke off" in html
    assert 'class="dd-retry" data-again' in html
    assert "Set it" in html


def test_states_are_told_apart() -> None:
    assert "dd-wait" in turn_html(Turn("k", "q"), EN)
    assert "Stopped." in turn_html(stopped(Turn("k", "q", replies=(Reply("writing", "Half"),))), EN)
    assert "quotes from the best passages" in turn_html(turned(DONE, degraded="no engine"), EN)
    assert "odd &lt;reason&gt;" in turn_html(turned(DONE, degraded="odd <reason>"), EN)
    assert "has no sources" in turn_html(turned(DONE, arm="base", sources=()), EN)
    assert "came back empty" in turn_html(turned(DONE, answer=" ", sources=()), EN)
    assert stopped(DONE) == DONE


def test_the_query_is_shown_only_when_it_was_rewritten() -> None:
    turn = Turn("k", "and on Windows?")
    rewritten = after(turn, Started(query="How on Windows?", rewritten=True))
    assert "How on Windows?" in turn_html(rewritten, EN)
    assert "dd-query" not in turn_html(after(turn, Started(query="and on Windows?")), EN)


@pytest.mark.parametrize("words", [EN, ZH])
def test_hostile_text_is_escaped_everywhere(words: Words) -> None:
    source = Source(1, EVIL, (EVIL,), EVIL, ((0, 3),), EVIL, EVIL, EVIL, EVIL)
    said: dict[str, Any] = dict.fromkeys(("answer", "thinking", "arm", "degraded"), EVIL)
    said |= {"support": (Sentence(0, 5, EVIL, EVIL, EVIL), Sentence(6, 8)), "stale": (Stale(EVIL, EVIL),)}
    said |= {"unsupported": (Unsupported(2, 9, 1),), "timings_ms": {"total": 5.0}}
    failed = Reply("failed", sources=(source,), failure=EVIL, failure_code=EVIL, **said)
    done = replace(failed, state="done")
    asked: dict[str, Any] = {"question": EVIL, "query": EVIL, "reason": EVIL, "scores": {EVIL: 0.5}}
    for voice, replies in (
        (EVIL, (failed,)),
        ("auto", (done,)),
        (EVIL, (replace(done, refused=True),)),
        ("auto", (failed, done)),
    ):
        turn = Turn("k", voice=voice, replies=replies, **asked)
        html = turn_html(turn, words)
        assert "<img" not in html
        assert "<script" not in html
        parser = Balanced()
        parser.feed(html)
        assert parser.open == []


def test_a_key_from_the_browser_cannot_break_out() -> None:
    html = turn_html(replace(DONE, key='x" onclick="alert(1)'), EN)
    assert 'onclick="' not in html


def test_long_quotes_start_folded() -> None:
    assert "dd-folded" not in turn_html(DONE, EN)
    assert "dd-folded" in turn_html(turned(DONE, sources=(replace(SOURCE, quote="long " * 100),)), EN)


def test_sources_show_while_the_answer_streams() -> None:
    turn = Turn("k", "q")
    for event in (Started(), Text("See "), SourceFound(Source(1, "Ports", quote="Set it.")), Marker("[1]", 4, 7)):
        turn = after(turn, event)
    assert turn.reply.answer == "See [1]"
    assert 'id="src-k-1"' in turn_html(turn, EN)
    assert after(turn, Thinking("hm")).reply.thinking == "hm"


def test_the_browser_gives_back_what_it_got() -> None:
    assert load([dump(DONE)]) == [DONE]
    assert item(DONE, EN)["turn"]["replies"][0]["sources"][0]["marks"] == [[8, 12]]


@pytest.mark.parametrize("value", [None, 3, "x", {}, [None], [{"key": "k"}], [{"key": "k", "question": {}}]])
def test_nonsense_from_the_browser_is_no_turn(value: object) -> None:
    assert load(value) == []


def test_history_is_answers_only_and_bounded() -> None:
    refused = replace(turned(DONE, refused=True), question="refused")
    turns = [replace(DONE, question=f"q{n}") for n in range(20)] + [refused, Turn("k", "unanswered")]
    sent = messages(turns, "now?")
    assert len(sent) == 17
    assert sent[-1] == {"role": "user", "content": "now?"}
    assert sent[-3]["content"] == "q19"


def test_links_to_our_pages_become_relative() -> None:
    there = replace(SOURCE, href="http://127.0.0.1:7860/pages/ab?quote=x")
    event = with_local_links(
        Done(sources=(there, replace(there, href="https://example.org/p"))), "http://127.0.0.1:7860"
    )
    assert isinstance(event, Done)
    assert [s.href for s in event.sources] == ["/pages/ab?quote=x", "https://example.org/p"]
    gone = without_links_to(SourceFound(there), "http://127.0.0.1:7860")
    assert isinstance(gone, SourceFound)
    assert (gone.source.href, gone.source.url) == ("", "guide/ports.md")


def test_what_is_copied() -> None:
    assert plain_text(REPLY) == "Set it."
    assert plain_text(replace(REPLY, sources=(), answer="a[1]")) == "a[1]"
    assert sources_text(REPLY) == "- [1] [Ports › Setup](/pages/ab?quote=x)"
    odd = replace(SOURCE, title="a](http://evil.test)\n<b>", href="javascript:1", heading_path=("*x*",))
    assert sources_text(Reply(sources=(odd,))) == r"- [1] a\](http://evil.test) \<b\> › \*x\*"
    bracket = replace(SOURCE, href="https://a.test/x_(y)")
    assert sources_text(Reply(sources=(bracket,))).endswith("(https://a.test/x_%28y%29)")


def test_banner_says_in_plain_words_what_the_mode_is() -> None:
    assert banner_html(Readiness(True), EN) == ""
    assert "small demonstration model" in banner_html(Readiness(True, demo=True), EN)
    assert "quotes from the docs" in banner_html(Readiness(True, "quoting", engine="starting", demo=True), EN)
    assert "No language model is configured" in banner_html(Readiness(True, "quoting"), EN)
    assert "still starting" in banner_html(Readiness(True, "quoting", engine="starting"), EN)
    assert "<code>docduet sync FOLDER</code>" in banner_html(Readiness(False, error="run `docduet sync FOLDER`"), ZH)
    assert "&lt;b&gt;" in banner_html("<b>", EN)


def test_the_welcome_offers_questions() -> None:
    assert welcome_html(ZH, ZH.examples()).count("data-ask=") == 4
    assert "dd-examples" not in welcome_html(EN, ()), "no heading without questions"
    assert 'data-ask="&lt;x&gt;"' in welcome_html(EN, ("<x>",))


@pytest.mark.parametrize(("ms", "text"), [(12.4, "12 ms"), (912, "0.9 s"), (14_200, "14 s")])
def test_durations_read_well(ms: float, text: str) -> None:
    assert seconds(ms) == text


def test_the_same_turn_is_the_same_html() -> None:
    assert turn_html(DONE, EN) == turn_html(load([dump(DONE)])[0], EN)
    assert not re.search(r"\s{3,}", turn_html(DONE, EN))


def test_a_turn_says_what_it_was_limited_to_and_where_its_sources_belong() -> None:
    source = replace(SOURCE, product="Widget<", version="2.1")
    html = turn_html(replace(turned(DONE, sources=(source,)), filters=Filters("Widget<", "2.1", "zh")), ZH)
    assert "只根据 Widget&lt; · 2.1 · 中文" in html
    assert ">Widget&lt; 2.1</span>" in html
    assert "dd-filtered" not in turn_html(DONE, EN)
    assert "dd-tag" not in turn_html(DONE, EN)
    Balanced().feed(html)


def test_a_refusal_under_a_filter_says_what_was_searched() -> None:
    refused = after(
        replace(turned(DONE, sources=()), filters=Filters(version="2.1", lang="fr")), Done("rag", refused=True)
    )
    assert "Only 2.1 · fr was searched" in turn_html(refused, EN)


@pytest.mark.parametrize(
    ("age", "en", "zh"),
    [
        (5, "Docs refreshed just now", "文档刚刚更新"),
        (-60, "Docs refreshed just now", "文档刚刚更新"),
        (725, "Docs refreshed 12 min ago", "文档 12 分钟前更新"),
        (3600 * 5, "Docs refreshed 5 h ago", "文档 5 小时前更新"),
        (86400 * 3, "Docs refreshed 3 d ago", "文档 3 天前更新"),
    ],
)
def test_the_age_of_the_docs(age: float, en: str, zh: str) -> None:
    state = Readiness(True, refreshed_at=1e9)
    assert en in status_html(state, EN, 1e9 + age)
    assert zh in status_html(state, ZH, 1e9 + age)


def test_a_failed_refresh_opens_to_its_reason() -> None:
    assert status_html(Readiness(True), EN, 1e9) == ""
    html = status_html(Readiness(True, refreshed_at=1e9 - 720, refresh_error=f"gone: {EVIL} `docduet`"), EN, 1e9)
    assert "12 min ago · The last refresh failed</summary>" in html
    assert "<script" not in html
    assert "<img" not in html
    assert "<code>docduet</code>" in html
    assert "<summary>最近一次更新失败</summary>" in status_html(Readiness(True, refresh_error="x"), ZH, 1e9)


TWO = (
    Started(),
    Text("Left ", 0),
    Text("Right ", 1),
    SourceFound(SOURCE, 1),
    Marker("[1]", 6, 9, choice=1),
    Text("done", 0),
    Done("sft", choice=0),
    Done("rag", (SOURCE,), choice=1),
)


def two() -> Turn:
    turn = Turn("k", "q", "compare")
    for event in TWO:
        turn = after(turn, event)
    return turn


def test_two_replies_stand_side_by_side_each_with_its_own_sources() -> None:
    turn = two()
    assert [(reply.arm, reply.answer, len(reply.sources)) for reply in turn.replies] == [
        ("sft", "Left done", 0),
        ("rag", "Right [1]", 1),
    ]
    html = turn_html(turn, EN)
    assert html.count('class="dd-side"') == 2
    assert "Left · Learned the docs" in html
    assert 'href="#src-k-1-1"' in html
    assert 'id="src-k-1-1"' in html
    assert [copy["text"] for copy in item(turn, EN)["copies"]] == ["Left done", "Right"]
    assert load([dump(turn)]) == [turn]


def test_one_reply_may_fail_while_the_other_stands() -> None:
    turn = after(replace(two(), replies=(Reply(), *two().replies[1:])), Done("sft", failure="gone", failure_code="x"))
    assert [reply.state for reply in turn.replies] == ["failed", "done"]
    assert "gone" in turn_html(turn, EN)
    assert messages([turn], "next")[1]["content"] == "Right [1]"


def test_a_blind_turn_names_nobody() -> None:
    turn = Turn("k", "q", "compare")
    for event in (Started(blind=True), Text("a", 0), Text("b", 1), Done(choice=0), Done(choice=1)):
        turn = after(turn, event)
    html = turn_html(turn, EN)
    assert turn.blind
    assert not any(word in html for word in ("Learned", "Reads", "rag", "sft", "Side by side"))


def test_what_breaks_off_ends_only_what_had_not_ended() -> None:
    turn = Turn("k", "q", "compare")
    for event in (Text("a", 0), Text("b", 1), Done("rag", choice=0), Failure("cut", "broken_off")):
        turn = after(turn, event)
    assert [reply.state for reply in turn.replies] == ["done", "failed"]
