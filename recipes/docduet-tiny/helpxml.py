"""Help pages written in Mallard (GNOME) and DocBook (KDE, MATE) -> HTML that the project's converter reads."""

from __future__ import annotations

from html import escape
from typing import Any

_INLINE = {
    "gui": "strong", "guibutton": "strong", "guimenu": "strong", "guimenuitem": "strong", "guilabel": "strong",
    "guisubmenu": "strong", "guiicon": "strong", "key": "kbd", "keycap": "kbd", "em": "em", "emphasis": "em",
    "cmd": "code", "command": "code", "file": "code", "filename": "code", "code": "code", "sys": "code",
    "option": "code",
    "input": "code", "output": "code", "userinput": "code", "literal": "code", "envar": "code", "varname": "code",
    "systemitem": "code", "computeroutput": "code",
}  # fmt: skip
_BLOCK = {
    "p": "p", "para": "p", "simpara": "p", "steps": "ol", "procedure": "ol", "substeps": "ol", "orderedlist": "ol",
    "itemizedlist": "ul", "simplelist": "ul", "item": "li", "listitem": "li", "step": "li", "member": "li", "tr": "tr",
    "row": "tr", "td": "td", "th": "th", "entry": "td", "quote": "blockquote", "blockquote": "blockquote",
    "variablelist": "dl", "terms": "dl",
}  # fmt: skip
_PREFORMATTED = {"screen", "programlisting", "literallayout", "synopsis"}
_SECTIONS = {
    "page", "section", "chapter", "appendix", "preface", "article", "book", "sect1", "sect2", "sect3", "sect4", "sect5",
    "refentry", "refsect1", "refsect2", "qandaset", "qandadiv", "part", "simplesect",
}  # fmt: skip
_NEVER = {
    "info", "bookinfo", "articleinfo", "links", "media", "mediaobject", "inlinemediaobject", "figure", "screenshot",
    "comment", "indexterm", "remark", "toc", "abstract", "authorgroup", "legalnotice", "revhistory", "imageobject",
}  # fmt: skip
_ADMONITIONS = {"note", "tip", "important", "warning", "caution"}


def help_to_html(source: bytes) -> str:
    """HTML of one help page; "" where it is no such page. External entities are never read."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False)
    try:
        root = etree.fromstring(source, parser)
    except etree.XMLSyntaxError:
        return ""
    return f"<html><body><main>{_write(root, 0)}</main></body></html>" if root is not None else ""


def _write(node: Any, depth: int) -> str:
    """``depth``: sections around the node; a section's title becomes the heading of that rank."""
    if not isinstance(node.tag, str):
        return escape(node.text or "") if node.tag.__name__ == "Entity" and node.name in ("quot", "apos") else ""
    name = node.tag.rpartition("}")[2]
    if name in _NEVER:
        return ""
    if name in _SECTIONS:
        return _children(node, depth + 1)
    inside = _children(node, depth)
    if name in ("title", "bridgehead", "subtitle"):
        rank = min(max(depth, 1), 6)
        parent = node.getparent().tag.rpartition("}")[2] if node.getparent() is not None else ""
        return f"<h{rank}>{inside}</h{rank}>" if parent in _SECTIONS else f"<p><strong>{inside}</strong></p>"
    if name in ("question",):
        return f"<h{min(depth + 1, 6)}>{_text(node)}</h{min(depth + 1, 6)}>"
    return _element(node, name, inside)


def _element(node: Any, name: str, inside: str) -> str:
    parent = node.getparent().tag.rpartition("}")[2] if node.getparent() is not None else ""
    if name == "code" and parent in _SECTIONS | {"item", "example", "listing", "note"}:
        name = "screen"
    if name in _PREFORMATTED:
        return f"<pre><code>{inside}</code></pre>"
    if name == "term" or (name == "title" and parent == "item"):
        return f"<dt>{inside}</dt>"
    if name in ("listitem", "item") and parent in ("varlistentry", "terms"):
        return inside if parent == "terms" and "<dt>" in inside else f"<dd>{inside}</dd>"
    if name == "list":
        tag = "ol" if node.get("type") == "numbered" else "ul"
        return f"<{tag}>{inside}</{tag}>"
    if name in ("table", "informaltable"):
        return f"<table>{inside}</table>"
    if name in _ADMONITIONS:
        return f"<p><strong>{name.capitalize()}</strong></p>{inside}"
    if name in ("menuchoice", "guiseq", "keyseq", "keycombo"):
        return (" > " if name in ("menuchoice", "guiseq") else "+").join(_write(child, 0) for child in node)
    tag = _BLOCK.get(name) or _INLINE.get(name)
    return f"<{tag}>{inside}</{tag}>" if tag and inside.strip() else inside


def _children(node: Any, depth: int) -> str:
    parts = [escape(node.text or "")]
    for child in node:
        parts += [_write(child, depth), escape(child.tail or "")]
    return "".join(parts)


def _text(node: Any) -> str:
    return escape(" ".join("".join(node.itertext()).split()))
