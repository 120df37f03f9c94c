"""Where the bundled handbook lies: DocDuet's own user documentation, one Markdown page a file, in en/ and zh/; and the
questions about it that nothing may be trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.types import Page

FOLDER = Path(__file__).with_name("handbook")
"""What `make demo` answers from. It holds pages and nothing else, so that a sync has nothing to skip."""

QUESTIONS = Path(__file__).with_name("held_out") / "handbook.jsonl"
"""What voices are measured with on the handbook: the question set ``handbook`` (evals/questions.py says its format)."""


def held_out(pages: Iterable[Page]) -> tuple[Path, ...]:
    """Question sets that must stay out of training data made of ``pages``: the handbook's, where it is among them."""
    heads = (path.read_text(encoding="utf-8").partition("\n")[0] for path in FOLDER.glob("*/index.md"))
    titles = {head.removeprefix("# ") for head in heads}
    return (QUESTIONS,) if any(page.title in titles for page in pages) else ()
