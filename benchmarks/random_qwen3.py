"""Make a model of Qwen3's shape with random weights, and conversations of any length in its own words.

python benchmarks/random_qwen3.py tiny|1b|8b FOLDER

For measuring speed and memory, which do not depend on what a model knows. On a GPU where there is one (8b: about 30 s,
16 GB on disk). The tokenizer is real, has 8,192 entries, and was trained on random words.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sft.tokens import EMPTY_THINK, Counter
from tests.tiny_qwen3 import save, tokenizer

VOCAB = 8192
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"num_hidden_layers": 4, "hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 8,
             "num_key_value_heads": 4, "head_dim": 64, "vocab_size": VOCAB, "tie_word_embeddings": True},
    "1b": {"num_hidden_layers": 20, "hidden_size": 2048, "intermediate_size": 6144, "num_attention_heads": 16,
           "num_key_value_heads": 8, "head_dim": 128, "vocab_size": VOCAB, "tie_word_embeddings": True},
    "8b": {"num_hidden_layers": 36, "hidden_size": 4096, "intermediate_size": 12288, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": False},
}  # fmt: skip
"""8b is Qwen3-8B. 1b is Qwen3-1.7B with 20 of its 28 layers and the small vocabulary, 1.02 billion parameters, so that
three checkpoints with the optimizer's state fit on a disk of 64 GiB."""


def make(folder: Path, shape: str, seed: int = 0) -> Path:
    """Write the model's folder, in bfloat16."""
    import torch

    torch.manual_seed(seed)
    known = words(seed)
    rng = random.Random(seed)
    tokens = tokenizer((" ".join(rng.choices(known, k=50)) for _ in range(2000)), VOCAB)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            save(folder, tokens, max_position_embeddings=40960, **SHAPES[shape])
    finally:
        torch.set_default_dtype(before)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return folder


def words(seed: int = 0, count: int = 6000) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(count)]


def conversations(path: Path, lengths: Iterable[int], counter: Counter, seed: int = 0) -> Path:
    """Write one conversation per wanted length (tokens with the template's own, within a word's)."""
    rng = random.Random(seed)
    known = words()
    sizes = {word: counter.count(f" {word}") for word in known}
    around = counter.count(f"<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n{EMPTY_THINK}<|im_end|>\n")
    with path.open("w", encoding="utf-8") as lines:
        for length in lengths:
            said = _words(rng, known, sizes, length - around)
            cut = max(1, min(len(said) // 3, 40))
            turns = (("user", said[:cut]), ("assistant", said[cut:] or said[-1:]))
            messages = [{"role": role, "content": " ".join(part)} for role, part in turns]
            lines.write(json.dumps({"messages": messages}) + "\n")
    return path


def _words(rng: random.Random, known: Sequence[str], sizes: dict[str, int], tokens: int) -> list[str]:
    said = [rng.choice(known), rng.choice(known)]
    left = tokens - sum(sizes[word] for word in said)
    while left > 0:
        said.append(rng.choice(known))
        left -= sizes[said[-1]]
    return said


def long(count: int, seed: int = 0) -> Iterator[int]:
    """Lengths of whole-page answers: 460 to 2,000 tokens, 1,230 on average."""
    rng = random.Random(seed)
    return (rng.randint(460, 2000) for _ in range(count))


def short(count: int, seed: int = 0) -> Iterator[int]:
    """Lengths as in most fine-tuning data: 95 % under 200 tokens, the rest up to 2,000."""
    rng = random.Random(seed)
    return (rng.randint(200, 2000) if rng.random() < 0.05 else rng.randint(25, 199) for _ in range(count))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES:
        sys.exit((__doc__ or "").split("\n\n")[1])
    print(make(Path(sys.argv[2]), sys.argv[1]))
