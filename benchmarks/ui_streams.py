"""The chat app in real browsers: first words of a comparison for one user and for three at once, and the page itself.

    python benchmarks/ui_streams.py [--rounds 5] [--pieces 80]

One gateway process (its own, with a small index and an engine that says a piece every 30 ms after 200 ms), one
Chromium, a context for each user. A user asks `compare` with the keyboard; the page itself takes the time from the key
to the first words in each column, and to the end. Rounds of one and of three users alternate. ``waits``: how much
later the second column of a user begins than the first. ``ratio``: three users' median against one user's; the goal
is 1.3. Then the page: first paint and bytes, as the browser's own performance entries have them, with an empty cache.

Browser, gateway and everything else on the machine share its cores: the load average stands beside the figures. In
life three users have three machines, so before the browsers come clients that only speak the page's protocol: what the
server does for three at once, without three browsers that draw on its cores. Their lines begin with ``wire``. Each
opens the page before it asks, as a browser does: Gradio makes a page's session then, not when the question comes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import httpx

from data.prompts import Message
from serving.engines.delta import EngineDelta
from serving.engines.engine import Engine

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUESTION = "Which port does the gateway listen on by default?"
USERS = 3
FIRST_S, PACE_S = 0.2, 0.03

# From the key that asks: when each column has its first words, and when both have ended.
WATCH = """() => {
  window.seen = { asked: 0, first: [], end: 0 };
  const asked = (event) => { if (event.key === "Enter") seen.asked ||= performance.now(); };
  document.addEventListener("keydown", asked, true);
  new MutationObserver(() => {
    const sides = document.querySelectorAll("article .dd-side");
    sides.forEach((side, i) => {
      if (side.querySelector(".dd-prose")) seen.first[i] ||= performance.now() - seen.asked;
    });
    if (sides.length === 2 && !document.querySelector("[aria-busy=true]")) seen.end ||= performance.now() - seen.asked;
  }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
}"""
PAGE = """() => {
  const loaded = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  return {
    paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    bytes: loaded.reduce((sum, entry) => sum + entry.transferSize, 0),
    files: loaded.length,
  };
}"""


class PacedEngine(Engine):
    """Says ``pieces`` words, one every PACE_S after FIRST_S."""

    def __init__(self, name: str, pieces: int) -> None:
        self.name = name
        self.pieces = pieces

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        begin = time.monotonic() + FIRST_S
        for n in range(self.pieces):
            await asyncio.sleep(begin + n * PACE_S - time.monotonic())
            yield EngineDelta(
                text="port 7860 [1], " if n % 10 == 9 else "word ", reasoning="", finish_reason=None, usage=None
            )
        yield EngineDelta(text="", reasoning="", finish_reason="stop", usage=None)

    async def ready(self, timeout_s: float = 5.0) -> bool:
        return True

    async def aclose(self) -> None:
        """Nothing to close."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pieces", type=int, default=80)
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.pieces)
        return
    port = 17_000 + os.getpid() % 10_000
    gateway = subprocess.Popen([sys.executable, __file__, "--serve", str(port), "--pieces", str(options.pieces)])
    try:
        measure(f"http://127.0.0.1:{port}", options.rounds, gateway.pid)
    finally:
        gateway.terminate()
        gateway.wait()


def serve(port: int, pieces: int) -> None:
    """The gateway with the chat app, until it is stopped."""
    import uvicorn

    from data.home import Home
    from data.types import Page
    from rag.build import build_index
    from rag.config import RagConfig
    from rag.live import LiveIndex
    from serving.app import create_app
    from serving.config import EngineConfig, ServingConfig
    from tests.fakes import ScriptedSupervisor
    from ui.app import mount
    from ui.config import UiConfig

    home = Home(Path(tempfile.mkdtemp()))
    build_index([Page("port.md", "Ports", "The gateway listens on port 7860 by default.\n")], home, RagConfig())
    engines = [PacedEngine(name, pieces) for name in ("base", "sft")]
    configs = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in engines)
    supervisor: Any = ScriptedSupervisor(*engines)
    app = create_app(ServingConfig(engines=configs), supervisor, LiveIndex(home, RagConfig()))
    uvicorn.run(mount(app, f"http://127.0.0.1:{port}", UiConfig()), port=port, log_level="warning")


