"""What test_rag_ray_job.py gives to Ray's workers, who can import no test module."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rag.embed import Embedder
from tests.fakes import HashedWords


def remembered(load: Callable[[], Embedder], folder: str) -> Embedder:
    """What ``load`` gives; leaves the node's id in ``folder``."""
    import ray

    Path(folder, ray.get_runtime_context().get_node_id()).touch()
    return load()


class Fragile(HashedWords):
    """Ends its process, or raises, where ``bad`` stands in a text; only once where ``once`` names a file."""

    def __init__(self, bad: str, once: str = "") -> None:
        super().__init__()
        self.bad, self.once = bad, once

    def documents(self, texts: Sequence[str]) -> Any:
        if any(self.bad in text for text in texts):
            if not self.once:
                raise ValueError("this text cannot be embedded")
            if not Path(self.once).exists():
                Path(self.once).touch()
                os._exit(1)
        return super().documents(texts)
