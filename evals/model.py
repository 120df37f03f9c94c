"""A model that helps to evaluate: the judge, or the teacher that drafts questions. Its replies are kept as they come.

The same command after a stop asks only what was not answered yet: see data/chat/.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from data.chat.cache import CallCache
from data.chat.client import ChatClient, Patience, Role
from data.chat.window import Usage, Window
from data.errors import ConfigError


@dataclass(frozen=True)
class Model:
    """``url`` ends in /v1. ``name``: "" for the only model there. ``cache``: the file that keeps the replies."""

    url: str
    name: str
    key: str
    cache: Path
    role: Role
    concurrency: int = 8
    patience: Patience = field(default_factory=Patience)


@asynccontextmanager
async def asking(model: Model, progress: Callable[[Usage], None] = lambda _: None) -> AsyncIterator[Window]:
    """A window of calls to the model. EngineError where it cannot be reached, ConfigError where it refuses."""
    async with ChatClient(model.url, model.name, model.key, model.patience, model.role) as client:
        await client.check()
        cache = CallCache(model.cache)
        try:
            async with Window(client.model, cache, client, model.concurrency, progress) as window:
                yield window
        finally:
            cache.close()


def key_in(variable: str, option: str) -> str:
    """The key in an environment variable; "" where none is named. Raises ConfigError for one that is not set."""
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise ConfigError(f"the environment variable {variable} holds no key: set it, or name another with {option}")
    return key
