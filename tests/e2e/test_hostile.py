"""Hostile answers and documents in a real Chromium: nothing runs, nothing is fetched from elsewhere, the layout holds.

pytest tests/e2e/test_hostile.py -m browser        (DOCDUET_SHOTS=FOLDER keeps the screenshots)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chromium import MARKS, shoot
from tests.fake_gateway import FakeGateway, Script, in_thread, source
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

RUN = "window.hacked=(window.hacked||0)+1"
MARKUP = (
    f"<script>{RUN}</script><img src=x onerror='{RUN}'><svg onload='{RUN}'><iframe src=//evil.test></iframe>"
    f"<b onmouseover='{RUN}'>b</b><style>*{{display:none}}</style>"
    f"<form action=//evil.test><input autofocus onfocus={RUN}></form>"
    f'<template><script>{RUN}</script></template><math><mtext><img src=x onerror={RUN}>"><script>alert(1)</script>'
)
HOSTILE = {
    "markup": MARKUP,
    "links": f"[a](javascript:{RUN}) [b](JaVa\tScRiPt:{RUN}) [c](data:text/html,<script>{RUN}</script>) "
    "[d](//evil.test) [e](vbscript:x) <javascript:alert(1)> [f][1]\n\n[1]: http://evil.test/reference.png",
    "images": "![words](http://evil.test/a.png) ![x][pic] ![y](//evil.test/b.png) "
    "[![z](http://evil.test/c.png)](http://d.test)"
    "\n\n[pic]: http://evil.test/d.png",
    "line": "x" * 1_000_000,
    "words": "word " * 4_000,
    "table": "|a|b|\n|-|-|\n" + f"|<img src=x onerror='{RUN}'>|{'wide' * 40}|\n" * 1000,
    "columns": "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n|" + "1|" * 300,
    "controls": "\x1b[31mred\x1b[0m \x9b2J \x1b]8;;http://evil.test\x07link\x1b]8;;\x07 "
    "\u202egnp.exe\u202c \u2066x\u2069 \x00 end",
    "code": f'```"><script>{RUN}</script>\n{"long" * 2000}</code></pre><script>{RUN}</script>\n```\n'
    f"`<img src=x onerror={RUN}>`",
    "deep": "> " * 2000 + "x\n\n" + "- " * 500 + "x\n\n" + "[" * 500 + "*" * 5000,
}
LABELS = tuple((text[:150], text[:150], "en") for text in (MARKUP, HOSTILE["controls"], "w" * 150))


def script_of(text: str) -> Script:
    """``text`` as an answer and, a megabyte of it cut, as everything that stands around one."""
    whole, text = text, text[:20_000]
    place = {"title": text, "quote": whole, "heading_path": [text, "[x](javascript:1)"], "href": f"javascript:{RUN}"}
    sources = (source(1, marks=[[0, 5], [3, 90]], product=text, version=text, lang='en" onload="x', **place),)
    page = {"url": text, "title": text, "page_id": '"><script>', "score": 1.0}
    support = [{"start": 0, "end": 4, **page}, {"start": 0, "end": len(text), **page, "page_id": None}]
    checks = {
        "support": support,
        "stale": [{"url": text, "title": text}],
        "unsupported": [{"start": 0, "end": 9, "n": 1}],
    }
    said: dict[str, Any] = {
        "thinking": text,
        "query": text,
        "reason": text,
        "degraded": text,
        "arm": text[:200],
        "checks": checks,
    }
    return Script(f"{whole} [1]", sources, scores={text[:200]: 0.5}, **said)


SCRIPTS = {name: script_of(text) for name, text in HOSTILE.items()}
SCRIPTS["failed"] = Script(error=(503, MARKUP, MARKUP))
SCRIPTS["both"] = replace(SCRIPTS["markup"], other=SCRIPTS["controls"])
SCRIPTS[MARKUP] = Script("Yes.")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    fake = FakeGateway(SCRIPTS, voices=("auto", "rag", MARKUP[:90]), labels=LABELS)
    fake.refresh = {"last": {"succeeded_at": 5.0, "error": MARKUP}}
    with in_thread(lambda url: mount(fake.app(), url, UiConfig(title=MARKUP, examples=(MARKUP,)))) as url:
        yield url


OWN = ".dd-vote, .dd-vote *, .dd-opinion-form, .dd-opinion-form *, .dd-switch *"  # the app's own forms
FORBIDDEN = (
    f"script, img, iframe, form:not({OWN}), input:not({OWN}), style, svg[onload], math, [onerror], [onfocus], [onload]"
)
# What sticks out of its turn without a box of its own to scroll in.
WIDER = """article => {
  const right = article.getBoundingClientRect().right + 1;
  const scrolls = (e) => e !== article && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
  return Array.from(article.querySelectorAll("*"))
    .filter((e) => e.getBoundingClientRect().right > right && !scrolls(e.parentElement) && e.parentElement !== article)
    .map((e) => `${e.tagName}.${e.className}`).slice(0, 5);
}"""


class Watched:
    """A page, and what it did that no page of ours may do."""

    def __init__(self, context: Any, url: str) -> None:
        self.wrong: list[str] = []
        self.page = context.new_page()
        context.on("request", lambda request: self._asked(request.url, url))
        context.on("page", lambda page: self.wrong.append(f"a window was opened: {page.url}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", lambda said: said.type == "error" and self.wrong.append(f"console: {said.text}"))
        self.page.goto(url)
        self.page.wait_for_selector(".dd-welcome")

    def _asked(self, address: str, url: str) -> None:
        if not address.startswith((url, "data:", "blob:")) or address.endswith(("/x", ".png)")):
            self.wrong.append(f"fetched: {address}")

    def ask(self, question: str) -> Any:
        before = self.page.locator("article").count()
        self.page.fill("#dd-box textarea", question)
        self.page.keyboard.press("Enter")
        article = self.page.locator("article").nth(before)
        self.page.wait_for_function(
            "n => { const a = document.querySelectorAll('article')[n]; return a && a.querySelector('.dd-answer') && "
            "!a.querySelector('[aria-busy=true]') && document.querySelector('#dd-box .submit-button'); }",
            arg=before,
            timeout=60_000,
        )
        return article


def test_nothing_runs_nothing_leaves_and_the_layout_holds(browser: Any, url: str, tmp_path: Path) -> None:
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    watched = Watched(context, url)
    page = watched.page
    for number, name in enumerate(SCRIPTS):
        article = watched.ask(name)
        article.locator("details").evaluate_all("all => all.forEach((details) => (details.open = true))")
        assert article.locator(FORBIDDEN).count() == 0, name
        hrefs = article.locator("a").evaluate_all("links => links.map((link) => link.getAttribute('href') || '')")
        assert [href for href in hrefs if not href.startswith(("#src-", "http://", "https://", "/pages/"))] == [], name
        text = article.evaluate("article => article.textContent")
        assert not set(text) & set("\x1b\x9b\x07\x00\u202e\u2066"), name
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert article.evaluate(WIDER) == [], name
            assert page.locator("#dd-box textarea").is_visible(), name
            shoot(page, f"hostile-{number}-{width}", tmp_path)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.click("#dd-new")
        page.wait_for_selector(".dd-welcome")
    assert page.evaluate("window.hacked") is None
    assert watched.wrong == []
    context.close()
