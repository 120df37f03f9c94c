"""How long parts of a search take, for whoever wants to know: nothing is measured unless somebody watches.

with watched() as spent:
    retriever.search(...)
spent.get("rerank", 0.0)      # seconds
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_spent: ContextVar[dict[str, float] | None] = ContextVar("rag_stages", default=None)


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Stage -> seconds, filled in while the block runs. Of this thread and task alone."""
    spent: dict[str, float] = {}
    token = _spent.set(spent)
    try:
        yield spent
    finally:
        _spent.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """The time of the block counts as ``name``."""
    spent = _spent.get()
    if spent is None:
        yield
        return
    begun = time.perf_counter()
    try:
        yield
    finally:
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
