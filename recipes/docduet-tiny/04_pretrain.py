"""Stage one: a Qwen3 learns the language of documentation, from random weights.

python recipes/docduet-tiny/04_pretrain.py --minutes 7.5            # again and again until "finished": true
python recipes/docduet-tiny/04_pretrain.py --preset smoke --device cpu --steps 20

Reads --work/tokenizer (02_tokenizer.py) and --work/shards; each call goes on where the last one stopped.
Needs torch, transformers and numpy, no network, and the repository's root on PYTHONPATH.
"""

from __future__ import annotations

from rows import TextRows
from settings import load
from shards import read_shards
from stages import begin, fingerprint, options, train


def main() -> None:
    parser = options(__doc__ or "")
    args = parser.parse_args()
    stage, tokenizer, model, _ = begin(args, "pretrain")
    end, seed = tokenizer.pad_token_id, load(args.preset).seed
    stream, kept_out = read_shards(args.work / "shards", "train"), read_shards(args.work / "shards", "heldout")
    rows = TextRows(stream, stage.row_tokens, end, seed, stage.text_weight)
    heldout = TextRows(kept_out, stage.row_tokens, end, seed).take(0, stage.heldout_rows)
    data = fingerprint(len(stream), stream[:4096].tolist(), stage.row_tokens, stage.step_rows, seed)
    train(args, "pretrain", stage, model, rows, heldout, data)


if __name__ == "__main__":
    main()
