"""Gateways for asynchronous tests: the real `docduet serve` as a child process, or an app in a thread.

The process is for what only a process does: signals, logs, its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from serving.server import in_background


async def until(true: Callable[[], Any]) -> None:
    """Wait for it; the test's own timeout ends a wait in vain."""
    while True:
        if (found := true()) and (not isawaitable(found) or await found):
            return
        await asyncio.sleep(0.02)


@asynccontextmanager
async def in_thread(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The app on loopback, started and stopped without holding up the test's own servers."""
    running = in_background(app)
    url = await asyncio.to_thread(running.__enter__)
    try:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@dataclass
class Served:
    """``said``: everything on standard output and error so far."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    said: list[str] = field(default_factory=list)

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches; the test's own timeout ends a wait in vain."""
        found: list[re.Match[str]] = []

        def said() -> bool:
            found.extend(match for line in self.said if (match := re.search(pattern, line)))
            assert found or self.process.returncode is None, "".join(self.said)
            return bool(found)

        await until(said)
        return found[0]

    async def status(self) -> int:
        """Of /readyz."""
        return (await self.client.get("/readyz")).status_code

    async def stream(self, question: str, **more: Any) -> list[dict[str, Any]]:
        """The chunks of a streamed answer, which must end with [DONE]."""
        body = {"model": "base", "stream": True, "messages": [{"role": "user", "content": question}], **more}
        async with self.client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200, await response.aread()
            lines = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]


@asynccontextmanager
async def serving(folder: Path, toml: str) -> AsyncIterator[Served]:
    """`docduet serve` with that docduet.toml, at home in ``folder``/home; killed in the end if it still runs."""
    (folder / "docduet.toml").write_text(toml, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "docduet", "serve", "--port", "0", "--no-ui"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DOCDUET_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    )
    client = httpx.AsyncClient(timeout=60)
    served = Served(process, client)
    reading = asyncio.create_task(_read(served))
    try:
        found = await served.says(r"answers at (http://\S+)")
        client.base_url = httpx.URL(found.group(1))
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
        await client.aclose()


async def _read(served: Served) -> None:
    assert served.process.stdout
    async for line in served.process.stdout:
        served.said.append(line.decode(errors="replace"))
