"""A real vLLM through the gateway and without it: tokens/s of the same RAG-shaped load, and what prefix caching gives.

    python benchmarks/gateway_vllm.py http://127.0.0.1:8000/v1 ../shared/corpora/ms-swift-docs [--at-once 64] \
        [--questions 256] [--max-tokens 256] [--repeat 2]

The docs are indexed into a temporary home; their headings become questions; the ones that the index can answer are
asked. Raw: the very prompts that the gateway makes, sent to vLLM by the same client. Rounds alternate, each with the
questions in an order of its own. Every answer has ``--max-tokens`` tokens (``ignore_eos``), so that both sides do the
same work. The goal: at least 95 % of raw at 64 at once. Prefix cache: hits over queries from vLLM's own /metrics, round
by round (the first round fills it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from data.home import Home
from data.prompts import Message, rag_messages
from data.store import PageStore
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.arms.retrieval import find
from serving.arms.turn import Turn
from serving.engines.watched import free_port
from serving.server import answers

HEADING = re.compile(r"^#{2,4} (.+)$", re.MULTILINE)
ROOT = Path(__file__).parents[1]
CACHED = re.compile(r"^vllm:prefix_cache_(hits|queries)_total(?:\{.*\})? (\S+)$", re.MULTILINE)
CONFIG = """
[serving]
answer_timeout_s = 600
[[serving.engines]]
name = "base"
base_url = "{url}"
first_timeout_s = 600
extra_body = {{ ignore_eos = true }}
"""


@dataclass(frozen=True)
class Asked:
    """A question and the prompt that the gateway makes of it."""

    question: str
    prompt: list[Message]


@dataclass(frozen=True)
class Done:
    """One answer: tokens as vLLM counts them, seconds to the first piece and to the end."""

    tokens: int
    first_s: float
    total_s: float


def main() -> None:
    """Print a line a round, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("engine")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--questions", type=int, default=256)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docduet-bench-") as folder:
        home = Home(Path(folder))
        env = os.environ | {
            "DOCDUET_HOME": folder,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
        (home.root / "docduet.toml").write_text(CONFIG.format(url=options.engine), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "docduet", "sync", str(options.folder.resolve())], env=env, check=True)
        with gateway(env) as url:
            asyncio.run(measure(url, home, options))


async def measure(url: str, home: Home, options: argparse.Namespace) -> None:
    asked = await questions(home, options.questions)
    print(
        f"{len(asked)} questions, prompts of {statistics.mean(len(str(one.prompt)) for one in asked):,.0f} characters"
    )
    rates: dict[str, list[float]] = {"raw": [], "gateway": []}
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        model = (await (await session.get(f"{options.engine}/models")).json())["data"][0]["id"]

        def raw(one: Asked) -> Awaitable[Done]:
            body = {"model": model, "messages": one.prompt, "max_tokens": options.max_tokens, "ignore_eos": True}
            return ask(session, options.engine, body)

        def through(one: Asked) -> Awaitable[Done]:
            message = {"role": "user", "content": one.question}
            return ask(session, f"{url}/v1", {"model": "rag", "messages": [message], "max_tokens": options.max_tokens})

        for number in range(options.repeat):
            ways = [("raw", raw), ("gateway", through)]
            for name, way in ways if number % 2 == 0 else reversed(ways):
                hits = await cache(session, options.engine)
                rates[name].append(await round_of(name, way, shuffled(asked, number), options.at_once))
                print(f"    prefix cache: {share(hits, await cache(session, options.engine))}")
    best = {name: max(found) for name, found in rates.items()}
    print(json.dumps({"tokens_per_s": best, "gateway_over_raw": round(best["gateway"] / best["raw"], 4)}))


async def round_of(name: str, way: Callable[[Asked], Awaitable[Done]], asked: Sequence[Asked], at_once: int) -> float:
    """Tokens/s over all questions, ``at_once`` under way."""
    queue, found = iter(asked), list[Done]()

    async def client() -> None:
        for one in queue:
            found.append(await way(one))

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    seconds = time.perf_counter() - began
    rate = sum(one.tokens for one in found) / seconds
    first = sorted(one.first_s * 1000 for one in found)
    each = statistics.median((one.total_s - one.first_s) * 1000 / max(1, one.tokens - 1) for one in found)
    print(
        f"{name:8} {rate:8,.0f} tokens/s in {seconds:.1f} s; first piece p50 {statistics.median(first):,.0f} ms, "
        f"p99 {first[int(len(first) * 0.99)]:,.0f} ms; each token {each:.1f} ms"
    )
    return rate


async def ask(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Done:
    body |= {"stream": True, "stream_options": {"include_usage": True}, "temperature": 0}
    began, first, tokens = time.perf_counter(), 0.0, 0
    async with session.post(f"{url}/chat/completions", json=body) as response:
        if response.status != 200:
            sys.exit(f"{url}: {response.status} {(await response.text())[:500]}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                sys.exit(f"{url}: {chunk['error']}")
            if not first and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                first = time.perf_counter()
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    ended = time.perf_counter()
    return Done(tokens, (first or ended) - began, ended - began)


async def questions(home: Home, count: int) -> list[Asked]:
    """Headings of the docs as questions, those that the index can answer; always the same ones."""
    live = LiveIndex(home, RagConfig())
    retriever = live.retriever()
    bodies = (page.body for page in PageStore(home.pages).pages())
    headings = sorted({heading.strip() for body in bodies for heading in HEADING.findall(body)})
    random.Random(0).shuffle(headings)
    asked: list[Asked] = []
    for heading in headings:
        question = f"How does {heading} work?"
        found = await find(live, Turn(question), None)
        if found.verdict.answerable:
            asked.append(Asked(question, rag_messages(question, retriever.sections(found.passages))))
        if len(asked) == count:
            break
    return asked


def shuffled(asked: Sequence[Asked], seed: int) -> list[Asked]:
    return random.Random(seed).sample(asked, len(asked))


async def cache(session: aiohttp.ClientSession, engine: str) -> tuple[float, float]:
    """Prompt tokens found in vLLM's prefix cache, and all that were looked for, since its start."""
    text = await (await session.get(f"{engine.removesuffix('/v1')}/metrics")).text()
    named = {name: float(value) for name, value in CACHED.findall(text)}
    return named.get("hits", 0.0), named.get("queries", 0.0)


def share(before: tuple[float, float], after: tuple[float, float]) -> str:
    hits, queries = after[0] - before[0], after[1] - before[1]
    return f"{hits / queries:.0%} of {queries:,.0f} prompt tokens" if queries else "not reported"


@contextmanager
def gateway(env: dict[str, str]) -> Iterator[str]:
    """`docduet serve` on a free port."""
    port = str(free_port())
    process = subprocess.Popen([sys.executable, "-m", "docduet", "serve", "--no-ui", "--port", port], env=env)
    try:
        while not answers(f"http://127.0.0.1:{port}"):
            if process.poll() is not None:
                sys.exit("the gateway did not start")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