def measure(url: str, rounds: int, pid: int) -> None:
    from playwright.sync_api import sync_playwright

    wait_for(f"{url}/healthz")
    asyncio.run(over_the_wire(url, 2 * rounds))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        users(browser, url, 1)  # warm
        seen: dict[int, list[dict[str, Any]]] = {1: [], USERS: []}
        spent = dict.fromkeys(seen, 0.0)
        for _ in range(rounds):
            for count, found in seen.items():
                before = cpu_s(pid)
                found += users(browser, url, count)
                spent[count] += cpu_s(pid) - before
        for count, found in seen.items():
            print(f"{count} at once: {line(found)}, gateway {spent[count] / len(found):.2f} CPU s an answer and page")
        firsts = {count: statistics.median(min(user["first"]) for user in found) for count, found in seen.items()}
        lasts = {count: statistics.median(max(user["first"]) for user in found) for count, found in seen.items()}
        print(f"ratio: first column {firsts[USERS] / firsts[1]:.2f}, both columns {lasts[USERS] / lasts[1]:.2f}")
        pages = [page(browser, url) for _ in range(rounds)]
        paint = statistics.median(found["paint"] for found in pages)
        print(f"page: first paint {paint:.0f} ms, {pages[0]['bytes'] / 1000:.0f} kB in {pages[0]['files']} files")
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        browser.close()


async def over_the_wire(url: str, rounds: int) -> None:
    """Milliseconds from the request to the first words of both columns, for one client and for USERS at once."""
    seen: dict[int, list[float]] = {1: [], USERS: []}
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        config = (await http.get("/config")).json()
        await client(http, config, await opened(http, config))  # warm
        for _ in range(rounds):
            for count, found in seen.items():
                sessions = [await opened(http, config) for _ in range(count)]
                found += await asyncio.gather(*(client(http, config, session) for session in sessions))
    middles = {count: statistics.median(found) for count, found in seen.items()}
    for count, found in seen.items():
        print(f"wire, {count} at once: first words of both {middles[count]:.0f} ms (worst {max(found):.0f})")
    print(f"wire, ratio {middles[USERS] / middles[1]:.2f}, load average {os.getloadavg()[0]:.1f}", flush=True)


async def opened(http: httpx.AsyncClient, config: dict[str, Any]) -> str:
    """The session of a page that has loaded."""
    session = secrets.token_hex(5)
    for event in config["dependencies"]:
        if any(name == "load" for _, name in event["targets"]):
            body = {"data": [None] * len(event["inputs"]), "fn_index": event["id"], "session_hash": session}
            (await http.post("/gradio_api/run/predict", json=body)).raise_for_status()
    return session


async def client(http: httpx.AsyncClient, config: dict[str, Any], session: str) -> float:
    """Asks as the page does, through Gradio's queue, and reads to the end."""
    components = {component["id"]: component["props"].get("elem_id") for component in config["components"]}
    asking = next(
        event
        for event in config["dependencies"]
        if [components.get(id) for id in event["inputs"]] == ["dd-box", "dd-chat", "dd-voice", "dd-filters"]
    )
    began, first = time.perf_counter(), 0.0
    data = [QUESTION, {"lang": "en", "turns": []}, {"chosen": "compare"}, None]
    body = {"data": data, "fn_index": asking["id"], "session_hash": session, "trigger_id": asking["targets"][0][0]}
    (await http.post("/gradio_api/queue/join", json=body)).raise_for_status()
    said = ""
    async with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        async for part in stream.aiter_lines():
            said += part
            if not first and said.count("dd-prose") >= 2:
                first = (time.perf_counter() - began) * 1000
            if '"process_completed"' in part:
                break
    if not first:
        raise SystemExit(f"no words came in both columns: {said[:500]}")
    return first


def line(found: list[dict[str, Any]]) -> str:
    first = [min(user["first"]) for user in found]
    waits = [max(user["first"]) - min(user["first"]) for user in found]
    middle, worst = statistics.median(first), max(first)
    ends = statistics.median(user["end"] for user in found)
    return (
        f"first words {middle:.0f} ms (worst {worst:.0f}), waits {statistics.median(waits):.0f} ms, end {ends:.0f} ms"
    )


def users(browser: Any, url: str, count: int) -> list[dict[str, Any]]:
    """``count`` users who ask at the same time, each in a context of its own; what each page saw (ms)."""
    contexts = [browser.new_context() for _ in range(count)]
    pages = [context.new_page() for context in contexts]
    for user in pages:
        user.goto(url)
        user.locator("#dd-voice label", has_text="side by side").click()
        user.evaluate(WATCH)
        user.fill("#dd-box textarea", QUESTION)
    for user in pages:
        user.keyboard.press("Enter")
    for user in pages:
        user.wait_for_function("window.seen.end > 0", timeout=60_000)
    seen = [user.evaluate("window.seen") for user in pages]
    for context in contexts:
        context.close()
    return seen


def page(browser: Any, url: str) -> dict[str, float]:
    """The page in a browser that has seen nothing of it."""
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(url)
    opened.wait_for_selector(".dd-welcome")
    opened.wait_for_timeout(500)
    found: dict[str, float] = opened.evaluate(PAGE)
    context.close()
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(address: str) -> None:
    for _ in range(1800):
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"no gateway at {address}")


if __name__ == "__main__":
    main()
