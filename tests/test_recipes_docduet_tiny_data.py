"""Corpus, tokenizer and shards of docduet-tiny on a few made-up pages: no network, no Debian archive."""

from __future__ import annotations

import importlib.util
import lzma
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / "recipes" / "docduet-tiny"

MALLARD = """<page xmlns="http://projectmallard.org/1.0/" type="topic" id="net"><info><desc>hidden</desc></info>
<title>Connect to a network</title><p>Pick one &amp; go.</p>
<steps><item><p>Open <gui>Settings</gui>.</p></item>
<item><p>Press <keyseq><key>Alt</key><key>F2</key></keyseq>.</p></item></steps>
<note><p>Needs a password.</p></note>
<section id="more"><title>When it fails</title><p>Run <cmd>nmcli</cmd> in a terminal.</p>
<code>nmcli radio wifi on</code></section></page>"""

DOCBOOK = """<?xml version="1.0"?><!DOCTYPE book [<!ENTITY app SYSTEM "file:///etc/passwd">]>
<book><bookinfo><title>hidden</title></bookinfo><chapter id="c"><title>Sessions</title>
<para>Keep them &app; open.</para>
<variablelist><varlistentry><term>Name</term>
<listitem><para>What it is called.</para></listitem></varlistentry></variablelist>
<sect1><title>Close one</title><orderedlist><listitem><para>Choose <menuchoice><guimenu>File</guimenu>
<guimenuitem>Quit</guimenuitem></menuchoice>.</para></listitem></orderedlist></sect1></chapter></book>"""


def load(name: str) -> ModuleType:
    """A script of the recipe as a module (their names begin with a number)."""
    sys.path.insert(0, str(RECIPE))
    try:
        spec = importlib.util.spec_from_file_location(f"tiny_{name}", RECIPE / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(RECIPE))


corpus = load("01_corpus")
tokens = load("02_tokenizer")
packing = load("02_pack")
cleaning = sys.modules["cleaning"]
debian = sys.modules["debian"]
documents = sys.modules["documents"]
helpxml = sys.modules["helpxml"]
shards = sys.modules["shards"]

CHINESE = "打开设置，选择网络，然后按下连接按钮，直到状态栏显示已经连接为止。" * 4

SENTENCES = [
    "The gateway listens on port 7860 unless you set another one in the configuration.",
    "Restart the service after you have changed the file, or the old value stays.",
    "Each index generation is an immutable folder that the next build never touches.",
    "A refused question shows no sources, because nothing in the documentation answers it.",
    "Use the option --quiet when a timer starts the command and nobody reads its output.",
    "Passwords are stored as salted hashes and cannot be shown again by anybody.",
]


def page(path: str = "/usr/share/doc/a/index.html", seed: int = 0, **fields: Any) -> Any:
    rng = random.Random(seed)
    body = "\n\n".join(
        f"{rng.choice(SENTENCES)} Case {seed}-{rng.randrange(10**9)} is written down here." for _ in range(12)
    )
    return documents.Page(
        **{"package": "a", "path": path, "title": "A", "lang": "en", "body": body, "licence": "MIT", **fields}
    )


def test_the_list_of_packages_names_free_licences_and_held_out_ones() -> None:
    packages = debian.read_packages(RECIPE / "packages.txt")
    held_out = {package.name for package in packages if package.split == "heldout"}
    assert {"git-doc", "bind9-doc", "varnish-doc", "python-flask-doc"} < held_out
    assert any("zh" in name for name in held_out)
    assert len(packages) > 100


@pytest.mark.parametrize(
    ("line", "message"), [("a CC-BY-NC-4.0", "not among the free"), ("a", "licence"), ("a MIT\na MIT", "twice")]
)
def test_a_package_that_may_not_be_used_is_named(tmp_path: Path, line: str, message: str) -> None:
    listing = tmp_path / "packages.txt"
    listing.write_text(line)
    with pytest.raises(debian.CorpusError, match=message):
        debian.read_packages(listing)


