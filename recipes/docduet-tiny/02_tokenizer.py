"""pages.jsonl.xz -> the tokenizer of docduet-tiny: byte-level BPE in Qwen3's format, small because the model is.

    python recipes/docduet-tiny/02_tokenizer.py                          10,240 entries, into WORK/tokenizer
    python recipes/docduet-tiny/02_tokenizer.py --compare 8192 12288     and the figures of other sizes beside it

NFC, Qwen2's pre-tokenizer (digits one by one), Qwen3's special tokens and chat format, so transformers
(Qwen2Tokenizer), vLLM and ms-swift's template `qwen3` take it as it is. The citation markers [1] to [9] are entries
of their own: the same one token wherever they stand. Packing the pages with it is 02_pack.py's work.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from data import prompts
from data.home import Home

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HERE = Path(__file__).parent
SIZE = 10_240
MAX_LENGTH = 4096
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's pre-tokenizer; transformers' Qwen2Tokenizer has the same one built in."""

SPECIAL = """
    <|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|>
    <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>
""".split()  # noqa: SIM905
VISIBLE = """
    <tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>
    <tool_response> </tool_response> <think> </think>
""".split()  # noqa: SIM905
"""Qwen3's added tokens that decoding does not hide."""

MARKERS = [f"[{number}]" for number in range(1, 10)]
SHARES = {"en": 24_000_000, "zh": 14_000_000}
"""Bytes of each language that the merges are learnt from: Chinese far above its part of the corpus."""


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    pages = options.pages or options.work / "pages.jsonl.xz"
    out = options.out or options.work / "tokenizer"
    sample = {lang: list(texts(pages, lang, "train", budget)) for lang, budget in SHARES.items()}
    lines = [line for bodies in sample.values() for line in bodies]
    random.Random(options.seed).shuffle(lines)
    probe = probes(pages)
    for size in dict.fromkeys([options.size, *options.compare]):
        tokenizer = train([*lines, *prompt_texts() * 20], size)
        if size == options.size:
            save(tokenizer, out)
        print(json.dumps({"entries": tokenizer.get_vocab_size(), "bytes_per_token": bytes_per_token(tokenizer, probe)}))
    print(f"tokenizer: {out}")
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Home.from_env().root / "tiny", help="working folder (DOCDUET_HOME/tiny)"
    )
    parser.add_argument("--pages", type=Path, help="the pages (WORK/pages.jsonl.xz)")
    parser.add_argument("--out", type=Path, help="the tokenizer's folder (WORK/tokenizer)")
    parser.add_argument("--size", type=int, default=SIZE, help="entries, added tokens included")
    parser.add_argument(
        "--compare", type=int, nargs="*", default=[], help="train these sizes too and print their figures"
    )
    parser.add_argument("--seed", type=int, default=8)
    return parser.parse_args(argv)


def texts(pages: Path, lang: str, split: str, budget: int) -> Iterator[str]:
    """Pages as the model reads them, in the file's order, up to ``budget`` bytes."""
    with lzma.open(pages, "rt", encoding="utf-8") as file:
        for line in file:
            page = json.loads(line)
            if page["lang"] != lang or page["split"] != split:
                continue
            text = document(page)
            budget -= len(text.encode())
            if budget < 0:
                return
            yield text


def document(page: dict[str, Any]) -> str:
    """A page as a document to learn from: its title as heading, then its body."""
    return f"# {page['title']}\n\n{page['body']}"


def prompt_texts() -> list[str]:
    """What stands in every prompt of the product."""
    system = [text.format(refusal=prompts.refusal_text(lang)) for lang, text in prompts.SYSTEM.items()]
    return [*system, *prompts.BASE_SYSTEM.values(), *prompts.REFUSAL.values(), *prompts.REWRITE.values()]


def probes(pages: Path) -> dict[str, list[str]]:
    """Texts that no merge was learnt from: held-out pages, the product's handbook, its prompts."""
    handbook = HERE.parents[1] / "data" / "handbook"
    return {
        "heldout en": list(texts(pages, "en", "heldout", 3_000_000)),
        "heldout zh": list(texts(pages, "zh", "heldout", 3_000_000)),
        "handbook en": [path.read_text(encoding="utf-8") for path in sorted((handbook / "en").glob("*.md"))],
        "handbook zh": [path.read_text(encoding="utf-8") for path in sorted((handbook / "zh").glob("*.md"))],
        "prompts": prompt_texts(),
    }


def train(lines: Iterable[str], size: int = SIZE) -> Tokenizer:
    """Byte-level BPE of ``size`` entries in all."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
    from tokenizers.models import BPE

    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = len(SPECIAL) + len(VISIBLE) + len(MARKERS)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size - added, initial_alphabet=alphabet, max_token_length=24, show_progress=sys.stderr.isatty()
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in [*VISIBLE, *MARKERS]])
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """The folder that AutoTokenizer loads: tokenizer.json, vocabulary, merges, chat template, settings."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    template = (HERE / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": MAX_LENGTH,
        "add_prefix_space": False,
        "add_bos_token": False,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "split_special_tokens": False,
        "additional_special_tokens": SPECIAL[1:],
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": token in SPECIAL,
            }
            for token in [*SPECIAL, *VISIBLE, *MARKERS]
        },
        "chat_template": template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")


def bytes_per_token(tokenizer: Tokenizer, probe: dict[str, list[str]]) -> dict[str, float]:
    figures = {}
    for name, found in probe.items():
        tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(found))
        figures[name] = round(sum(len(text.encode()) for text in found) / max(tokens, 1), 3)
    return figures


if __name__ == "__main__":
    sys.exit(main())
