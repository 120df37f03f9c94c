"""The documentation in an unpacked package -> pages, by the project's own converters.

HTML, Markdown and reStructuredText go straight through data.convert; man pages (mandoc) and help pages (helpxml) are
first written as HTML. Languages other than English and Chinese are left out by their paths, then by their text.
"""

from __future__ import annotations

import gzip
import html
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from debian import Package, Tools
from helpxml import help_to_html

from data.convert import Converted, convert
from data.errors import DocDuetError

MAX_BYTES = 3_000_000
MAX_PDF_BYTES = 20_000_000
"""Larger files are a whole manual in one page: the same text as in its chapters, and slow to convert."""

MAX_SECONDS = 60
"""A file that takes longer is left out."""

_MAN = re.compile(
    r"/man(?:/(?P<lang>[a-z]{2}(?:[_.@][\w.-]+)?))?/man[1-9]\w*/(?P<name>[^/]+?)\.(?P<section>[1-9]\w*)(?:\.gz)?$"
)
_HELP = re.compile(r"/usr/share/(?:gnome/)?help/(?P<lang>[^/]+)/.*\.(?:page|docbook|xml)$|\.docbook$")
_PLAIN = re.compile(r"\.(?:html?|xhtml|md|markdown|mdx|rst|adoc)(?:\.gz)?$", re.IGNORECASE)
_WEB = re.compile(r"\.(?:html?|xhtml)(?:\.gz)?$", re.IGNORECASE)
_TEXT = re.compile(r"\.(?:txt|text)(?:\.gz)?$", re.IGNORECASE)
_LANGUAGE = re.compile(
    r"[/._-](?P<lang>ar|be|bg|bn|ca|cs|da|de|el|eo|es|et|eu|fa|fi|fr|gl|he|hi|hr|hu|id|it|ja|ko|lt|lv|mk|ml|nb|nl|nn|no|pa|pl|pt|ro|ru|"
    r"sk|sl|sq|sr|sv|ta|te|th|tr|uk|vi|(?:ar|cs|da|de|el|es|fa|fi|fr|hr|id|it|ja|ko|nb|nl|pl|pt|ro|ru|sv|tr|vi)[-_][A-Z]{2})(?=[/.])"
)
_CHINESE = re.compile(r"[/._-]zh(?:[-_.](?:cn|tw|hk|hans|hant))?(?=[/._-]|$)", re.IGNORECASE)
_TRADITIONAL = re.compile(r"zh[-_.]?(?:tw|hk|hant)", re.IGNORECASE)
_SKIP = re.compile(
    r"(?i)/(?:genindex|search|py-modindex|modindex|index-all|allclasses\S*|overview-\S*|package-\S*|class-use/.*|changelog|changes|news|"
    r"history|readme\.debian|todo|authors|copyright|licen[cs]e|thanks|credits|contributors|copying|gpl|fdl|gfdl|genindex-\w|"
    r"(?:release[-_]?notes?|whatsnew|releases?)(?:/.*)?|bookindex|ix\d*|toc|_?contents|functions?_\w+|globals\w*|annotated|hierarchy|classes|"
    r"files|namespaces|namespacemembers\w*|doxygen\w*|(?:class|struct|union|namespace)[\w-]+_1_1[\w-]+)\.\w+(?:\.gz)?$"
    r"|/_sources/|/_modules/|/_static/|/singlehtml|/examples?/.*\.html\.gz$|/search/|/javadoc/"
)


