"""HTML documentation -> Markdown: data/html.py beside trafilatura, markitdown, markdownify and pandoc.

The peers live in an environment of their own; pages come from Debian packages, unpacked, not installed:

    python3.11 -m venv /tmp/peers && /tmp/peers/bin/pip install selectolax html-to-markdown markdown-it-py \\
        mdit-py-plugins trafilatura lxml_html_clean markitdown markdownify pypandoc_binary
    mkdir /tmp/sites && cd /tmp/sites && apt-get download postgresql-doc-15 python3.11-doc git-doc python-django-doc \\
        apache2-doc sqlite3-doc libgtk-4-doc && for deb in *.deb; do dpkg -x $deb ${deb%%_*}; done; cd -
    D=usr/share/doc; S=/tmp/sites; PYTHONPATH=. /tmp/peers/bin/python benchmarks/html_conversion.py \\
        postgresql=$S/postgresql-doc-15/$D python=$S/python3.11-doc/$D git=$S/git-doc/$D \\
        django=$S/python-django-doc/$D apache=$S/apache2-doc/$D/apache2-doc/manual/en \\
        sqlite=$S/sqlite3-doc/$D gtk=$S/libgtk-4-doc/$D [--pages 30] [--seed 0] [--misses docduet]

A peer that cannot be imported is named and left out. Generated indexes (genindex, search, ...) are not sampled.

What should be kept is read from the HTML, what was kept from the Markdown as markdown-it renders it (CommonMark,
tables and the definition lists that markdownify and markitdown write). The *frame* of a page is what HTML5 or ARIA
call so (nav, header, footer, aside, role=navigation, ...) and blocks with a class or id made of such a word
(sphinxsidebar, navheader, menu, ...: FRAME_WORDS); footnotes, admonitions, sections and what is around the h1 or the
main element are not. All the rest is content, save the first heading where most pages of a site begin with the same
one (the site's name). Texts are compared by letters and digits, in one case, unless said otherwise.

    pages/s    pages per second of CPU time, child processes included (pandoc starts one for each page)
    headings   share of the content's h1-h6 that are Markdown headings of the same text (as often as in the HTML)
    code       share of the content's <pre> of which all lines stand in this order within one code block; runs of
               white space count as one, blank lines not at all
    cells      share of the cells of data tables (two rows and two columns at least, no table inside) that are cells
               of a Markdown table with the same text (as often as in the HTML)
    prose      share of the content's <p> of 100 characters and more, outside tables, that stand whole in the output
    leaked     of the words of the frame's links whose text does not occur in the content: the share that got into
               the output, in whatever form. Less is better.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from mdit_py_plugins.deflist import deflist_plugin
from selectolax.lexbor import LexborHTMLParser, LexborNode

from data.html import html_to_markdown, resolver
from data.text import decode

FRAME_TAGS = {"nav", "header", "footer", "aside"}
FRAME_ROLES = {"navigation", "banner", "contentinfo", "complementary", "search"}
FRAME_WORDS = re.compile(
    r"(?:^|[-_ ])(?:nav(?:bar|igation|header|footer)?|header|footer|menu|breadcrumbs?|path)(?=$|[-_ ])"
    r"|sidebar|(?:main|sub|search)menu|(?:top|bottom)lang"
)
NAMED_TAGS = {"div", "ul", "ol", "p", "table", "td", "form"}
CONTENT_WORDS = re.compile(r"note|admonition|topic|sect")
INDEXES = re.compile(r"genindex|modindex|bookindex|search|keyword_index|sitemap")
MEASURES = ("headings", "code", "cells", "prose", "leaked")
Convert = Callable[[str, Path], str]
Shares = dict[str, tuple[int, int]]
"""Measure -> (kept or leaked, of how many)."""


@dataclass
class Content:
    """What an HTML document holds: of a page without its frame, or of rendered Markdown."""

    headings: Counter[str]
    code: list[str]
    cells: Counter[str]
    prose: dict[str, str]
    letters: str
    words: str
    frame_links: set[str]


def main() -> None:
    """Sample, convert, measure, print one table per site and one for all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sites", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--pages", type=int, default=30, help="per site")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--misses", metavar="CONVERTER", help="print what this one lost or leaked")
    options = parser.parse_args()
    converters = dict(available())
    everything: dict[str, list[tuple[float, Shares]]] = {name: [] for name in converters}
    for site in options.sites:
        name, _, folder = site.partition("=")
        pages = sample(Path(folder), options.pages, options.seed)
        originals = without_site_name([content_of(html, frame=True) for _, html in pages])
        for convert in converters.values():  # imports and caches
            convert(pages[0][1], pages[0][0])
        results = {
            converter: [
                timed_shares(convert, html, file, original, converter, options.misses)
                for (file, html), original in zip(pages, originals, strict=True)
            ]
            for converter, convert in converters.items()
        }
        print_table(f"{name}, {len(pages)} pages", results)
        for converter, rows in results.items():
            everything[converter] += rows
    print_table(f"All, {len(next(iter(everything.values())))} pages of {len(options.sites)} sites", everything)


