"""The browser of these tests: Debian's Chromium, started by Playwright (fixture ``browser`` in conftest.py)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which(CHROMIUM), reason="no /usr/bin/chromium: apt-get install chromium"),
]

# Without these, Chromium looks up its maker's hosts on every start.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def shoot(page: Any, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("DOCDUET_SHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(folder / f"{name}.png"))
