"""The bundled handbook: DocDuet's own user documentation, one Markdown page a file, in en/ and zh/."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""What `docduet sync` reads when it is given no source, and what `make demo` answers from."""
