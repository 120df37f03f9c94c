"""The administrators' panel without a browser: what the browser sends is not trusted, what is shown is only text."""

from __future__ import annotations

import re
from typing import Any

from ui.admin import documents, operations
from ui.admin.asked import Asked, read
from ui.admin.documents import segments
from ui.admin.markup import facts, size
from ui.client import Labels
from ui.i18n import Words

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\u202eevil\u0007"
EN = Words("en")


def harmless(html: str) -> None:
    """Nothing of EVIL has become an element; what turns text around is gone."""
    assert not re.search(r"<(script|img)", html)
    assert "\u202e" not in html
    assert "&lt;script&gt;" in html


def test_what_the_browser_sends_is_taken_as_far_as_it_makes_sense() -> None:
    for data in (None, [], "x", {"section": "../etc"}, {"section": 5, "action": "drop"}, {"seq": "x"}):
        assert read(data) == Asked()
    asked = read({"section": "gaps", "days": 8, "top_k": 10_000, "q": "x" * 5000, "target": "a", "lang": "zh", "n": 1})
    assert (asked.section, asked.days, asked.top_k, asked.q, asked.target) == ("gaps", 30, 8, "", "a")
    assert asked.words.lang == "zh"
    assert read({"lang": EVIL}).words.lang == "en"
    assert read({"doc_lang": "zh", "product": "Widget"}).filters.lang == "zh"


def test_text_is_cut_at_every_border_and_overlaps_belong_to_both() -> None:
    rows = [{"start": 0, "end": 4}, {"start": 3, "end": 7}, {"start": 8, "end": 10}]
    assert segments("abcdefghij", rows) == [
        ("abc", (0,)),
        ("d", (0, 1)),
        ("efg", (1,)),
        ("h", ()),
        ("ij", (2,)),
    ]
    assert segments("abc", rows) == [("abc", (0,))]  # the rest of the page is not shown
    assert segments("", []) == []


def test_pages_and_chunks_are_only_text() -> None:
    row = {"start": 0, "end": 20, "heading_path": [EVIL], "tokens": 5, "context": EVIL, "text": EVIL}
    page = {"title": EVIL, "url": EVIL, "lang": EVIL, "body": EVIL, "embedder": EVIL, "data": [row]}
    harmless(documents.chunks(page, EN))
    listed = {"page_id": 'x" onclick="y', "title": EVIL, "url": EVIL, "lang": EVIL, "chunks": 1}
    html = documents.pages({"data": [listed], "offset": 0, "total": 1}, Asked(q=EVIL), EN)
    harmless(html)
    assert 'onclick="' not in html


def test_gaps_answers_and_searches_are_only_text() -> None:
    sample = {"answer_id": EVIL, "question": EVIL, "at": 1.0, "kinds": ["refused"]}
    gap = {"question": EVIL, "words": [EVIL], "count": 2, "share": 0.5, "last_at": 1.0, "samples": [sample]}
    gap["kinds"] = {"refused": 2, "thumbs_down": 0, "both_bad": 0, "unsupported": 0}
    body = {"troubled": 2, "asked": 4, "more": True, "groups": 3, "data": [gap]}
    html = documents.gaps(body, Asked(), EN)
    harmless(html)
    assert "50 %" in html
    assert "Only the newest 2 questions" in html
    choice: dict[str, Any] = dict.fromkeys(("arm", "text", "rating", "comment", "should_have_said"), EVIL)
    choice |= {"rating": "down", "refused": True, "sources": [EVIL], "supported": 0, "sentences": 2, "reasons": [EVIL]}
    vote = {"winner": "", "comment": EVIL}
    answer = {"question": EVIL, "asked_at": 1.0, "kinds": ["unsupported"], "vote": vote, "choices": [choice]}
    harmless(documents.answer(answer, EN))
    why = {"terms": [EVIL], "bm25_rank": 1, "bm25_score": 1.0, "dense_rank": None, "dense_score": 0.0}
    why |= {"fused_rank": 1, "fused_score": 0.1, "rerank_score": 0.9}
    passage = {"title": EVIL, "heading_path": [EVIL], "text": EVIL, "url": EVIL, "page_id": EVIL, "rank": 1, "why": why}
    told = {"answerable": False, "score": 0.2, "threshold": 0.5, "reason": EVIL, "timings_ms": {"total": 1.0}}
    html = documents.search({"data": [passage], "explain": told | {"reranker": EVIL}}, Asked(q=EVIL), Labels(), EN)
    harmless(html)
    assert "0.900" in html


