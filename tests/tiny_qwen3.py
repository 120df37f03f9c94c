"""Make a tiny Qwen3 with random weights and a tokenizer of its own: real architecture, no knowledge.

python tests/tiny_qwen3.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def make(folder: Path, layers: int = 2, hidden: int = 64, seed: int = 0) -> Path:
    """Write a Hugging Face model folder (about 1 M parameters, float32, 2,048 tokens of context)."""
    import torch

    torch.manual_seed(seed)
    texts = ["The gateway listens on port 7860 and cites its sources [1]."] * 10
    return save(
        folder,
        tokenizer(texts, 1024),
        vocab_size=1024,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )


def tokenizer(texts: Iterable[str], vocab: int) -> Any:
    """A byte-level BPE tokenizer of at most ``vocab`` entries, trained on ``texts``, with Qwen3's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=special, initial_alphabet=alphabet)
    inner.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = CHAT_TEMPLATE
    return made


def save(folder: Path, tokens: Any, **sizes: Any) -> Path:
    """Random weights of a Qwen3Config with ``sizes``, in torch's default dtype and on its default device."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id, bos_token_id=None, **sizes)
    Qwen3ForCausalLM(config).save_pretrained(folder, max_shard_size="4GB")
    tokens.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
