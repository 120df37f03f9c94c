"""Stages two and three: the model learns to answer from numbered passages, to cite, and to refuse.

python recipes/docduet-tiny/05_read.py --minutes 7.5
python recipes/docduet-tiny/05_read.py --people --minutes 8 --finish   # stage three: people's questions among the tasks
python recipes/docduet-tiny/05_read.py --prepare                    # tokens only: while the GPU does something else
python recipes/docduet-tiny/05_read.py --minutes 8 --finish         # the last slice: the learning rate comes down to 0

Reads --work/tokenizer, --work/shards and --work/tasks (03_tasks.py), and begins with --work/pretrain/model
(--people: --work/read/model).
"""

from __future__ import annotations

import os
from pathlib import Path

from rows import Mixed, TaskRows, TextRows
from settings import changed, load
from shards import read_shards
from stages import begin, fingerprint, options, train
from tokenised import HELDOUT, samples


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--tasks", type=Path, help="folder of the tasks (--work/tasks)")
    parser.add_argument("--prepare", action="store_true", help="only turn the tasks into tokens, on the CPU")
    parser.add_argument("--people", action="store_true", help="stage three, with the numbers of [people]")
    args = parser.parse_args()
    name, before = ("people", "read") if args.people else ("read", "pretrain")
    args.init = args.init or args.work / before / "model"
    settings = load(args.preset)
    stage = changed(getattr(settings, name), args.set)
    tasks, words = args.tasks or args.work / "tasks", args.work / "tokenizer"
    made = samples(tasks, words, args.work / "read", stage.row_tokens, os.cpu_count() or 1)  # before CUDA: it forks
    if args.prepare:
        print({split: f"{len(some):,} tasks, {len(some.tokens):,} tokens" for split, some in made.items()})
        return
    stage, tokenizer, model, _ = begin(args, name)
    end, seed = tokenizer.pad_token_id, settings.seed
    text = TextRows(read_shards(args.work / "shards", "train"), stage.row_tokens, end, seed + 1, stage.text_weight)
    rows = Mixed(TaskRows(made["train"], stage.row_tokens, end, seed), text, stage.text_share)
    kept_out = TaskRows(made[HELDOUT], stage.row_tokens, end, seed).take(0, stage.heldout_rows)
    data = fingerprint(len(made["train"]), made["train"].tokens[:4096].tolist(), stage.row_tokens, stage.text_share)
    train(args, name, stage, model, rows, kept_out, data)


if __name__ == "__main__":
    main()