def test_operations_are_only_text_and_buttons_are_where_they_belong() -> None:
    result = {"source": EVIL, "error": "", "warnings": [EVIL], "warned": 3}
    last = {"error": EVIL, "started_at": 1.0, "seconds": 2.0, "sources": [result]}
    last |= dict.fromkeys(("added", "changed", "removed", "unchanged"), 1)
    progress = {"stage": "embed", "done": 3, "total": 9, "source": EVIL, "item": EVIL}
    sync = {"state": "running", "every_s": 21600, "progress": progress, "last": last}
    source = {"source": EVIL, "pages": 1234, "changed_at": 1.0, "synced_at": 0.0}
    html = operations.sources({"data": [source], "sync": sync}, EN)
    harmless(html)
    for shown in ("Synced every 6 h", 'value="3" max="9"', "1,234", "3 not read", "… and 2 more", "not known"):
        assert shown in html
    kept = {"id": "one", "pages": 1, "chunks": 2, "embedder": EVIL, "created_at": 1.0, "bytes": 12_345_678}
    html = operations.indexes({"data": [kept | {"live": True}, kept | {"id": "two", "live": False}]}, EN)
    harmless(html)
    assert re.findall(r'data-do="rollback" data-key="[^"]*" data-target="(\w+)"', html) == ["two"]
    assert html.index(">two<") < html.index(">one<")  # the newest first
    assert "12.3 MB" in html
    engine = {"name": "base", "state": "failed", "model": EVIL, "detail": EVIL, "restarts": 1, "active": 2}
    engine |= {"trouble": EVIL, "trouble_at": 1.0, "problem": EVIL}
    voice = {"name": "rag", "state": "quoting", "engine": "base", "reason": "engine_down", "detail": EVIL}
    checkpoint: dict[str, Any] = dict.fromkeys(("name", "base_model", "dataset", "dataset_sha256", "problem"), EVIL)
    checkpoint |= {"kind": "full", "step": 3, "created_at": 1.0, "pages": {"trained_on": 9, "changed": 2, "gone": 1}}
    ours = {"data": [engine | {"ours": True}, engine | {"name": "far", "ours": False}]}
    html = operations.engines(ours, {"data": [voice], "checkpoint": checkpoint}, EN)
    harmless(html)
    assert re.findall(r'data-do="restart" data-key="[^"]*" data-target="(\w+)"', html) == ["base"]
    assert "2 of 9 changed, 1 gone" in html


def test_nothing_is_said_to_be_nothing() -> None:
    idle = {"state": "off", "every_s": 0, "progress": None, "last": None}
    assert "No source has been synced yet" in operations.sources({"data": [], "sync": idle}, EN)
    assert "Nothing is indexed yet" in operations.indexes({"data": []}, EN)
    assert "No engine is configured" in operations.engines({"data": []}, {"data": [], "checkpoint": None}, EN)
    empty = {"troubled": 0, "asked": 3, "more": False, "groups": 0, "data": []}
    assert "No question was refused" in documents.gaps(empty, Asked(), EN)
    assert "No page has these words" in documents.pages({"data": [], "offset": 0, "total": 0}, Asked(), EN)
    assert facts([("left out", ""), ("kept", 0)]) == '<dl class="dd-facts"><div><dt>kept</dt><dd>0</dd></div></dl>'
    assert [size(count) for count in (999, 1500, 123_456, 5e12)] == ["999 B", "1.5 kB", "123 kB", "5.0 TB"]
