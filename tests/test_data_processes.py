"""Processes that help: they need nothing of the script that starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[1]
SCRIPT = """
import sys
from pathlib import Path
from data.config import DataConfig
from data.store import PageStore
from data.sync import sync_source

print("begins")
report = sync_source(sys.argv[1], PageStore(Path(sys.argv[2])), DataConfig())
print(len(report.added), report.skipped)
"""


def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    """60 files: more than one process reads by itself."""
    (tmp_path / "docs").mkdir()
    for number in range(60):
        (tmp_path / "docs" / f"{number}.md").write_text(f"# {number}\n\nPage {number}.")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", "docs", "home/pages.sqlite"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("begins\n60 []\n", "")
