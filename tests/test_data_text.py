"""Encodings, and what a file is by its content."""

from __future__ import annotations

import io
import unicodedata
import zipfile

import pytest
from PIL import Image

from data.detect import detect
from data.errors import UnreadableDocument
from data.text import decode, folded

CHINESE = "如何配置服务器的端口？请修改配置文件中的端口号，然后重启服务。\n"


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "gbk"),
        ("端口设置\n", "gbk"),
        ("# API\n\nport 8080 端口\n", "gb18030"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        ("設定檔案的連接埠號碼，請重新啟動伺服器\n", "big5"),
        ("Le café est à côté, déjà vu. Müßiggang, Straße\n", "latin-1"),
        ("日本語の設定ファイルを編集します。\n", "shift_jis"),
        ("Привет, как установить этот пакет на сервер\n", "cp1251"),
    ],
)
def test_encodings(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert decode(data) == text
    assert detect(data, "page.md") == "markdown"


def test_html_says_its_own_encoding() -> None:
    data = f'<html><head><meta charset="gb2312"></head><body>{CHINESE}</body></html>'.encode("gb2312")
    assert CHINESE in decode(data)


def test_broken_utf8_keeps_the_rest() -> None:
    good = CHINESE * 5
    data = good.encode()
    broken = data[:90] + b"\xff\xfe\x80" + data[90:]
    assert decode(broken).replace("\ufffd", "") == good
    assert "Café" in decode("# Café — é".encode() + b"\xff tail")


def test_control_characters_and_line_ends() -> None:
    assert decode(b"a\x00b\r\nc\rd\x1b[31m\te") == "ab\nc\nd[31m\te"


@pytest.mark.parametrize(
    ("data", "path", "kind"),
    [
        (b"# Title\n\ntext", "a.md", "markdown"),
        (b"Title\n=====\n\n.. note:: x\n", "a.rst", "rst"),
        (b"plain words", "a.txt", "text"),
        (b"<!-- c -->\n<!DOCTYPE html>\n<html><body>x</body></html>", "a.md", "html"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'><body>x</body></html>", "a", "html"),
        (b"<h1>A</h1><p>part of a page</p>", "a.html", "html"),
        (b"%PDF-1.7\n...", "manual.txt", "pdf"),
        (b"Notes on the release.\n\nNothing has changed since last week.\n", "NOTES", "text"),
    ],
)
def test_content_decides_and_the_suffix_only_between_texts(data: bytes, path: str, kind: str) -> None:
    assert detect(data, path) == kind


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (png(), "logo.md", "a PNG image named .md"),
        (png(), "logo.png", "a PNG image"),
        (b"\x7fELF\x02\x01\x01" + bytes(300), "tool.txt", "named .txt"),
        (b"import os\n\n\ndef main():\n    print(os.getcwd())\n", "run.py", "Python"),
        (b"", "empty.md", "empty"),
        (b" \n\t\n", "blank.md", "empty"),
        (b"PK\x03\x04 and then rubbish", "a.docx", "damaged"),
    ],
)
def test_what_is_no_document_says_what_it_is(data: bytes, path: str, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        detect(data, path)


def test_a_zip_archive_is_no_word_document() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(UnreadableDocument, match=r"(?i)zip"):
        detect(out.getvalue(), "a.docx")


def test_folded_keeps_letters_and_digits_of_all_scripts() -> None:
    assert folded("  Set `max_TOKENS`, to “１０”?\n") == folded("set maxtokens to 10") == "setmaxtokensto10"
    assert folded("端口：7860 ？") == "端口7860"
    every = "".join(map(chr, range(0x3000)))
    assert folded(every) == "".join(c for c in unicodedata.normalize("NFKC", every).lower() if c.isalnum())
