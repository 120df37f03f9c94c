"""From a folder of docs to the first streamed answer: how long each step takes and what it needs.

    python benchmarks/first_answer.py ../shared/corpora/ms-swift-docs [--engine URL]

Measures, in a home of its own (a temporary folder): first sync and index, second sync after one page has changed (the
whole command and, apart, the start-up of a command that has nothing to do), retrieval p50/p95, time to first token
through the gateway, peak memory. Figures go to benchmarks/LOG.md by hand, with the machine they were measured on.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTIONS = [
    "How do I start a LoRA training with Megatron?",
    "What does --packing do?",
    "Which dataset format do I need for multi-turn conversations?",
    "How can I deploy a fine-tuned model with vLLM?",
    "How do I merge LoRA weights?",
    "What is the difference between swift export and megatron export?",
    "如何使用 Megatron 进行 LoRA 训练？",
    "怎么自定义数据集？",
    "如何用 vLLM 部署微调后的模型？",
    "GRPO 训练需要哪些参数？",
]
ROUNDS = 20


def main() -> None:
    """Run every step and print one figure a line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", help="OpenAI-compatible server to answer with; default: quoting mode")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docduet-bench-") as temp:
        os.environ["DOCDUET_HOME"] = str(Path(temp, "home"))
        docs = Path(temp, "docs")
        shutil.copytree(options.folder, docs)
        build(docs)
        change_one_page(docs)
        retrieval()
        first_token(options.engine)
        show("peak memory of this process (sync, index, search)", peak_mb(), "MB")


def show(what: str, value: float, unit: str) -> None:
    print(f"{what:<58}{value:>10.2f} {unit}", flush=True)


def build(docs: Path) -> None:
    """First sync and index, in this process."""
    from data.config import DataConfig
    from data.home import Home
    from data.store import PageStore
    from data.sync import sync_source
    from rag.build import build_index
    from rag.config import RagConfig

    home = Home.from_env()
    start = time.perf_counter()
    store = PageStore(home.pages)
    sync_source(str(docs), store, DataConfig())
    synced = time.perf_counter() - start
    show("pages", store.count(), "")
    show("sync", store.count() / synced, "pages/s")
    start = time.perf_counter()
    generation = build_index(store.pages(), home, RagConfig())
    total = time.perf_counter() - start
    show("chunks", generation.info.chunks, "")
    show("index, embedding included", total, "s")
    show("index, embedding included", generation.info.chunks / total, "chunks/s")


def change_one_page(docs: Path) -> None:
    """`docduet sync` with nothing changed, then with one page changed: wall time of the whole command."""
    command = [sys.executable, "-m", "docduet", "sync", str(docs)]
    idle = timed(command)
    page = next(path for path in sorted(docs.rglob("*.md")) if path.stat().st_size > 5000)
    page.write_text(
        page.read_text(encoding="utf-8") + "\n\nOne more paragraph about the frobnicator.\n", encoding="utf-8"
    )
    one = timed(command)
    start_up = timed([sys.executable, "-c", "import docduet, faiss, onnxruntime, tokenizers"])
    show("second sync, nothing changed (whole command)", idle, "s")
    show("second sync, one page changed (whole command)", one, "s")
    show("  of which importing what it needs", start_up, "s")
    show("  beyond process start-up", one - start_up, "s")


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def retrieval() -> None:
    """Hybrid search and the refusal decision, warm, one at a time."""
    from data.home import Home
    from rag.config import RagConfig
    from rag.live import LiveIndex

    retriever = LiveIndex(Home.from_env(), RagConfig()).retriever()
    for question in QUESTIONS:
        retriever.search(question)
    spent = []
    for question in QUESTIONS * ROUNDS:
        start = time.perf_counter()
        passages = retriever.search(question)
        retriever.answerability(question, passages)
        spent.append((time.perf_counter() - start) * 1000)
    show("retrieval p50", statistics.median(spent), "ms")
    show("retrieval p95", statistics.quantiles(spent, n=20)[18], "ms")


def first_token(engine: str | None) -> None:
    """Time to the first piece of answer text, as a streaming HTTP client sees it."""
    import httpx

    command = [sys.executable, "-m", "docduet", "serve", "--port", "0", *(["--engine", engine] if engine else [])]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    url = next(found.group() for line in process.stdout if (found := re.search(r"http://[\w.:]+", line)))
    show("docduet serve answers after", time.perf_counter() - start, "s")
    spent = []
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            for question in QUESTIONS * ROUNDS:
                body = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": question}]}
                start = time.perf_counter()
                with client.stream("POST", "/v1/chat/completions", json=body) as response:
                    next(line for line in response.iter_lines() if '"content":"' in line and '"content":""' not in line)
                    spent.append((time.perf_counter() - start) * 1000)
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak_kb = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))  # type: ignore[union-attr]
    finally:
        process.terminate()
        process.wait(timeout=20)
    show(f"first token through the gateway p50 ({'engine' if engine else 'quoting'})", statistics.median(spent), "ms")
    show("first token through the gateway p95", statistics.quantiles(spent, n=20)[18], "ms")
    show("peak memory of docduet serve", peak_kb / 1024, "MB")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