def sample(folder: Path, count: int, seed: int) -> list[tuple[Path, str]]:
    """(file, HTML) of ``count`` pages below ``folder``, the same ones for the same seed."""
    files = [file for file in sorted(folder.rglob("*.html")) if file.is_file() and not INDEXES.search(file.name)]
    real = sorted({file.resolve() for file in files})
    return [(file, decode(file.read_bytes())) for file in random.Random(seed).sample(real, min(count, len(real)))]


def available() -> Iterator[tuple[str, Convert]]:
    """Ours and every peer that can be imported, with its options for Markdown with tables, links and code."""
    yield "docduet", lambda html, file: html_to_markdown(html, resolver(str(file)))[1]
    for peer in (trafilatura, markitdown, markdownify, pandoc):
        try:
            yield peer.__name__, peer()
        except ImportError as error:
            print(f"without {peer.__name__}: {error}")


def trafilatura() -> Convert:
    from trafilatura import extract

    keep = {"include_formatting": True, "include_links": True, "include_tables": True, "favor_recall": True}
    return lambda html, _: extract(html, output_format="markdown", include_comments=False, **keep) or ""


def markitdown() -> Convert:
    from markitdown import MarkItDown, StreamInfo

    converter, info = MarkItDown(enable_plugins=False), StreamInfo(mimetype="text/html", charset="utf-8")
    return lambda html, _: converter.convert_stream(io.BytesIO(html.encode()), stream_info=info).markdown


def markdownify() -> Convert:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    def convert(html: str, file: Path) -> str:
        soup = BeautifulSoup(html, "lxml")
        for node in soup(["script", "style"]):
            node.decompose()
        return MarkdownConverter(heading_style="ATX", bullets="-", escape_misc=True).convert_soup(soup.body or soup)

    return convert


def pandoc() -> Convert:
    """Raw HTML stays allowed: a table that is too rich for Markdown is otherwise lost whole."""
    import pypandoc

    plain = "html-native_divs-native_spans"
    return lambda html, _: pypandoc.convert_text(html, "gfm", format=plain, extra_args=["--wrap=none"])


def timed_shares(
    convert: Convert, html: str, file: Path, original: Content, converter: str, misses: str | None
) -> tuple[float, Shares]:
    """(CPU seconds the conversion took, shares)."""
    start = cpu_seconds()
    markdown = convert(html, file)
    spent = cpu_seconds() - start
    written = content_of(markdown_it(raw_html=converter == "pandoc").render(markdown), frame=False)
    return spent, compare(original, written, show=file.name if converter == misses else "")


def cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@cache
def markdown_it(raw_html: bool) -> MarkdownIt:
    """Only pandoc writes HTML where it means HTML; with the others a tag in the output is text of the page."""
    return MarkdownIt("commonmark", {"html": raw_html}).enable("table").use(deflist_plugin)


def content_of(html: str, frame: bool) -> Content:
    """``frame``: whether to look for a page's frame and take it off."""
    tree = LexborHTMLParser(html)
    for node in tree.css("script, style, template, noscript, svg"):
        node.decompose()
    for node in tree.css("br"):
        node.replace_with("\n")
    links = take_frame_off(tree) if frame else set()
    body = tree.body
    assert body is not None
    words = words_of(body)
    return Content(
        headings=Counter(filter(None, (key(node.text()) for node in body.css("h1, h2, h3, h4, h5, h6")))),
        code=[text for node in body.css("pre") if (text := lines(node.text())) and not within(node, {"pre"})],
        cells=Counter(
            text for table in body.css("table") if is_data(table) for cell in table.css("td, th")
            if (text := key(cell.text()))
        ),
        prose={key(text): text for node in body.css("p") if len(text := " ".join(node.text().split())) >= 100
               and not within(node, {"table", "pre"})},
        letters=key(body.text()),
        words=words,
        frame_links={link for link in links if f" {link} " not in words},
    )  # fmt: skip