def test_mallard_becomes_headings_steps_and_code() -> None:
    found = documents.convert(helpxml.help_to_html(MALLARD.encode()).encode(), "page.html")
    assert found.title == "Connect to a network"
    assert "1. Open **Settings**." in found.body
    assert "2. Press `Alt`+`F2`." in found.body
    assert "## When it fails" in found.body
    assert "nmcli radio wifi on" in found.body
    assert "hidden" not in found.body


def test_docbook_becomes_headings_and_terms_and_reads_no_other_file() -> None:
    found = documents.convert(helpxml.help_to_html(DOCBOOK.encode()).encode(), "page.html")
    assert "Close one" in found.body
    assert "1. Choose **File** > **Quit**." in found.body
    assert "What it is called." in found.body
    assert "root:" not in found.body


def test_files_are_chosen_by_path_and_language(tmp_path: Path) -> None:
    for name in (
        "usr/share/doc/a/guide.html",
        "usr/share/doc/a/guide.rst.gz",
        "usr/share/doc/a/genindex.html",
        "usr/share/doc/a/changelog.html",
        "usr/share/doc/a/html/fr/guide.html",
        "usr/share/doc/a/html/zh-CN/guide.html",
        "usr/share/doc/a/notes.txt",
        "usr/share/man/de/man1/a.1.gz",
        "usr/share/man/man1/a.1.gz",
        "usr/share/man/zh_TW/man1/a.1.gz",
        "usr/share/help/C/a/x.page",
        "usr/share/help/sv/a/x.page",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    package = debian.Package("a", "MIT")
    found = {document.name: document for document in documents.documents(tmp_path, package)}
    assert set(found) == {
        "/usr/share/doc/a/guide.html",
        "/usr/share/doc/a/html/zh-CN/guide.html",
        "/usr/share/man/man1/a.1.gz",
        "/usr/share/man/zh_TW/man1/a.1.gz",
        "/usr/share/help/C/a/x.page",
    }
    assert found["/usr/share/man/zh_TW/man1/a.1.gz"].traditional
    with_text = debian.Package("a", "MIT", frozenset({"text"}))
    assert "/usr/share/doc/a/notes.txt" in {document.name for document in documents.documents(tmp_path, with_text)}


def test_a_man_page_is_titled_by_its_purpose() -> None:
    fragment = (
        '<table class="head"><tr><td>LS(1)</td></tr></table><div class="manual-text">'
        '<section class="Sh"><h1 class="Sh" id="NAME">NAME</h1><p>ls - list &amp; sort files</p></section>'
        '<section class="Sh"><h1 class="Sh" id="D">DESCRIPTION</h1><p>List files.</p></section></div>'
        '<table class="foot"></table>'
    )
    found = documents.convert(documents._man_html(fragment, "/usr/share/man/man1/ls.1.gz").encode(), "page.html")
    assert found.title == "ls(1): list & sort files"
    assert "## DESCRIPTION\n\nList files." in found.body


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")
def test_a_package_becomes_pages(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a <a@a.a>\nDescription: a\n"
    )
    (tree / "usr/share/doc/a").mkdir(parents=True)
    (tree / "usr/share/doc/a/copyright").write_text("License: Expat\n text\n\nLicense: GPL-2+\n")
    paragraphs = "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)
    guide = (
        f"<html><head><title>T</title></head><body><nav>Home</nav><main><h1>Guide</h1>{paragraphs}</main></body></html>"
    )
    (tree / "usr/share/doc/a/guide.html").write_text(guide)
    (tree / "usr/share/doc/a/table.html").write_text("<html><body><p>a_b_c() d_e_f()</p></body></html>")
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(tmp_path / "a_1_all.deb")],
        check=True,
        capture_output=True,
    )
    root = debian.unpack(tmp_path / "a_1_all.deb", tmp_path / "root")
    package = debian.Package("a", "Expat")
    assert debian.licence_names(root, "a") == "Expat,GPL-2+"
    (root / "usr/share/doc/a/broken.html.gz").write_bytes(b"no gzip")
    pages = corpus._converted(root, package, debian.Tools(tmp_path), processes=1)
    assert [(page.title, page.lang, page.licence) for page in pages] == [("Guide", "en", "Expat")]
    assert SENTENCES[0] in pages[0].body
    assert "Home" not in pages[0].body