@dataclass(frozen=True)
class Page:
    """A converted page. ``path``: in the package. ``faq``: its headings are real questions."""

    package: str
    path: str
    title: str
    lang: str
    body: str
    licence: str
    faq: bool = False
    split: str = "train"
    id: str = ""

    def record(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Document:
    """A file to convert. ``kind``: man, help, plain, text or pdf."""

    path: Path
    name: str
    kind: str
    traditional: bool


def documents(root: Path, package: Package) -> Iterator[Document]:
    """The files of an unpacked package that may be pages, in the order of their paths.

    Markdown and reStructuredText beside as many HTML pages are what these were made of, and left out.
    """
    found = list(_candidates(root, package))
    written = [document for document in found if document.kind == "plain" and not _WEB.search(document.name)]
    pages = sum(bool(_WEB.search(document.name)) for document in found)
    sources = {document.path for document in written} if pages >= len(written) / 3 else set()
    yield from (document for document in found if document.path not in sources)


def _candidates(root: Path, package: Package) -> Iterator[Document]:
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file() or not path.stat().st_size:
            continue
        name = f"/{path.relative_to(root)}"
        kind = _kind(name, package)
        if path.stat().st_size > (MAX_PDF_BYTES if kind == "pdf" else MAX_BYTES):
            continue
        if kind and not _SKIP.search(name) and not _foreign(name):
            yield Document(path, name, kind, bool(_TRADITIONAL.search(name) or _TRADITIONAL.search(package.name)))


def _kind(name: str, package: Package) -> str:
    if _MAN.search(name):
        return "man"
    if _HELP.search(name):
        return "help"
    if _PLAIN.search(name):
        return "plain"
    if _TEXT.search(name) and "text" in package.flags:
        return "text"
    return "pdf" if name.endswith(".pdf") and "pdf" in package.flags else ""


def _foreign(name: str) -> bool:
    man, guide = _MAN.search(name), _HELP.search(name)
    lang = (man and man["lang"]) or (guide and guide["lang"]) or ""
    if lang:
        return not re.match(r"(?:C|en|zh)(?:[_.@-]|$)", lang)
    return bool(not man and _LANGUAGE.search(name))


def page_of(document: Document, package: Package, tools: Tools) -> Page | None:
    """The page a file holds; None where it is none, is in another language or cannot be read."""
    try:
        with _at_most(MAX_SECONDS):
            found = _converted(document, tools)
    except DocDuetError:
        return None
    except Exception as error:  # one bad file of a hundred thousand must not end the run
        print(f"\n{package.name}{document.name}: left out, {type(error).__name__}: {error}"[:300], file=sys.stderr)
        return None
    if found is None:
        return None
    chinese = bool(_CHINESE.search(document.name) or _CHINESE.search(package.name))
    if found.lang != "zh" and (found.lang != "en" or chinese):
        return None  # a Chinese page that is English yet is a copy of the English one
    title, body = found.title, found.body
    if document.traditional and found.lang == "zh":
        title, _, body = tools.simplified(f"{title}\n{body}").partition("\n")
    return Page(
        package.name, document.name, " ".join(title.split()), found.lang, body, package.licence, split=package.split
    )


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the body after so long (main thread of a worker process; not inside C code)."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _converted(document: Document, tools: Tools) -> Converted | None:
    data = document.path.read_bytes()
    if document.name.endswith(".gz"):
        data = gzip.decompress(data)
    readable, name = _readable(document, data, tools)
    return None if readable is None else convert(readable, name)


def _readable(document: Document, data: bytes, tools: Tools) -> tuple[bytes | None, str]:
    """(bytes that data.convert reads, the name to tell their kind by)."""
    name = re.sub(r"\.gz$", "", document.name)
    if document.kind == "man":
        if len(data) < 400 or data.lstrip().startswith(b".so "):
            return None, name
        return _man_html(tools.man(data), name).encode(), "page.html"
    if document.kind == "help":
        page = help_to_html(data)
        return (page.encode() if page else None), "page.html"
    if document.kind == "text":
        return data, re.sub(r"\.\w+$", ".txt", name)
    return data, re.sub(r"\.adoc$", ".md", name)


def _man_html(fragment: str, name: str) -> str:
    """A man page's sections below a title made of its name and its one line of purpose."""
    man = _MAN.search(name)
    assert man is not None
    text = re.split(r'<div class="manual-text">', fragment)[-1]
    text = re.split(r'<table class="foot">', text)[0]
    purpose = re.search(r'(?s)<h1 class="Sh"[^>]*>.*?</h1>\s*(.*?)</section>', text)
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", "", purpose[1])).split()) if purpose else ""
    line = re.split(r"\s[-\u2013\u2014\u2212]+\s", words, maxsplit=1)[-1] if len(words) < 300 else ""
    title = f"{man['name']}({man['section']})" + (f": {line}" if line and len(line) < 160 else "")
    text = re.sub(r"<(/?)h2\b", r"<\1h3", text)
    text = re.sub(r"<(/?)h1\b", r"<\1h2", text)
    heading = html.escape(title)
    return f"<html><head><title>{heading}</title></head><body><main><h1>{heading}</h1>{text}</main></body></html>"
