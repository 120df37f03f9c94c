"""Logs of `docduet serve`: one format for all loggers, to standard error, as text or as one JSON object a line.

What people ask, what they are answered and what pages say stays out, unless `[serving] log_texts` asks for it: our own
messages hold none of it, and of a failure its kind and its place are logged, but not its message, which can quote
anything. Only the standard library's logging is used.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any

from data.errors import DocDuetError, EngineError
from serving.config import ServingConfig
from serving.ops.current import request_id

OURS = ("data", "rag", "serving", "ui", "docduet")
"""Loggers that `[serving] log_level` is about; libraries speak up from WARNING on."""


def configure(config: ServingConfig) -> None:
    """Send all logs through one handler. Called again after a reload."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonLines if config.log == "json" else TextLines)(config.log_texts))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(config.log_level.upper())


def plainly(error: BaseException) -> str:
    """What may be logged of a failure: messages of ours without what others said in them, else only its kind."""
    if isinstance(error, EngineError):
        return error.plain
    return str(error) if isinstance(error, DocDuetError) else type(error).__name__


class _Lines(logging.Formatter):
    def __init__(self, texts: bool) -> None:
        super().__init__()
        self._texts = texts

    def formatException(self, ei: Any) -> str:
        """The traceback; without `log_texts` no message of any exception in it."""
        return super().formatException(ei) if self._texts else "\n".join(_places(ei[1]))

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What a line holds beside its message."""
        found: dict[str, Any] = {"request_id": request_id()} | getattr(record, "fields", {})
        return {name: value for name, value in found.items() if value not in ("", None, False)}


class TextLines(_Lines):
    """`2026-11-26 10:00:00 INFO serving.ops.requests: POST /v1/search 200 12 ms request_id=... user=...`"""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        more = "".join(f" {name}={_word(value)}" for name, value in self.fields(record).items())
        line = f"{when} {record.levelname} {record.name}: {record.getMessage()}{more}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(_Lines):
    """One object a line: time (UTC), level, logger, message, exception, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"time": when, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line | self.fields(record), ensure_ascii=False, default=str)


def _places(error: BaseException | None) -> list[str]:
    """Where an exception came from and what kind it is, the one that caused it first."""
    if error is None:
        return []
    before = _places(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    inside = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    parts = [line for one in inside for line in _places(one)]
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return [*before, *parts, "Traceback (most recent call last):", *([frames] if frames else []), type(error).__name__]


def _word(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(char in text for char in ' "\n=') else text
