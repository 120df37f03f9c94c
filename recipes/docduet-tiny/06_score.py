"""Let the model answer held-out tasks, and write down how sure it was.

python recipes/docduet-tiny/06_score.py --limit 2000 --out answers.jsonl
python recipes/docduet-tiny/score_tasks.py --tasks asked.jsonl --answers answers.jsonl
python recipes/docduet-tiny/06_score.py --model FOLDER --device cpu --limit 20

The tasks that were asked go to asked.jsonl beside --out. A line an answer: "task" (its place there), "answer" (greedy),
"confidence" (mean log-probability of its first sentence's tokens, which `quote_below` of docduet.toml is compared with;
sure.py says what a limit would do) and "ended" (false: cut at the longest length).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from settings import last_stage
from tokenised import HELDOUT, messages_of, passages_of, prompt_of, tasks_of

from data.sentences import first_sentence

PROMPT_TOKENS = 3500


def main() -> None:
    home = Path(os.environ.get("DOCDUET_HOME", Path.home() / ".docduet"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=home / "tiny", help="where everything lies (DOCDUET_HOME/tiny)")
    parser.add_argument("--model", type=Path, help="model's folder (the last stage's in --work)")
    parser.add_argument("--tasks", type=Path, help="folder of the tasks (--work/tasks)")
    parser.add_argument("--out", type=Path, default=Path("answers.jsonl"))
    parser.add_argument("--limit", type=int, default=2000, help="tasks, evenly out of all (2000)")
    parser.add_argument("--batch", type=int, default=128, help="answers at a time (128)")
    parser.add_argument("--tokens", type=int, default=256, help="longest answer (256)")
    parser.add_argument("--minutes", type=float, default=8.0, help="stop after this, with what there is (8)")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    started, folder = time.monotonic(), args.tasks or args.work / "tasks"
    tasks = [task for task in tasks_of(folder) if task.get("split") == HELDOUT and task["passages"]]
    tasks = tasks[:: max(1, len(tasks) // args.limit)][: args.limit]
    model, tokenizer = _loaded(args)
    prompts = _prompts(tasks, folder, tokenizer)
    order = sorted(range(len(tasks)), key=lambda i: len(prompts[i]))
    done = 0
    with args.out.open("w", encoding="utf-8") as out, args.out.with_name("asked.jsonl").open("w") as asked:
        for start in range(0, len(order), args.batch):
            if time.monotonic() - started > 60 * args.minutes:
                break
            members = order[start : start + args.batch]
            answers = answer(model, tokenizer, [prompts[i] for i in members], args.tokens)
            for index, said in zip(members, answers, strict=True):
                asked.write(json.dumps(tasks[index]) + "\n")
                out.write(json.dumps({"task": done} | said, ensure_ascii=False) + "\n")
                done += 1
    print(json.dumps({"answered": done, "of": len(tasks), "seconds": round(time.monotonic() - started, 1)}))


def _loaded(args: argparse.Namespace) -> tuple[Any, Any]:
    import torch
    from transformers import AutoTokenizer, Qwen3ForCausalLM

    dtype = torch.bfloat16 if args.device == "cuda" else torch.float32
    model = Qwen3ForCausalLM.from_pretrained(args.model or args.work / last_stage(args.work) / "model", dtype=dtype)
    return model.to(args.device).eval(), AutoTokenizer.from_pretrained(args.work / "tokenizer")


def _prompts(tasks: Sequence[Mapping[str, Any]], folder: Path, tokenizer: Any) -> list[list[int]]:
    passages = passages_of(folder)
    texts = [prompt_of(messages_of(task, passages), tokenizer) for task in tasks]
    return [ids[-PROMPT_TOKENS:] for ids in tokenizer(texts, add_special_tokens=False).input_ids]


def answer(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], tokens: int) -> list[dict[str, Any]]:
    """Greedy answers to a batch of prompts."""
    import torch

    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), tokenizer.pad_token_id)
    for row, prompt in enumerate(prompts):  # padded on the left
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    seen = torch.arange(width)[None] >= width - lengths[:, None]
    with torch.inference_mode():
        made = model.generate(
            ids.to(model.device), attention_mask=seen.long().to(model.device), max_new_tokens=tokens, do_sample=False,
            return_dict_in_generate=True, output_logits=True, use_cache=True,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    said = made.sequences[:, width:]
    sure = torch.stack([
        step.float().log_softmax(-1).gather(1, said[:, place : place + 1])[:, 0]
        for place, step in enumerate(made.logits)
    ], dim=1)  # fmt: skip
    return [_told(tokenizer, said[row].tolist(), sure[row].tolist()) for row in range(len(prompts))]


def _told(tokenizer: Any, ids: list[int], sure: list[float]) -> dict[str, Any]:
    ended = tokenizer.eos_token_id in ids
    size = ids.index(tokenizer.eos_token_id) if ended else len(ids)
    text = tokenizer.decode(ids[:size])
    upto = first_sentence(text)
    first = next((n for n in range(1, size + 1) if len(tokenizer.decode(ids[:n])) >= upto), size)
    mean = sum(sure[:first]) / first if first else -99.0
    return {"answer": text, "confidence": round(mean, 4), "ended": ended}


if __name__ == "__main__":
    main()