def test_boilerplate_goes_and_headings_stay() -> None:
    footer = "Found a problem? Write to the list of this project."
    pages = [page(path=f"/p{n}.html", seed=n) for n in range(12)]
    pages = [replace(one, body=f"## Description\n\n{one.body}\n\n{footer}") for one in pages]
    cleaned = list(cleaning.without_boilerplate(pages))
    assert all(footer not in one.body and one.body.startswith("## Description") for one in cleaned)


def test_untranslated_sentences_leave_chinese_pages_and_commands_stay() -> None:
    english = "This sentence was never translated by the people who wrote it."
    code = f"```\n$ apt install a b\n\n{english}\n\nDone.\n```"
    (cleaned,) = cleaning.without_boilerplate([page(lang="zh", body=f"{CHINESE}\n\n{english}\n\n{code}")])
    assert cleaned.body == f"{CHINESE}\n\n{code}"
    steps = "\n\n".join([f"1. {CHINESE}", f"2. {english}", f"3. {CHINESE}", f"4. {CHINESE}"])
    (cleaned,) = cleaning.without_boilerplate([page(lang="zh", body=steps)])
    assert cleaned.body == steps
    (cleaned,) = cleaning.without_boilerplate([page(lang="zh", body=f"打开设置。\n\n{english}")])
    assert cleaned.body == ""


def test_symbol_tables_are_no_pages() -> None:
    assert cleaning.is_useful(page())
    assert not cleaning.is_useful(page(body="\n".join(f"| `a_{n}()` | `int` |" for n in range(200))))
    assert not cleaning.is_useful(page(body="Short."))


def test_questions_mark_a_faq() -> None:
    body = "\n\n".join(f"## How do I do thing {n}?\n\nLike this." for n in range(6))
    assert cleaning.is_faq(page(body=body))
    assert not cleaning.is_faq(page(body=body.replace("How do I do", "Doing").replace("?", "")))


def test_the_cap_keeps_prose_first() -> None:
    poor = page(path="/poor.html", body="\n".join(f"- `x{n}`" for n in range(400)))
    rich = [page(path="/a.html", seed=1), page(path="/b.html", seed=2)]
    kept = cleaning.capped([poor, *rich], limit=sum(len(one.body) for one in rich) + 10)
    assert [one.path for one in kept] == ["/a.html", "/b.html"]


def test_copies_and_near_copies_go_held_out_ones_stay(tmp_path: Path) -> None:
    first = page(seed=1, package="b")
    exact = page(path="/copy.html", seed=1)
    near = replace(page(path="/near.html", seed=1), body=first.body.replace("Restart", "Reboot"))
    other = page(path="/other.html", seed=2)
    for name, pages in (("a", [exact, near, other]), ("b", [first])):
        corpus.write_pages(tmp_path / f"{name}.jsonl.xz", pages)
    packages = [debian.Package("a", "MIT"), debian.Package("b", "MIT", frozenset({"heldout"}))]
    corpus._merge([tmp_path / "a.jsonl.xz", tmp_path / "b.jsonl.xz"], packages, tmp_path / "all.jsonl.xz", seed=1)
    kept = list(corpus.read_pages(tmp_path / "all.jsonl.xz"))
    assert sorted(one.path for one in kept) == ["/other.html", "/usr/share/doc/a/index.html"]
    assert {one.split for one in kept} == {"heldout", "train"}
    assert all(one.id for one in kept)


