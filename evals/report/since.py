"""A point in time as people write it: ``30d`` (so long ago), ``2026-11-01`` or a whole ISO time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from data.errors import ConfigError

_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


def since(text: str) -> float:
    """Unix seconds; 0 for "". A time without a zone is UTC. Raises ConfigError."""
    if not text.strip():
        return 0.0
    if ago := re.fullmatch(r"(\d{1,5})([hdw])", text.strip()):
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is no time: write 30d, 12h, or a day such as 2026-11-01") from None
