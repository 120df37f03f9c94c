"""Embedding: speed, memory and quality of the ways to run the bundled model, and of LlamaIndex's stock pipeline.

    python benchmarks/embedding.py ../shared/corpora/ms-swift-docs [--texts 200] [--only NAME,...] [--quality]

Speed: the same ``--texts`` English chunks (a fixed sample) through each way, in a process of its own. On a machine with
other work the CPU time is what compares; chunks/s on an idle one are about cores * 1000 / CPU ms. ``llamaindex-own`` is
given the pages that the sample comes from and cuts them itself (1,024 tokens, of which the model sees 256: its
characters/s count text that it never looks at). Quality (needs minutes): hit@5 and MRR@10 of `docduet eval run`.
Wants `pip install llama-index-embeddings-huggingface openvino` for those two; what is missing is said and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

WAYS = (
    "llamaindex-own",
    "llamaindex",
    "torch-fp32",
    "torch-fp32-1-thread",
    "torch-bf16",
    "torch-int8",
    "openvino-fp32",
    "onnx-fp32-2-threads",
    "onnx-fp32",
    "onnx-mixed",
    "onnx-int8",
)
QUALITY = ("torch-fp32", "onnx-mixed", "onnx-int8")
Embed = Callable[[Sequence[str]], Any]


def main() -> None:
    """Print a line a way, then the ratios to the stock pipeline."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--only", default=",".join(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--quality", action="store_true", help="hit@5 and MRR@10 instead of speed")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, json.loads(sys.stdin.read()))
    elif options.quality:
        for way in (way for way in options.only.split(",") if way in QUALITY):
            quality(way, options.folder)
    else:
        speed(options.only.split(","), sample(options.folder, options.texts))


def sample(folder: Path, size: int) -> dict[str, list[str]]:
    """English chunks as the index embeds them, and the pages they come from."""
    from data.config import DataConfig
    from data.store import PageStore
    from data.sync import sync_source
    from rag.chunk import chunk_page
    from rag.config import RagConfig

    with tempfile.TemporaryDirectory(prefix="docduet-bench-") as temp:
        store = PageStore(Path(temp, "pages.sqlite"))
        sync_source(str(folder), store, DataConfig())
        pages = sorted((page for page in store.pages() if page.lang == "en"), key=lambda page: page.url)
    tokens = RagConfig().chunk_tokens
    chunks = [(page, chunk.searchable) for page in pages for chunk in chunk_page(page, tokens)]
    drawn = random.Random(0).sample(chunks, size)
    bodies = {page.url: page.body for page, _ in drawn}
    return {"texts": [text for _, text in drawn], "pages": list(bodies.values())}


def speed(ways: Sequence[str], texts: dict[str, list[str]]) -> None:
    found = {}
    print(f"{len(texts['texts'])} chunks, {sum(map(len, texts['texts'])):,} characters, {os.cpu_count()} cores")
    print(f"{'':<22}{'chunks/s':>9}{'chars/s':>9}{'CPU ms/chunk':>14}{'load s':>8}{'MB':>7}{'cosine min':>12}")
    for way in ways:
        command = [sys.executable, __file__, ".", "--child", way]
        done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True)
        if done.returncode:
            print(f"{way:<22}left out: {(done.stderr.strip().splitlines() or ['?'])[-1]}", flush=True)
            continue
        found[way] = f = json.loads(done.stdout.splitlines()[-1])
        vectors = np.array(f.pop("vectors"))
        f["cosine"] = _agreement(found, vectors) if way != "llamaindex-own" else float("nan")
        print(
            f"{way:<22}{f['rate']:>9.1f}{f['chars']:>9.0f}{f['cpu_ms']:>14.1f}{f['load']:>8.2f}{f['mb']:>7.0f}"
            f"{f['cosine']:>12.5f}",
            flush=True,
        )
    for peer in (way for way in ("llamaindex-own", "llamaindex") if way in found):
        for way in (way for way in found if way not in ("llamaindex-own", "llamaindex")):
            wall, cpu = (found[way]["rate"] / found[peer]["rate"], found[peer]["cpu_ms"] / found[way]["cpu_ms"])
            print(f"{way} against {peer}: {wall:.2f} x the chunks/s, {cpu:.2f} x by CPU time")


_reference: list[Any] = []


def _agreement(_: dict[str, Any], vectors: Any) -> float:
    """Smallest cosine similarity with the first way's vectors."""
    if not _reference:
        _reference.append(vectors)
    return float((vectors * _reference[0]).sum(axis=1).min())


def child(way: str, texts: dict[str, list[str]]) -> None:
    """One way, alone in its process."""
    start = time.perf_counter()
    embed = llamaindex_own if way == "llamaindex-own" else loaded(way)
    given = texts["pages"] if way == "llamaindex-own" else texts["texts"]
    embed(given[:2])
    load, start, cpu = time.perf_counter() - start, time.perf_counter(), time.process_time()
    vectors = embed(given)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    figures = {
        "rate": len(vectors) / wall,
        "chars": sum(map(len, given)) / wall,
        "cpu_ms": cpu / len(vectors) * 1000,
        "load": load,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "vectors": np.asarray(vectors, np.float32).tolist(),
    }
    print(json.dumps(figures))