def test_a_paragraph_that_everybody_repeats_goes() -> None:
    notice = "This program comes with no warranty whatsoever, to the extent permitted by the law."
    pages = [
        replace(one, body=f"{one.body}\n\n{notice}") for one in (page(path=f"/{n}.html", seed=n) for n in range(8))
    ]
    kept = list(cleaning.Deduplicator().sift(pages))
    assert sum(notice in one.body for one in kept) == cleaning.REPEATS


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A small one, learnt from the prompts and a few sentences."""
    folder = tmp_path_factory.mktemp("tokenizer")
    found = tokens.train([*tokens.prompt_texts(), *SENTENCES], 500)
    tokens.save(found, folder)
    return found, folder


def test_the_tokenizer_loads_as_qwens_and_gives_text_back(tokenizer: tuple[Any, Path]) -> None:
    from transformers import AutoTokenizer

    raw, folder = tokenizer
    loaded = AutoTokenizer.from_pretrained(folder)
    assert type(loaded).__name__.startswith("Qwen2Tokenizer")
    assert (loaded.eos_token, loaded.pad_token, loaded.bos_token) == ("<|im_end|>", "<|endoftext|>", None)
    for text in ["Plain text, don't stop.\n\n  indented\t1234", "端口是 7860。🚀 ﬁ", "<|im_start|>user\nx<|im_end|>"]:
        ids = loaded(text)["input_ids"]
        assert ids == raw.encode(text).ids
        assert loaded.decode(ids) == text
    assert len(loaded) == 500
    assert loaded.convert_ids_to_tokens(loaded("2026")["input_ids"]) == ["2", "0", "2", "6"]


@pytest.mark.parametrize(
    "around", ["{}", "End. {}", "End.{}\n", "句子。{}", "[1]{}[3]", "\n\n{} Title > Part", "a{}。"]
)
def test_a_citation_marker_is_one_token_wherever_it_stands(tokenizer: tuple[Any, Path], around: str) -> None:
    raw, _ = tokenizer
    for marker in tokens.MARKERS:
        assert raw.encode(around.format(marker)).ids.count(raw.token_to_id(marker)) >= 1
        assert raw.decode(raw.encode(around.format(marker)).ids, skip_special_tokens=False) == around.format(marker)


def test_the_chat_format_is_qwen3s(tokenizer: tuple[Any, Path]) -> None:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokenizer[1])
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nfirst"},
        {"role": "user", "content": "two"},
    ]
    history = (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\nfirst<|im_end|>\n"
    )
    asked = history + "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n"
    assert loaded.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == asked
    quick = loaded.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert quick == asked + "<think>\n\n</think>\n\n"
    answered = loaded.apply_chat_template([*turns, {"role": "assistant", "content": "second"}], tokenize=False)
    assert answered == quick + "second<|im_end|>\n"


def test_pages_are_packed_and_read_back(tokenizer: tuple[Any, Path], tmp_path: Path) -> None:
    raw, folder = tokenizer
    pages = [page(path=f"/{n}.html", seed=n, body=f"Text {n} with <|endoftext|> in it.") for n in range(5)]
    pages += [
        page(path="/zh.html", lang="zh", body="打开设置。"),
        page(path="/h.html", split="heldout", body="Held out."),
    ]
    corpus.write_pages(tmp_path / "pages.jsonl.xz", pages)
    packing.pack(tmp_path / "pages.jsonl.xz", folder, tmp_path / "shards")
    end = shards.index(tmp_path / "shards")["end"]
    assert end == raw.token_to_id("<|endoftext|>")
    train = shards.read_shards(tmp_path / "shards", "train")
    starts = shards.document_starts(train, end)
    assert train.dtype == np.uint16
    assert len(starts) == 6
    read = [raw.decode(train[a:b][:-1].tolist()) for a, b in zip(starts, [*starts[1:], len(train)], strict=True)]
    assert read[0] == "# A\n\nText 0 with <endoftext> in it."
    assert read[5] == "# A\n\n打开设置。"
    assert len(shards.document_starts(shards.read_shards(tmp_path / "shards", "heldout"), end)) == 1


def test_large_shards_are_cut_between_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_RAW_PER_PART", 100)
    arrays = [np.full(40, n, dtype=np.uint16) for n in range(7)]
    entries = shards.write_shards(tmp_path, "train-en", arrays, end=99)
    assert [entry["documents"] for entry in entries] == [3, 3, 1]
    ids = shards.read_shards(tmp_path, "train", cache=tmp_path / "cache")
    assert ids[:-1][ids[:-1] == 99].size == 6
    assert len(ids) == 7 * 41


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    (entry,) = shards.write_shards(tmp_path, "train-en", [np.arange(9)], end=99)
    (tmp_path / entry["file"]).write_bytes(lzma.compress(b"other"))
    with pytest.raises(shards.DamagedShards, match=r"train-en-00\.u16\.xz is missing or damaged"):
        shards.read_shards(tmp_path, "train")
