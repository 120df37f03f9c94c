"""The scorecard in real Chromium: nothing of what strangers wrote runs or breaks the page, light, dark, wide, narrow.

DOCDUET_SHOTS keeps pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evals.scorecard import build, to_html
from tests.e2e.chromium import MARKS, shoot
from tests.fake_runs import eval_run, general_run

pytestmark = MARKS

HOSTILE = "</style></script><img src=x onerror='window.hacked=1'>\u202e<svg onload='window.hacked=1'>" + "W" * 400


@pytest.mark.parametrize(
    ("lang", "scheme", "width"),
    [("en", "light", 1280), ("zh", "dark", 1280), ("zh", "light", 390), ("en", "dark", 390)],
)
def test_the_page_holds_whatever_strangers_wrote(
    browser: Any, tmp_path: Path, lang: str, scheme: str, width: int
) -> None:
    run = eval_run({"rag": 0.8, "sft": 0.4, HOSTILE: 0.5}, count=24, label="first")
    bad = {"question": HOSTILE, "answer": HOSTILE, "missing": (HOSTILE,), "sources": (HOSTILE,), "degraded": HOSTILE}
    results = tuple(result.model_copy(update=bad) for result in run.results)
    card = build([run.model_copy(update={"results": results, "set": HOSTILE})], [general_run({"base": 0.7}, "first")])
    (tmp_path / "card.html").write_text(to_html(card, lang), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto((tmp_path / "card.html").as_uri())
        for summary in page.locator("summary").all():
            if summary.evaluate("node => !node.parentElement.open"):
                summary.click()
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.images.length + document.scripts.length") == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".ds-triangles figure").count() == 3
        assert page.locator(".ds-worst").count() == 10
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(21, 24, 26)" if scheme == "dark" else "rgb(250, 249, 247)"
        )
        assert asked == [(tmp_path / "card.html").as_uri()]
        shoot(page, f"scorecard-{lang}-{scheme}-{width}", tmp_path)
    finally:
        page.close()
