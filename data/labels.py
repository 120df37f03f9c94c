"""Which product, version and language a page has, from the path rules of [[data.labels]]. Pure.

    labels_for("widget/v2/zh-cn/setup.md", config)     # one rule: match = "{product}/v{version}/{lang}/**"
    {"product": "widget", "version": "2", "lang": "zh"}

Rules are read from top to bottom and every rule that matches sets its labels, so a later rule wins: general ones first,
exceptions below. A pattern is a glob over the page's whole path: ``*`` and ``?`` stay within a folder, ``**`` stands
for any folders, ``/**`` at the end for everything inside, and ``{product}``, ``{version}`` and ``{lang}`` take what
stands in their place. A pattern with ``://`` is compared with the whole URL, any other with the path below the base URL
or, on the web, below the host.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from data.lang import detect_lang
from data.types import Page

if TYPE_CHECKING:
    from data.config import DataConfig

NAMES = ("product", "version", "lang")

# ISO 639-1, and the country codes that sites use for languages.
_CODES = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj
kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv
ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti
tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu cn jp
"""
_COUNTRIES = {"cn": "zh", "jp": "ja", "kr": "ko"}

_TAIL = r"(?:[._-]\d+|[._-]?(?:x|a|b|rc|alpha|beta|preview|pre|dev|post|lts|snapshot|final|sp|p|r)\d*)*"
_WORDS = "latest|stable|current|next|main|master|trunk|dev|devel|development|nightly|preview|edge|beta|alpha|lts|legacy"
_PARTS = {
    "product": r"[^/]+",
    "version": rf"(?i:(?:(?:v|r|rel|release|version)[._-]?)?\d+{_TAIL}|{_WORDS})",
    "lang": rf"(?i:(?:{'|'.join(_CODES.split())})(?:[_-][a-z0-9]{{2,8}})*)",
}
_TOKEN = re.compile(r"\{(?P<name>[^{}]*)\}|(?P<glob>\*+|\?)|(?P<text>[^{*?]+|\{)")


def labels_for(path_or_url: str, config: DataConfig) -> dict[str, str]:
    """The labels of a page: ``product``, ``version`` and ``lang``, each only where something sets it.

    [data] ``product`` and ``version`` hold for pages that no rule says more about; without ``lang`` the page's language
    is what its text says (data/lang.py).
    """
    url, path = _addresses(path_or_url, config.base_url)
    found = {"product": config.product, "version": config.version}
    for rule in config.labels:
        match = compiled(rule.match).fullmatch(url if "://" in rule.match else path)
        if match:
            fixed = {"product": rule.product, "version": rule.version, "lang": rule.lang}
            found |= match.groupdict() | {name: value for name, value in fixed.items() if value}
    if "lang" in found:
        found["lang"] = primary_lang(found["lang"])
    return {name: found[name] for name in NAMES if found.get(name)}


def labelled(page: Page, config: DataConfig, detected: str = "") -> Page:
    """``page`` with the labels that ``config`` gives it and no others; ``detected``: its language, if that is known."""
    given = labels_for(page.url, config)
    lang = given.pop("lang", "") or detected or detect_lang(f"{page.title}\n{page.body}")
    return replace(page, labels=given, lang=lang)


def fingerprint(config: DataConfig) -> str:
    """Changes whenever some page's labels may: 16 hex digits."""
    rules = "".join(rule.model_dump_json() for rule in config.labels)
    return hashlib.sha256(f"{config.product}\n{config.version}\n{rules}".encode()).hexdigest()[:16]


def primary_lang(tag: str) -> str:
    """``zh-CN``, ``zh_Hans`` -> ``zh``, as data/lang.py names languages."""
    code = re.split("[-_]", tag.lower())[0]
    return _COUNTRIES.get(code, code)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """``pattern`` as a regular expression for `fullmatch`. Raises ValueError for one that cannot be meant."""
    segments = pattern.removeprefix("/").split("/")
    made = ""
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == "**":
            made += ".*" if last else "(?:[^/]+/)*?"
        else:
            made += _segment(segment, pattern) + ("" if last else "/")
    try:
        return re.compile(made)
    except re.error:
        raise ValueError(f"{pattern!r} names the same label twice") from None


def captured(pattern: str) -> set[str]:
    """The labels that ``pattern`` takes from the path."""
    return set(compiled(pattern).groupindex)


def _segment(segment: str, pattern: str) -> str:
    made = ""
    for token in _TOKEN.finditer(segment):
        name, glob, text = token["name"], token["glob"], token["text"]
        if name is not None:
            if name not in _PARTS:
                known = ", ".join(f"{{{known}}}" for known in NAMES)
                raise ValueError(f"{pattern!r} holds {{{name}}}: it can take {known} from a path")
            made += f"(?P<{name}>{_PARTS[name]})"
        else:
            made += re.escape(text) if text else "[^/]" if glob == "?" else "[^/]*"
    return made


def _addresses(path_or_url: str, base_url: str) -> tuple[str, str]:
    """(whole URL, path), without query and with %20 and the like read."""
    base = base_url.rstrip("/")
    if base and path_or_url.startswith(f"{base}/"):
        return unquote(path_or_url), unquote(path_or_url[len(base) + 1 :])
    if "://" not in path_or_url:
        return path_or_url, path_or_url
    parts = urlsplit(path_or_url)
    return unquote(f"{parts.scheme}://{parts.netloc}{parts.path}"), unquote(parts.path).lstrip("/")
