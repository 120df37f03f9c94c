"""Processor time of a small model in vLLM's CPU build: a prompt read, a token written, with and without an adapter.

OMP_NUM_THREADS=1 python benchmarks/engine_cpu.py FOLDER [--adapter FOLDER] [--rank 32] [--prompts 100 1500 2900]
VLLM_PLUGINS="" before it: vLLM alone, without the plugins of serving/engines.

The engine runs inside this process, so its time is this process's: no API server, no messages, no waiting, which makes
it comparable on a machine that others use. Prompts are random tokens, the least of three runs counts.
demo_engine.py measures the whole engine, as it is served.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path
from typing import Any

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
WRITTEN = 64
REPEATS = 3


def cpu_ms(engine: Any, tokens: int, answer: int, adapter: Any) -> float:
    """Processor time of one request (ms)."""
    from vllm import SamplingParams

    prompt = {"prompt_token_ids": [random.randrange(300, 10_000) for _ in range(tokens)]}
    start = time.process_time()
    wanted = SamplingParams(max_tokens=answer, temperature=0.0, ignore_eos=True)
    engine.generate([prompt], wanted, lora_request=adapter, use_tqdm=False)
    return 1000 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompts", type=int, nargs="+", default=[100, 1500, 2900])
    args = parser.parse_args()
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    imported = time.process_time()
    lora = {"enable_lora": True, "max_loras": 2, "max_lora_rank": args.rank} if args.adapter else {}
    engine = LLM(
        model=str(args.model), dtype=args.dtype, enforce_eager=True, max_model_len=4096, max_num_batched_tokens=4096,
        max_num_seqs=8, distributed_executor_backend="uni", **lora,
    )  # fmt: skip
    print(f"imports {imported:.1f} s of processor time, loading {time.process_time() - imported:.1f} s")
    adapters = [None, LoRARequest("sft", 1, str(args.adapter))] if args.adapter else [None]
    for adapter in adapters:
        cpu_ms(engine, 50, 4, adapter)  # warms up
        for tokens in args.prompts:
            read = min(cpu_ms(engine, tokens, 1, adapter) for _ in range(REPEATS))
            both = min(cpu_ms(engine, tokens, 1 + WRITTEN, adapter) for _ in range(REPEATS))
            name = "adapter" if adapter else "base"
            print(
                f"{name:8} prompt of {tokens}: {read:.0f} ms, then {(both - read) / WRITTEN:.1f} ms a token", flush=True
            )


if __name__ == "__main__":
    main()
