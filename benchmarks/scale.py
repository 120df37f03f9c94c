"""A large corpus: what building, serving, searching and changing it costs.

    python benchmarks/scale.py ../shared/corpora/ms-swift-docs [--pages 30000]
    python benchmarks/scale.py ../shared/corpora/ms-swift-docs --million

Makes --pages synthetic pages (benchmarks/synthetic.py) in a temporary folder, syncs and indexes them, changes one page
in a hundred and does so again, searches in process and over HTTP, and reads the memory of `docduet serve`. Peers in the
same run: bm25s' own indexing, exact search over all vectors, FAISS HNSW with --hnsw. --million takes vectors only.
Figures go to benchmarks/LOG.md by hand, with the machine they were measured on; "cpu" is this process' own time, which
a busy machine does not stretch.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from first_answer import QUESTIONS, show
from synthetic import Corpus, NearMiniLM, Remembered, noisy, real_vectors

SAMPLE = 1500
HELD_OUT = 200
CHUNK_TOKENS = 220


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="real docs to take paragraphs and vectors from")
    parser.add_argument("--pages", type=int, default=30_000)
    parser.add_argument("--million", action="store_true", help="only search over 1,000,000 vectors")
    parser.add_argument("--hnsw", action="store_true", help="build FAISS HNSW too, as a peer (slow)")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "docduet-scale/embeddings.sqlite"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docduet-scale-") as temp:
        os.environ["DOCDUET_HOME"] = str(Path(temp, "home"))
        pages = real_pages(options.folder, Path(temp, "real.sqlite"))
        from rag.embed import load_embedder

        real = load_embedder("minilm")
        base = real_vectors(pages, real, options.cache, SAMPLE, CHUNK_TOKENS)
        if options.million:
            million(base, real, Path(temp), options.hnsw)
            return
        whole(Corpus(pages), NearMiniLM(real, base), Path(temp), options.pages, options.hnsw)


def real_pages(folder: Path, path: Path) -> list[Any]:
    from data.config import DataConfig
    from data.store import PageStore
    from data.sync import sync_source

    store = PageStore(path)
    sync_source(str(folder), store, DataConfig())
    return list(store.pages())


def whole(corpus: Corpus, embedder: NearMiniLM, temp: Path, count: int, hnsw: bool) -> None:
    docs = temp / "docs"
    write(docs, corpus, range(count), 0)
    first = index(docs, embedder, "first")
    changed = random.Random(3).sample(range(count), count // 100)
    write(docs, corpus, changed, 1)
    second = index(docs, embedder, "1 % changed")
    show("1 % changed, of the first without embedding", 100 * second / first, "%")
    peers(hnsw)
    in_process(embedder)
    over_http()


def write(docs: Path, corpus: Corpus, numbers: Any, edition: int) -> None:
    for number in numbers:
        path, text = corpus.page(number, edition)
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_text(text, encoding="utf-8")


def index(docs: Path, embedder: NearMiniLM, what: str) -> float:
    """Sync and index; seconds of both but without the embedding stage (which here is not the model's)."""
    from data.config import DataConfig
    from data.home import Home
    from data.store import PageStore
    from data.sync import sync_source
    from rag.build import build_index
    from rag.config import RagConfig

    home = Home.from_env()
    store = PageStore(home.pages)
    start, cpu = time.perf_counter(), cpu_seconds()
    sync_source(str(docs), store, DataConfig())
    synced = time.perf_counter() - start
    show(f"{what}: sync", synced, "s")
    start = time.perf_counter()
    generation = build_index(store.pages(), home, RagConfig(), embedder=embedder)
    total = time.perf_counter() - start
    for stage, seconds in generation.timings.items():
        show(f"{what}:   {stage}", seconds, "" if stage == "embedded" else "s")
    show(f"{what}: index without embedding ({generation.info.chunks} chunks)", total - generation.timings["embed"], "s")
    show(f"{what}: sync and index, all cpu", cpu_seconds() - cpu, "s")
    return synced + total - generation.timings["embed"]


def cpu_seconds() -> float:
    """Of this process and its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def live() -> Any:
    from data.home import Home
    from rag.generation import IndexGeneration
    from rag.generations import Generations

    return IndexGeneration(Generations(Home.from_env().index).current()).load()


def peers(hnsw: bool) -> None:
    """bm25s' own indexing of the same tokens."""
    import bm25s

    from rag.bm25 import bm25_of

    table = live().tokens
    with timed("BM25's matrix out of token numbers"):
        bm25_of(table)
    words = [[table.vocabulary[n] for n in table.of(i)] for i in range(len(table))]
    with timed("peer: bm25s' own index() of the same tokens"):
        bm25s.BM25(k1=1.2, b=0.75).index(words, show_progress=False)
    if hnsw:
        hnsw_peer(live().matrix, live().matrix[:: len(live().matrix) // 200])


@contextmanager
def timed(what: str) -> Iterator[None]:
    start, cpu = time.perf_counter(), time.process_time()
    yield
    show(what, time.perf_counter() - start, "s")
    show("    cpu", time.process_time() - cpu, "s")


def spread(what: str, call: Callable[[Any], Any], queries: Any) -> list[Any]:
    """p50 and p95 of one call after the other, wall clock and this thread's own time; what they returned."""
    call(queries[0])
    spent, cpu, found = [], [], []
    for query in queries:
        start, own = time.perf_counter(), time.process_time()
        found.append(call(query))
        spent.append((time.perf_counter() - start) * 1000)
        cpu.append((time.process_time() - own) * 1000)
    for name, values in (("", spent), ("    cpu", cpu)):
        show(f"{name or what} p50", statistics.median(values), "ms")
        show(f"{name or what} p95", statistics.quantiles(values, n=20)[18], "ms")
    return found


def questions() -> list[str]:
    """The fixed ones, and headings of synthetic pages, as people paste them."""
    with_body = live()._query("SELECT title FROM pages ORDER BY id LIMIT 190")
    return [*QUESTIONS, *(f"How does {title} work?" for (title,) in with_body)]


def in_process(embedder: NearMiniLM) -> None:
    """Hybrid search, warm, and where its time goes."""
    from data.home import Home
    from data.types import Filters
    from rag.config import RagConfig
    from rag.live import LiveIndex
    from rag.retriever import HybridRetriever

    retriever = LiveIndex(Home.from_env(), RagConfig(), embedder).retriever()
    asked = questions()
    spread("hybrid query", retriever.search, asked)
    spread("hybrid query, filtered by language", lambda q: retriever.search(q, filters=Filters(lang="en")), asked)
    spread("  of which embedding the query", embedder.query, asked)
    known = HybridRetriever(live(), Remembered(embedder, asked), RagConfig())
    found = spread("  of which all the rest", known.search, asked)
    pairs = list(zip(asked, found, strict=True))
    spread("the decision to refuse, after it", lambda pair: known.answerability(*pair), pairs)
    spread("  of which BM25", lambda q: retriever._lexical(q, 50, None), asked)
    generation = live()
    vectors = np.stack([embedder.query(q) for q in asked])
    got = spread("  of which vectors", lambda v: generation.vectors.search(v, 50), vectors)
    compare("vectors", generation.matrix, vectors, got)


def compare(what: str, matrix: Any, queries: Any, got: list[Any]) -> None:
    """Against exact search over all rows."""
    from rag.vectors import ExactVectors

    exact = spread(f"{what}, peer: exact search", lambda v: ExactVectors(matrix).search(v, 10), queries)
    hits = [len({i for i, _ in a[:10]} & {i for i, _ in b}) for a, b in zip(got, exact, strict=True)]
    show(f"{what}: recall@10 of exact", 10 * sum(hits) / len(hits), "%")


def over_http() -> None:
    """POST /v1/search to a `docduet serve` of its own, and that process' memory."""
    import httpx

    command = [sys.executable, "-m", "docduet", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        url = next(found.group() for line in process.stdout if (found := re.search(r"http://[\w.:]+", line)))
        with httpx.Client(base_url=url, timeout=60) as client:
            spread(
                "POST /v1/search",
                lambda q: client.post("/v1/search", json={"query": q}).raise_for_status(),
                questions(),
            )
        status = Path(f"/proc/{process.pid}/status").read_text()
        for name, field in (
            ("memory of docduet serve", "VmRSS"),
            ("  anonymous", "RssAnon"),
            ("  mapped files", "RssFile"),
        ):
            show(name, int(re.search(rf"{field}:\s+(\d+)", status).group(1)) / 1024, "MB")  # type: ignore[union-attr]
    finally:
        process.terminate()
        process.wait(timeout=20)


def million(base: Any, real: Any, temp: Path, hnsw: bool) -> None:
    """1,000,000 vectors: what is chosen, its cost, its recall."""
    from rag.arrays import save_rows
    from rag.vectors import load_matrix, open_vectors, partition

    held, base = base[:HELD_OUT], base[HELD_OUT:]
    chance = np.random.default_rng(0)
    parts = [noisy(base, chance.integers(0, len(base), 50_000), chance) for _ in range(20)]
    save_rows(temp / "vectors.npy", parts)
    del parts
    with timed("partitioning 1,000,000 vectors"):
        partition(temp)
    before = anonymous_mb()
    index = open_vectors(temp)
    show("partitions", index._index.nlist, "")  # type: ignore[attr-defined]
    show("partitions looked into", index._index.nprobe, "")  # type: ignore[attr-defined]
    queries = np.concatenate([held, [real.query(q) for q in QUESTIONS]])
    got = spread("1,000,000 vectors, chosen", lambda v: index.search(v, 50), queries)
    show("memory it takes, beside the mapped file of vectors", anonymous_mb() - before, "MB")
    compare("1,000,000 vectors", load_matrix(temp), queries, got)
    if hnsw:
        hnsw_peer(load_matrix(temp), queries)


def hnsw_peer(matrix: Any, queries: Any) -> None:
    """FAISS HNSW (M = 32, efConstruction = 100, 8-bit codes), the other choice there was."""
    import faiss

    codes: Any = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexHNSWSQ(matrix.shape[1], codes, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    with timed("peer: building HNSW"):
        index.train(matrix[:65536])
        index.add(matrix)
    index.hnsw.efSearch = 128
    got = spread("peer: HNSW", lambda v: [(i, 0.0) for i in index.search(v[None, :], 10)[1][0].tolist()], queries)
    compare("peer: HNSW", matrix, queries, got)


def anonymous_mb() -> float:
    """Memory of this process that is no mapped file."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
