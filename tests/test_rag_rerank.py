"""Rerankers with random weights: the scores are those of the models, whatever they are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data.errors import ConfigError
from data.types import Page
from rag.config import RagConfig
from rag.rerank import INSTRUCTION, CrossEncoderReranker, YesNoReranker, load_reranker
from tests.tiny_qwen3 import make

TEXTS = [
    "The gateway listens on port 7860.",
    "Logs.",
    "网关默认监听 7860 端口。" * 20,
    "Engines write to engine.log " * 12,
]
QUERY = "Which port does the gateway use?"


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 whose tokenizer has yes and no as one token each, as the published one does."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make(tmp_path_factory.mktemp("qwen3"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["yes", "no"])
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder(tmp_path_factory.mktemp("bert"), labels=1)


def cross_encoder(folder: Path, labels: int) -> Path:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *QUERY.lower().replace("?", "").split(), "port", "logs", "."]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=labels, max_position_embeddings=64, **sizes)
    model: Any = BertForSequenceClassification(config)
    model.classifier.weight.data *= 50  # random weights give nearly the same score to all texts
    model.save_pretrained(folder)
    return folder


def test_yes_no_scores_are_the_softmax_over_both_answers(qwen3: Path) -> None:
    """Against transformers alone, one text at a time, the prompt written out as the model's page gives it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(qwen3)
    model: Any = AutoModelForCausalLM.from_pretrained(qwen3, dtype=torch.float32).eval()
    expected = []
    for text in TEXTS:
        prompt = (
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
            'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
            f"<Instruct>: {INSTRUCTION}\n<Query>: {QUERY}\n<Document>: {text}<|im_end|>\n"
            "<|im_start|>assistant\n<think>\n\n</think>\n\n"
        )
        with torch.inference_mode():
            logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
        pair = logits[[tokenizer.convert_tokens_to_ids("no"), tokenizer.convert_tokens_to_ids("yes")]]
        expected.append(float(torch.softmax(pair, 0)[1]))
    reranker = load_reranker(str(qwen3))
    assert isinstance(reranker, YesNoReranker)
    assert reranker.scores(QUERY, TEXTS) == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == len(TEXTS)


def test_a_long_passage_loses_its_end_not_the_question(qwen3: Path) -> None:
    reranker = YesNoReranker(str(qwen3))
    prompt = reranker.prompt(QUERY, "word " * 5000)
    assert len(prompt) == 1024
    text = reranker._tokenizer.decode(prompt)
    assert QUERY in text
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_a_tokenizer_without_yes_and_no_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no yes/no reranker"):
        YesNoReranker(str(make(tmp_path)))


def test_cross_encoder_scores_are_its_sigmoids(bert: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(bert)
    model: Any = AutoModelForSequenceClassification.from_pretrained(bert).eval()
    expected = []
    for text in TEXTS:
        encoded = tokenizer(QUERY, text, truncation="longest_first", max_length=64, return_tensors="pt")
        with torch.inference_mode():
            expected.append(float(torch.sigmoid(model(**encoded).logits[0, 0])))
    reranker = load_reranker(str(bert))
    assert isinstance(reranker, CrossEncoderReranker)
    assert reranker.scores(QUERY, TEXTS) == pytest.approx(expected, abs=1e-5)
    assert len({round(score, 4) for score in expected}) > 1


def test_a_classifier_with_several_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 scores"):
        load_reranker(str(cross_encoder(tmp_path, labels=3)))


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[rag\] reranker"):
        load_reranker(str(tmp_path / "nothing"))


def test_the_retriever_goes_by_the_reranker(bert: Path, tmp_path: Path) -> None:
    from data.home import Home
    from rag.build import build_index
    from rag.retriever import HybridRetriever
    from tests.fakes import HashedWords

    pages = [Page(f"{n}.md", f"Page {n}", f"The gateway {'port ' * n} number {n}") for n in range(1, 7)]
    config = RagConfig(reranker=str(bert), rerank_candidates=6, top_k=3)
    generation = build_index(pages, Home(tmp_path), config, embedder=HashedWords())
    found = HybridRetriever(generation, HashedWords(), config).search("gateway port")
    texts = {page.url: f"{page.title}\n{page.body}" for page in pages}
    scores = dict(zip(texts, load_reranker(str(bert)).scores("gateway port", list(texts.values())), strict=True))
    best = sorted(scores, key=lambda url: -scores[url])[:3]
    assert [passage.url for passage in found] == best
    assert [passage.score for passage in found] == pytest.approx([scores[url] for url in best], abs=1e-5)
