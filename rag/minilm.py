"""The bundled embedder, all-MiniLM-L6-v2, run by ONNX Runtime: no torch is imported, and it is up in half a second.

The package it comes in carries PyTorch weights only, so the network is written down here as an ONNX graph and handed to
the runtime in memory: nothing is kept on disk that could go stale. Texts are computed one at a time, as many at once as
there are cores: no padding, and a vector that does not depend on its neighbours. What each choice costs and brings:
`benchmarks/embedding.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RECIPE = "onnx 2"
"""Part of the fingerprint: change it whenever vectors come out differently."""

MAX_TOKENS = 128
"""The length the model was trained at (its card; it can take 256). The rest of a longer chunk is left to the lexical
side: that costs nothing in finding and a third of the time (benchmarks/LOG.md)."""

PRECISIONS = ("int8", "mixed", "fp32")
"""``int8``, the default: all products by fixed weights in integers; vectors at a cosine of .99 to the original's, which
find as well (benchmarks/LOG.md). ``mixed``: but for those that leave the feed-forward layers. ``fp32``: exact."""

_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_TOP = 63
"""Largest weight: 7 bits. With 8, processors without VNNI saturate when they add two products (ONNX Runtime's
quantization guide, "reduce_range"); with 7, every processor comes to the same sums."""


class MiniLM:
    """An Embedder (see embed.py) over the model files in ``folder``. It is loaded when the first text comes."""

    langs: tuple[str, ...] = ("en",)

    def __init__(self, name: str, folder: Path, files: str, precision: str = "int8") -> None:
        """``files``: the fingerprint of the folder."""
        self.name = name
        self._folder = folder
        self._precision = precision
        self.fingerprint = hashlib.sha256(f"{files} {RECIPE} {precision}".encode()).hexdigest()[:16]

    def documents(self, texts: Sequence[str]) -> Floats:
        """Vectors of passages, shape (texts, 384)."""
        _ = self._session, self._tokenizer  # loaded once, not by every worker
        vectors = list(self._workers.map(self.query, texts))
        return np.array(vectors, np.float32).reshape(len(texts), self._words.shape[1])

    def query(self, text: str) -> Floats:
        """Vector of one text, shape (384,): the mean over its tokens, of length 1."""
        ids = self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids
        inputs = {"words": self._words[ids][None], "positions": self._positions[None, : len(ids)]}
        vector: Floats = self._session.run(None, inputs)[0][0]
        return vector

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return ThreadPoolExecutor(usable, "minilm")

    @cached_property
    def _weights(self) -> dict[str, Floats]:
        return read_safetensors(self._folder / "model.safetensors")

    @cached_property
    def _words(self) -> Floats:
        """Looked up here, straight from the file: half of the weights, of which a search needs ten rows."""
        return self._weights["embeddings.word_embeddings.weight"]

    @cached_property
    def _positions(self) -> Floats:
        positions = self._weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        return positions + self._weights["embeddings.token_type_embeddings.weight"][0]

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the texts are what runs side by side
        options.enable_mem_pattern = False  # it plans memory for one shape; every text has its own
        slower = ["SkipLayerNormFusion"]  # adding and normalising in one step takes longer than in two
        graph = onnx_graph(self._weights, self._precision)
        return onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=slower
        )


def read_safetensors(path: Path) -> dict[str, Floats]:
    """The file's float32 tensors, mapped rather than read.

    Format: 8 bytes little-endian length, that much JSON with dtype, shape and offsets, then the data
    (github.com/huggingface/safetensors).
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, "r", offset=8 + length)
    return {
        name: data[slice(*entry["data_offsets"])].view(np.float32).reshape(entry["shape"])
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }


def onnx_graph(weights: Mapping[str, Floats], precision: str) -> bytes:
    """BERT (Devlin et al. 2019) from the sum of its embeddings to the normalised mean of its last layer.

    Inputs ``words`` and ``positions``, float32 (1, tokens, 384); output (1, 384). GELU is the tanh approximation.
    """
    from onnx import TensorProto, helper

    graph = _Graph(weights, precision)
    x = graph.norm("embeddings.LayerNorm", "words", "positions")
    for layer in range(_LAYERS):
        x = _layer(graph, f"encoder.layer.{layer}", x)
    mean = graph.node("ReduceMean", [x, graph.constant("axis", np.array([1]))], keepdims=0)
    vector = graph.node("LpNormalization", [mean], axis=1, p=2)
    dims = len(weights["embeddings.LayerNorm.weight"])
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "tokens", dims]) for name in ("words", "positions")
    ]
    output = helper.make_tensor_value_info(vector, TensorProto.FLOAT, [1, dims])
    whole = helper.make_graph(graph.nodes, "minilm", inputs, [output], graph.constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_Graph.CONTRIB, 1)]
    made: bytes = helper.make_model(whole, opset_imports=opsets, ir_version=9).SerializeToString()
    return made


def _layer(graph: _Graph, name: str, x: str) -> str:
    """Attention and feed-forward, each added to its input and normalised."""
    queries, keys, values = (graph.linear(f"{name}.attention.self.{part}", x) for part in ("query", "key", "value"))
    mixed = graph.node("MultiHeadAttention", [queries, keys, values], graph.CONTRIB, num_heads=_HEADS)
    mixed = graph.linear(f"{name}.attention.output.dense", mixed)
    x = graph.norm(f"{name}.attention.output.LayerNorm", mixed, x)
    wide = graph.node("FastGelu", [graph.linear(f"{name}.intermediate.dense", x)], graph.CONTRIB)
    narrow = graph.linear(f"{name}.output.dense", wide, exact=graph.precision == "mixed")
    return graph.norm(f"{name}.output.LayerNorm", narrow, x)


class _Graph:
    """Nodes and constants gathered so far; every method returns the name of what it adds."""

    CONTRIB = "com.microsoft"

    def __init__(self, weights: Mapping[str, Floats], precision: str) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.precision = precision
        self._weights = weights

    def node(self, kind: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def linear(self, name: str, x: str, exact: bool = False) -> str:
        """``x @ weight.T + bias``; in integers unless ``exact``, then with a scale for each column of the weights."""
        weight, bias = self._weights[f"{name}.weight"].T, self._weights[f"{name}.bias"]
        biased = self.constant(f"{name}.bias", bias)
        if exact or self.precision == "fp32":
            return self.node("Add", [self.node("MatMul", [x, self.constant(f"{name}.weight", weight)]), biased])
        scale = np.abs(weight).max(axis=0) / _TOP
        whole = self.constant(f"{name}.weight", np.round(weight / scale).astype(np.int8))
        zero = self.constant(f"{name}.zero", np.zeros(len(bias), np.int8))
        return self.node(
            "DynamicQuantizeMatMul", [x, whole, self.constant(f"{name}.scale", scale), zero, biased], self.CONTRIB
        )

    def norm(self, name: str, x: str, residual: str) -> str:
        """Layer normalisation of the sum of both."""
        gain = self.constant(f"{name}.gain", self._weights[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", self._weights[f"{name}.bias"])
        total = self.node("Add", [x, residual])
        return self.node("LayerNormalization", [total, gain, bias], epsilon=_EPSILON)
