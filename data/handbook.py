"""Where the bundled handbook lies: DocDuet's own user documentation, one Markdown page a file, in en/ and zh/."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("handbook")
"""What `make demo` answers from. It holds pages and nothing else, so that a sync has nothing to skip."""