def loaded(way: str) -> Embed:
    """The function from texts to vectors; the model is in memory."""
    kind, _, how = way.partition("-")
    if kind == "llamaindex":
        model = _stock()
        return lambda texts: model.get_text_embedding_batch(list(texts))
    if kind == "torch":
        return _torch(how)
    if kind == "openvino":
        return _openvino()
    return _onnx(how)


def _stock() -> Any:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    from rag.embed import bundled

    return HuggingFaceEmbedding(model_name=str(bundled()))  # batches of 10, its default


def llamaindex_own(pages: Sequence[str]) -> list[Any]:
    """The stock ingestion: SentenceSplitter and the embedding, all defaults."""
    from llama_index.core import Document
    from llama_index.core.ingestion import IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter

    if not _stocked:
        _stocked.append(_stock())
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), _stocked[0]])
    return [node.embedding for node in pipeline.run(documents=[Document(text=page) for page in pages])]


_stocked: list[Any] = []


def _torch(how: str) -> Embed:
    """sentence-transformers, batches of 32; it sorts by length itself."""
    import torch
    from sentence_transformers import SentenceTransformer

    from rag.embed import bundled

    model = SentenceTransformer(str(bundled()), device="cpu")
    if how == "fp32-1-thread":
        torch.set_num_threads(1)
    if how == "bf16":
        model = model.to(torch.bfloat16)
    if how == "int8":
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    encode: Any = model.encode
    return lambda texts: encode(list(texts), batch_size=32, normalize_embeddings=True, convert_to_numpy=True)


def _onnx(how: str) -> Embed:
    from rag.embed import bundled
    from rag.minilm import MiniLM, onnx_graph

    precision, _, threads = how.partition("-")
    model = MiniLM("minilm", bundled(), "", precision)
    if not threads:
        return model.documents
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    graph = onnx_graph(model._weights, precision)
    model.__dict__["_session"] = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda texts: [model.query(text) for text in texts]


def _openvino() -> Embed:
    """One text at a time in as many streams as cores, as onnx-fp32 does."""
    import openvino
    import torch
    from sentence_transformers import SentenceTransformer

    from rag.embed import bundled

    transformer = SentenceTransformer(str(bundled()))

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert: Any = transformer[0].auto_model

        def forward(self, ids: Any, mask: Any) -> Any:
            hidden = self.bert(input_ids=ids, attention_mask=mask)[0]
            return torch.nn.functional.normalize(hidden.mean(1), dim=1)

    example = torch.ones(1, 64, dtype=torch.long)
    model = openvino.convert_model(Mean().eval(), example_input=(example, example))
    cores = os.cpu_count() or 1
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": cores})

    def embed(texts: Sequence[str]) -> Any:
        queue, vectors = openvino.AsyncInferQueue(compiled, cores), [None] * len(texts)
        queue.set_callback(lambda request, n: vectors.__setitem__(n, request.results[compiled.output(0)][0].copy()))
        for n, text in enumerate(texts):
            ids = np.array([transformer.tokenizer(text, truncation=True, max_length=256)["input_ids"]], np.int64)
            queue.start_async({0: ids, 1: np.ones_like(ids)}, n)
        queue.wait_all()
        return vectors

    return embed


def quality(way: str, folder: Path) -> None:
    """hit@5 and MRR@10 over the development set, by language; vectors are kept in DOCDUET_HOME's cache."""
    from data.home import Home
    from evals.questions import load_set
    from evals.retrieval.bench import Bench, prepare
    from rag.config import RagConfig
    from rag.embed import SentenceTransformerEmbedder, bundled, fingerprint
    from rag.minilm import MiniLM

    original = SentenceTransformerEmbedder(str(bundled()))
    original.langs = MiniLM.langs
    precision = way.partition("-")[2]
    ours = MiniLM("minilm", bundled(), fingerprint(bundled()), precision)
    questions = load_set("ms-swift-docs")

    def quiet(stage: str, done: int, total: int) -> None:
        """Nobody looks."""

    made = prepare(questions, folder, (), Home.from_env().cache, RagConfig(), quiet)
    bench = Bench(made.pages, made.home, made.config, original if way == "torch-fp32" else ours)
    report = bench.report(questions, str(folder), ["hybrid", "dense"], quiet)
    for lang in report.langs():
        for system in report.outcomes:
            s = report.scores(system, lang)
            print(
                f"{way:<12}{lang} ({s.questions}) {system:<8}hit@5 {s.hit_at_5:.3f}  MRR@10 {s.mrr_at_10:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
