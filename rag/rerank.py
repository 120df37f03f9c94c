"""Rerankers: a model reads the question and one passage together and says how well they fit. Optional, and slow.

    [rag]
    reranker = "Qwen/Qwen3-Reranker-0.6B"   # or any sentence-transformers CrossEncoder, by name or folder

A model whose own head gives a score is run by sentence-transformers. A causal language model without one (the Qwen3
rerankers as they were published) is asked through its prompt for "yes" or "no", and the score is the probability of
"yes" between the two: https://huggingface.co/Qwen/Qwen3-Reranker-0.6B . Which passages are read is retriever.py's
business.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from data.errors import ConfigError

BATCH = 8
MAX_TOKENS = 1024
"""Of question, passage and prompt together: several times a chunk, so that only odd passages lose their end."""

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


class Reranker(Protocol):
    """``scores``: one number in [0, 1] a text, in their order; more is better. Thread-safe."""

    name: str

    def scores(self, query: str, texts: Sequence[str]) -> list[float]: ...


class CrossEncoderReranker:
    """Any CrossEncoder with one output. Raises ConfigError for one with several (a classifier of another kind)."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import CrossEncoder

        self.name = name
        self._model = CrossEncoder(name, max_length=_length(name))
        if self._model.num_labels != 1:
            raise ConfigError(f"reranker {name!r} gives {self._model.num_labels} scores a passage: choose one with one")

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        import torch

        pairs = [(query, text) for text in texts]
        found = self._model.predict(
            pairs, batch_size=BATCH, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False, convert_to_numpy=True
        )
        return [float(score) for score in found]


class YesNoReranker:
    """A causal language model that answers "yes" or "no": P(yes) / (P(yes) + P(no)) as the next token."""

    def __init__(self, name: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.name = name
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if self._device == "cuda" else torch.float32
        self._tokenizer: Any = AutoTokenizer.from_pretrained(name, padding_side="left")
        self._model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype).eval()
        self._model.to(self._device)
        self._prefix, self._suffix = self._ids(PREFIX), self._ids(SUFFIX)
        self._answers = [_one_token(self._tokenizer, word) for word in ("no", "yes")]

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Similar lengths are read together, so that batches hold little padding."""
        prompts = [self.prompt(query, text) for text in texts]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        found = [0.0] * len(prompts)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            for i, score in zip(batch, self._read([prompts[i] for i in batch]), strict=True):
                found[i] = score
        return found

    def prompt(self, query: str, text: str) -> list[int]:
        """Token ids: what is too long loses the end of the passage, never the question that follows it."""
        room = MAX_TOKENS - len(self._prefix) - len(self._suffix)
        pair = f"<Instruct>: {INSTRUCTION}\n<Query>: {query}\n<Document>: {text}"
        return [*self._prefix, *self._ids(pair)[:room], *self._suffix]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _read(self, prompts: Sequence[list[int]]) -> list[float]:
        import torch

        batch = self._tokenizer.pad({"input_ids": list(prompts)}, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            logits = self._model(**batch, logits_to_keep=1).logits[:, -1, self._answers].float()
        scores: list[float] = torch.softmax(logits, dim=-1)[:, 1].tolist()
        return scores


@lru_cache(maxsize=2)
def load_reranker(name: str) -> Reranker:
    """The reranker of this name (a folder, or a model on the hub), one a process. Raises ConfigError."""
    try:
        return YesNoReranker(name) if _is_causal(name) else CrossEncoderReranker(name)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"reranker {name!r} cannot be loaded ({reason}): set [rag] reranker to a CrossEncoder's folder or name on "
            'the hub, or to ""'
        ) from error


def _is_causal(name: str) -> bool:
    """Whether the model is a bare language model: CrossEncoder would give it a new head, with random weights."""
    from transformers import AutoConfig
    from transformers.utils import cached_file

    if cached_file(name, "modules.json", _raise_exceptions_for_missing_entries=False) is not None:
        return False  # prepared for sentence-transformers, which knows what to read
    architectures = AutoConfig.from_pretrained(name).architectures or []
    return any(str(architecture).endswith("ForCausalLM") for architecture in architectures)


def _length(name: str) -> int:
    """As many tokens as the model has places for, at most MAX_TOKENS."""
    from transformers import AutoConfig

    places = getattr(AutoConfig.from_pretrained(name), "max_position_embeddings", MAX_TOKENS)
    return min(int(places), MAX_TOKENS)


def _one_token(tokenizer: Any, word: str) -> int:
    ids: list[int] = tokenizer.encode(word, add_special_tokens=False)
    if len(ids) != 1:
        raise ConfigError(f"the reranker's tokenizer cuts {word!r} into {len(ids)} tokens: it is no yes/no reranker")
    return ids[0]
