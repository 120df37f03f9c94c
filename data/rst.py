"""reStructuredText -> Markdown, by docutils and HTML. What only Sphinx knows (roles, directives) keeps its text.

Nothing is read from disk or run: file insertion and raw HTML are off.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from data.html import Resolve, fragment_to_markdown

if TYPE_CHECKING:
    from docutils import nodes

_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "report_level": 5,
    "halt_level": 5,
    "doctitle_xform": False,
    "initial_header_level": 1,
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "syntax_highlight": "none",
    "smart_quotes": False,
    "math_output": "LaTeX",
    "input_encoding": "unicode",
    "output_encoding": "unicode",
    "_disable_config": True,
}
_CODE = frozenset({"code", "code-block", "sourcecode", "prompt", "command-output"})
_ADMONITIONS = frozenset({"seealso", "deprecated", "versionadded", "versionchanged", "versionremoved"})
_DROPPED = frozenset(
    {
        "toctree",
        "index",
        "highlight",
        "currentmodule",
        "contents",
        "meta",
        "tabularcolumns",
        "include",
        "literalinclude",
    }
)


def rst_to_markdown(text: str, resolve: Resolve = lambda _: "") -> str:
    """Markdown of a reStructuredText document."""
    from docutils import nodes
    from docutils.core import publish_doctree, publish_from_doctree

    _know_sphinx()
    tree = publish_doctree(text, settings_overrides=_SETTINGS)
    for literal in tree.findall(nodes.literal):
        literal["classes"] = ["code"]  # else the writer makes a <span> of it
    html = publish_from_doctree(tree, writer="html5", settings_overrides=_SETTINGS)
    return fragment_to_markdown(str(html), resolve)


@cache
def _know_sphinx() -> None:
    """Teach docutils to keep the text of every role and directive it has no implementation for."""
    from docutils.parsers.rst import directives, roles

    known_directive, known_role = directives.directive, roles.role

    def directive(name: str, language: Any, document: Any) -> Any:
        found, messages = known_directive(name, language, document)
        plain = name.lower()
        if found and plain not in _CODE | _DROPPED:
            return found, messages
        return _directive(plain), []

    def role(name: str, language: Any, lineno: int, reporter: Any) -> Any:
        found, messages = known_role(name, language, lineno, reporter)
        return (found, messages) if found else (_keep_role, [])

    directives.directive = directive
    roles.role = role


def _keep_role(name: str, raw: str, text: str, *_: Any, **__: Any) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """``:ref:`the page <target>``` -> the page; ``:func:`~os.path.join``` -> `join` in code."""
    from docutils import nodes, utils

    text = utils.unescape(text)
    titled = re.fullmatch(r"(.*?)\s*<[^<>]*>", text, re.DOTALL)
    shown = titled[1] if titled and titled[1] else text.lstrip("!")
    if name.rpartition(":")[2] in ("ref", "doc", "term", "guilabel", "menuselection", "abbr", "numref", "any"):
        return [nodes.inline(raw, shown)], []
    if shown.startswith("~"):
        shown = shown.rpartition(".")[2].lstrip("~")
    return [nodes.literal(raw, shown)], []


def _directive(name: str) -> type:
    """A directive class for a name that docutils does not know (or that would need files or Sphinx's own setup)."""
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class Keep(Directive):
        has_content = True
        optional_arguments = 100
        final_argument_whitespace = False
        option_spec = _AnyOption()

        def run(self) -> list[nodes.Node]:
            if name in _DROPPED:
                return []
            if name in _CODE:
                return self._code()
            head = " ".join(self.arguments)
            shown: list[nodes.Node] = []
            if (
                name in _ADMONITIONS
                or ":" in name
                or name in ("function", "class", "method", "option", "envvar", "confval")
            ):
                label = {"versionadded": "New in version", "versionchanged": "Changed in version"}.get(
                    name, name.capitalize()
                )
                is_object = name not in _ADMONITIONS
                strong = nodes.literal("", head) if is_object else nodes.strong("", f"{label} {head}".strip())
                shown.append(nodes.paragraph("", "", strong))
            elif head:
                shown.append(nodes.paragraph("", head))
            body = nodes.container()
            self.state.nested_parse(self.content, self.content_offset, body)
            return [*shown, *body.children]

        def _code(self) -> list[nodes.Node]:
            source = "\n".join(self.content)
            block = nodes.literal_block(source, source)
            if self.arguments:
                block["classes"] = ["code", f"language-{self.arguments[0]}"]
            return [block] if source.strip() else []

    return Keep


class _AnyOption(dict[str, Any]):
    """An option_spec that accepts every option as text."""

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> Any:
        return lambda argument: argument