def take_frame_off(tree: LexborHTMLParser) -> set[str]:
    """Remove the frame; the words of each of its links."""
    frames = [node for node in tree.css("body *") if is_frame(node)]
    inside = {node.mem_id for node in frames}
    outermost = [node for node in frames if not any(parent.mem_id in inside for parent in ancestors(node))]
    links = {text.strip() for node in outermost for link in node.css("a[href]") if (text := words_of(link)).strip()}
    for node in outermost:
        node.decompose()
    return links


def is_frame(node: LexborNode) -> bool:
    classes, name = ((node.attributes.get(attribute) or "").lower() for attribute in ("class", "id"))
    if node.css_first("h1, main, article, [role=main]") or CONTENT_WORDS.search(classes):
        return False
    if node.tag in FRAME_TAGS or node.attributes.get("role") in FRAME_ROLES:
        return True
    return node.tag in NAMED_TAGS and bool(FRAME_WORDS.search(classes) or FRAME_WORDS.search(name))


def ancestors(node: LexborNode) -> Iterator[LexborNode]:
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def within(node: LexborNode, tags: set[str]) -> bool:
    return any(parent.tag in tags for parent in ancestors(node))


def is_data(table: LexborNode) -> bool:
    """Not a box drawn with a table: two rows and two columns, and no table around or inside."""
    rows = table.css("tr")
    wide = max((len(row.css("td, th")) for row in rows), default=0)
    return len(rows) > 1 and wide > 1 and len(table.css("table")) <= 1 and not within(table, {"table"})


def key(text: str) -> str:
    """Letters and digits in one case; of a text without any, all but white space."""
    return re.sub(r"[\W_]+", "", text).casefold() or "".join(text.split()).strip("¶")


def words_of(node: LexborNode) -> str:
    """Words in one case, a space before, between and after."""
    return " ".join(["", *re.findall(r"[^\W_]+", node.text(separator=" ").casefold()), ""])


def lines(text: str) -> str:
    """Code with runs of white space as one space and without blank lines."""
    return "".join(f"{' '.join(line.split())}\n" for line in text.split("\n") if line.strip())


def without_site_name(pages: list[Content]) -> list[Content]:
    """The pages, less one heading each where most begin with the same one: the name of the site."""
    first = Counter(next(iter(page.headings), "") for page in pages)
    for page in pages:
        name = next(iter(page.headings), "")
        if name and first[name] * 2 > len(pages):
            page.headings -= Counter([name])
    return pages


def compare(original: Content, written: Content, show: str) -> Shares:
    """Shares of one page."""
    lost = {
        "headings": list((original.headings - written.headings).elements()),
        "code": [code for code in original.code if not any(f"\n{code}" in f"\n{block}" for block in written.code)],
        "cells": list((original.cells - written.cells).elements()),
        "prose": [text for letters, text in original.prose.items() if letters not in written.letters],
        "leaked": [link for link in original.frame_links if f" {link} " in written.words],
    }
    for measure, texts in lost.items() if show else ():
        print(*(f"{show}: {measure}: {text[:200]!r}" for text in texts), sep="\n", end="\n" if texts else "")
    totals = (original.headings.total(), len(original.code), original.cells.total(), len(original.prose))
    shares = {measure: (total - len(lost[measure]), total) for measure, total in zip(MEASURES, totals, strict=False)}
    leaked, links = (sum(len(link.split()) for link in some) for some in (lost["leaked"], original.frame_links))
    return {**shares, "leaked": (leaked, links)}


def print_table(title: str, results: dict[str, list[tuple[float, Shares]]]) -> None:
    """A Markdown table: a converter per line, shares in percent; the head says of how many."""
    sums = {
        converter: {measure: [sum(column) for column in zip(*(row[measure] for _, row in rows), strict=True)]
                    for measure in MEASURES}
        for converter, rows in results.items()
    }  # fmt: skip
    totals = next(iter(sums.values()))
    print(f"\n| {title} | pages/s |", " | ".join(f"{measure} ({totals[measure][1]:,})" for measure in MEASURES), "|")
    print("|---|" + "---:|" * (len(MEASURES) + 1))
    for converter, shares in sums.items():
        speed = len(results[converter]) / sum(spent for spent, _ in results[converter])
        cells = [f"{100 * part / whole:.1f}" if whole else "-" for part, whole in shares.values()]
        print(f"| {converter} | {speed:.0f} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
