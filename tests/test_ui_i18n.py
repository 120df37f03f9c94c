"""The words of the interface."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ui
from ui.i18n import LANGUAGES, TEXTS, Words, choose


def test_every_language_has_every_key() -> None:
    assert set(TEXTS) == set(LANGUAGES)
    assert len({frozenset(texts) for texts in TEXTS.values()}) == 1


def test_every_language_fills_the_same_fields() -> None:
    for key in TEXTS["en"]:
        fields = {lang: sorted(re.findall(r"{(\w+)}", texts[key])) for lang, texts in TEXTS.items()}
        assert len({tuple(names) for names in fields.values()}) == 1, key


def test_chinese_is_chinese() -> None:
    same_in_both = {"other_language"}
    for key, text in TEXTS["zh"].items():
        assert key in same_in_both or re.search("[\u4e00-\u9fff]", text), key


def test_every_key_the_code_asks_for_exists() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in Path(ui.__path__[0]).glob("*.py"))
    asked = set(re.findall(r'words\("([\w.]+)"', code))
    assert asked
    assert asked <= set(TEXTS["en"])


@pytest.mark.parametrize(
    ("header", "saved", "lang"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "", "en"),
        ("de-DE,de;q=0.9,zh;q=0.5,en;q=0.3", "", "zh"),
        ("fr", "", "en"),
        ("", "", "en"),
        ("zh;q=oops,,;", "", "en"),
        ("en-US", "zh", "zh"),
        ("zh-CN", "klingon", "zh"),
    ],
)
def test_the_language_is_what_was_chosen_else_what_the_browser_wishes(header: str, saved: str, lang: str) -> None:
    assert choose(header, saved) == lang


def test_a_voice_without_a_name_of_ours_keeps_its_own() -> None:
    assert Words("zh").voice("rag") == "查阅文档"
    assert Words("zh").voice("my-model") == "my-model"
