"""Where runtime state lives: DOCDUET_HOME (default ~/.docduet)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folders and files below DOCDUET_HOME. Nothing is created until somebody writes."""

    root: Path

    @classmethod
    def from_env(cls) -> Home:
        return cls(Path(os.environ.get("DOCDUET_HOME") or Path.home() / ".docduet").expanduser().absolute())

    @property
    def pages(self) -> Path:
        """SQLite page store."""
        return self.root / "pages.sqlite"

    @property
    def index(self) -> Path:
        """Index generations and the CURRENT pointer."""
        return self.root / "index"

    @property
    def cache(self) -> Path:
        """What can be computed again: embeddings by (model, text hash)."""
        return self.root / "cache"

    @property
    def refresh(self) -> Path:
        """What came of the last scheduled refresh."""
        return self.root / "refresh.json"

    @property
    def progress(self) -> Path:
        """How far the sync under way is (data/progress.py); there only meanwhile."""
        return self.root / "sync-progress.json"

    @property
    def router(self) -> Path:
        """What `docduet route fit` learned about which voice answers what."""
        return self.root / "router.json"

    @property
    def runs(self) -> Path:
        """Training runs and exported checkpoints."""
        return self.root / "runs"

    @property
    def current_sft(self) -> Path:
        """Names the checkpoint folder that the `sft` voice answers with."""
        return self.runs / "current-sft"

    @property
    def database(self) -> Path:
        """Conversations, votes and keys (serving/store), where no other database is configured."""
        return self.root / "docduet.sqlite"

    @property
    def feedback(self) -> Path:
        """Answers that people corrected (data/feedback.py)."""
        return self.root / "feedback.jsonl"

    @property
    def evals(self) -> Path:
        """Evaluation runs (evals/runs.py)."""
        return self.root / "evals"

    @property
    def demo(self) -> Home:
        """The home of the demonstration (`docduet serve --demo`)."""
        return Home(self.root / "demo")

    @property
    def logs(self) -> Path:
        return self.root / "logs"
