"""The list of keys says what the script does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ui.chat
from ui.chat.keys import KEYS, hint_html
from ui.i18n import Words


def test_every_single_key_of_the_script_is_listed() -> None:
    script = (Path(ui.chat.__path__[0]) / "keys.js").read_text(encoding="utf-8")
    table = script[script.index("const KEYS = {") : script.index("};")]
    done = set(re.findall(r'^  "?(.)"?: ', table, re.MULTILINE))
    assert done == {key for key, _ in KEYS if len(key) == 1}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_list_is_complete(lang: str) -> None:
    html = hint_html(Words(lang))
    assert html.count("<dt>") == len(KEYS)
    assert "<kbd>Shift</kbd>+<kbd>Enter</kbd>" in html
