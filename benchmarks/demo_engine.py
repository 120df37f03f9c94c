"""How fast vLLM's CPU build serves a small model on this machine: until ready, until the first token, tokens a second.

python benchmarks/demo_engine.py FOLDER [--adapter FOLDER] [--rank 64] [-- --further vllm arguments]
python benchmarks/demo_engine.py --shape 384,10,6,2,1024 --work /tmp/shape    (hidden, layers, heads, kv heads, ffn)

Speed does not depend on what a model knows, so a shape is measured with random weights. Prompts are the product's own
(data/prompts.py) over pages of the handbook, of as many tokens of the model as are printed; each is asked for twice
with other pages, so that no prefix is cached, and the answers go on for 96 tokens. One user, one at a
time. Processor time stands beside the clock: on a machine that others share it is what compares.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from data.handbook import FOLDER
from data.prompts import rag_messages
from serving.config import EngineConfig
from serving.engines.engine import Engine
from serving.engines.vllm import launch

PORT = 8911
ANSWER = 96
REPEATS = 2
BUDGETS = (1200, 2400)
"""Characters over four: about the tokens of passages in a prompt."""


@dataclass(frozen=True)
class Excerpt:
    title: str
    heading_path: tuple[str, ...]
    text: str


def model_of(shape: str, folder: Path) -> Path:
    """A Qwen3 of ``shape`` with random weights, its tokenizer trained on the handbook."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from tests.tiny_qwen3 import tokenizer

    hidden, layers, heads, kv_heads, ffn = map(int, shape.split(","))
    tokens = tokenizer((path.read_text() for path in FOLDER.rglob("*.md")), 10240)
    config = Qwen3Config(
        vocab_size=10240, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv_heads, intermediate_size=ffn, head_dim=64, max_position_embeddings=4096,
        tie_word_embeddings=True, eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    made: Any = Qwen3ForCausalLM(config)
    made = made.to(torch.bfloat16)
    made.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def adapter_of(model: Path, rank: int, folder: Path) -> Path:
    """A LoRA adapter of ``rank`` on every matrix of ``model``, its weights as they are drawn."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    get_peft_model(base, LoraConfig(r=rank, target_modules="all-linear")).save_pretrained(str(folder))
    return folder


def prompts(budget: int) -> Iterator[list[Any]]:
    """Endless prompts with about ``budget`` tokens of passages, no two of them alike."""
    pages = [path.read_text() for path in sorted(FOLDER.rglob("en/*.md"))]
    number = 0
    while True:
        text = pages[number % len(pages)] * 4
        size = budget * 4 // 6
        cut = [text[(number * 97 + n * size) : (number * 97 + (n + 1) * size)] for n in range(6)]
        yield rag_messages(f"Question {number}?", [Excerpt("Handbook", ("Part", str(n)), c) for n, c in enumerate(cut)])
        number += 1


def cpu_s(pid: int) -> float:
    """Processor time of a process and all below it (seconds): what counts where others share the machine."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        stats[int(path.parent.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    wanted, found = {pid}, 0
    while found != len(wanted):
        found = len(wanted)
        wanted |= {child for child, (parent, _) in stats.items() if parent in wanted}
    return sum(stats[one][1] for one in wanted if one in stats) / os.sysconf("SC_CLK_TCK")


async def measure(engine: Engine, pid: int, budgets: list[int]) -> list[dict[str, float]]:
    found = []
    for budget in budgets:
        asked = prompts(budget)
        async for _ in engine.chat(next(asked), max_tokens=8, temperature=0.0):  # the first of its length warms up
            pass
        firsts, speeds, read, wrote, size = [], [], [], [], 0
        for _ in range(REPEATS):
            start, first, tokens = time.perf_counter(), 0.0, 0
            before = middle = cpu_s(pid)
            async for delta in engine.chat(next(asked), max_tokens=ANSWER, temperature=0.0):
                if not first:
                    first, middle = time.perf_counter(), cpu_s(pid)
                if delta.usage:
                    tokens, size = delta.usage["completion_tokens"], delta.usage["prompt_tokens"]
            firsts.append(1000 * (first - start))
            speeds.append((tokens - 1) / (time.perf_counter() - first))
            read.append(1000 * (middle - before))
            wrote.append(1000 * (cpu_s(pid) - middle) / (tokens - 1))
        found.append(
            {
                "prompt_tokens": size,
                "first_ms": round(median(firsts)),
                "tokens_per_s": round(median(speeds), 1),
                "first_cpu_ms": round(median(read)),
                "cpu_ms_per_token": round(median(wrote), 1),
            }
        )
    return found


async def run(
    model: Path, adapter: Path | None, further: tuple[str, ...], rank: int, env: dict[str, str], budgets: list[int]
) -> dict[str, Any]:
    config = EngineConfig(
        name="base", model=str(model), args=further, lora=adapter is not None, lora_rank=rank, env=env
    )
    made = launch(config, PORT)
    log = Path(tempfile.mkdtemp()) / "engine.log"
    started = time.perf_counter()
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *made.argv, env=os.environ | dict(made.env), stdout=sink, stderr=sink
        )
    body = {"chat_template_kwargs": {"enable_thinking": False}, "ignore_eos": True}
    engine = Engine("base", f"http://127.0.0.1:{PORT}/v1", "base", extra_body=body, ignores=made.ignores)
    try:
        while not await engine.ready(2.0):
            if process.returncode is not None or time.perf_counter() - started > 400:
                sys.exit(f"the engine did not start: see {log}")
            await asyncio.sleep(0.25)
        result: dict[str, Any] = {
            "ready_s": round(time.perf_counter() - started, 1),
            "ready_cpu_s": round(cpu_s(process.pid), 1),
        }
        result["base"] = await measure(engine, process.pid, budgets)
        if adapter:
            await engine.post("/load_lora_adapter", {"lora_name": "sft", "lora_path": str(adapter)}, 120)
            twin = engine.serving("sft", {})
            result["adapter"] = await measure(twin, process.pid, budgets)
            await twin.aclose()
    finally:
        await engine.aclose()
        if process.returncode is None:
            process.terminate()
        await process.wait()
    return result


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the engine ends with us
    own = sys.argv[1:]
    further: tuple[str, ...] = ()
    if "--" in own:
        own, further = own[: own.index("--")], tuple(own[own.index("--") + 1 :])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--shape", default="")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "demo-engine")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--rank", type=int, default=0, help="with --shape: make an adapter of this rank")
    parser.add_argument("--env", nargs="*", default=[], help="NAME=VALUE for the engine")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="tokens of passages in a prompt")
    args = parser.parse_args(own)
    env = dict(pair.split("=", 1) for pair in args.env)
    model, adapter = args.model, args.adapter
    if args.shape:
        model = model_of(args.shape, args.work / args.shape.replace(",", "-"))
        adapter = adapter_of(model, args.rank, args.work / f"adapter-{args.rank}") if args.rank else None
    if model is None:
        parser.error("name a model's folder, or --shape")
    result = asyncio.run(run(model, adapter, further, args.rank or 64, env, list(args.budgets)))
    print(json.dumps({"model": args.shape or str(model), "args": [*further, *args.env], **result}))


if __name__ == "__main__":
    main()
