"""The pages on parameters and clients say what the code does."""

from __future__ import annotations

import re

import pytest

from data.handbook import FOLDER
from serving.api.parameters import (
    CHAT_IGNORED,
    CHAT_REFUSED,
    CHAT_UNUSED,
    RESPONSES_IGNORED,
    RESPONSES_REFUSED,
    RESPONSES_UNUSED,
)
from serving.api.responses import ResponseRequest
from serving.api.schemas import ChatRequest
from tests.test_client_openwebui import SETTINGS, VERSION
from tests.test_handbook import code_blocks, each_language, sections


@each_language
def test_every_parameter_is_in_its_table(lang: str) -> None:
    tables = [
        {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
        for rows in sections(FOLDER / lang / "parameters.md").values()
    ]
    extra = {"docduet"}
    assert tables == [
        set(ChatRequest.model_fields) - extra - CHAT_UNUSED,
        set(CHAT_UNUSED),
        set(CHAT_IGNORED),
        set(CHAT_REFUSED),
        set(ResponseRequest.model_fields) - extra - RESPONSES_UNUSED,
        set(RESPONSES_UNUSED),
        set(RESPONSES_IGNORED),
        set(RESPONSES_REFUSED),
    ]


@each_language
def test_open_webui_is_tested_as_the_page_says(lang: str) -> None:
    text = (FOLDER / lang / "clients.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^export (\w+)='?(.*?)'?$", text, re.MULTILINE))
    told.pop("OPENAI_API_BASE_URL")
    assert told == {name: value for name, value in SETTINGS.items() if name not in ("OFFLINE_MODE", "WEBUI_AUTH")}
    assert f"Open WebUI {VERSION}" in text


@each_language
@pytest.mark.parametrize("page", ["api.md", "clients.md"])
def test_python_compiles(lang: str, page: str) -> None:
    for block in code_blocks(FOLDER / lang / page, "python"):
        compile(block, page, "exec")
