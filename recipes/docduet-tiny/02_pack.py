"""pages.jsonl.xz + tokenizer -> token shards (shards.py): train-en, train-zh, heldout-en, heldout-zh.

    python recipes/docduet-tiny/02_pack.py      reads WORK/pages.jsonl.xz and WORK/tokenizer, writes WORK/shards

Languages lie apart so that training can weigh them. Documents keep the order of the pages' file, which is shuffled.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from collections import defaultdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import numpy as np
from shards import write_shards

from data.home import Home

BATCH = 512


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    parts = pack(
        options.pages or options.work / "pages.jsonl.xz",
        options.tokenizer or options.work / "tokenizer",
        options.out or options.work / "shards",
    )
    for name, entries in parts.items():
        tokens, size = (sum(int(str(entry[key])) for entry in entries) for key in ("tokens", "bytes"))
        print(f"{name}: {tokens / 1e6:.2f} M tokens, {len(entries)} parts, {size / 1e6:.1f} MB")
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Home.from_env().root / "tiny", help="working folder (DOCDUET_HOME/tiny)"
    )
    parser.add_argument("--pages", type=Path, help="the pages (WORK/pages.jsonl.xz)")
    parser.add_argument("--tokenizer", type=Path, help="the tokenizer's folder (WORK/tokenizer)")
    parser.add_argument("--out", type=Path, help="the shards' folder (WORK/shards)")
    return parser.parse_args(argv)


def pack(pages: Path, tokenizer_folder: Path, out: Path) -> dict[str, list[dict[str, object]]]:
    """Write the shards; returns the parts of each name."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    batch: list[tuple[str, str]] = []
    with lzma.open(pages, "rt", encoding="utf-8") as file:
        for line in file:
            page = json.loads(line)
            batch.append((f"{page['split']}-{page['lang']}", f"# {page['title']}\n\n{page['body']}"))
            if len(batch) == BATCH:
                _encode(tokenizer, batch, found)
                batch.clear()
    _encode(tokenizer, batch, found)
    return {name: write_shards(out, name, documents, end) for name, documents in sorted(found.items())}


def _encode(tokenizer: object, batch: list[tuple[str, str]], found: dict[str, list[np.ndarray]]) -> None:
    """Ids without ``<|endoftext|>`` in them: a page that shows the token as text must not end a document."""
    texts = [text.replace("<|endoftext|>", "<endoftext>") for _, text in batch]
    for (name, _), encoding in zip(batch, tokenizer.encode_batch_fast(texts), strict=True):  # type: ignore[attr-defined]
        found[name].append(np.asarray(encoding.ids, dtype=np.uint16))


if __name__ == "__main__":
    sys.exit(main())
