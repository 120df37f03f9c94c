"""What the tests on a GPU with Megatron have in common: is it one, and what does an exported model say."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from data.prompts import sft_messages
from sft.training.records import Run
from tests.training_runs import PYTHON


def skip_without_megatron() -> None:
    asked = "import torch, megatron.core, transformer_engine.pytorch; assert torch.cuda.is_available()"
    try:
        done = subprocess.run([PYTHON, "-c", asked], capture_output=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode:
        pytest.skip(f"{PYTHON} has no Megatron, or no GPU: set DOCDUET_TRAIN_PYTHON on a machine with one")


def same_curve(one: Run, other: Run) -> None:
    """bf16 on a GPU does not repeat to the last digit."""
    assert [step.step for step in one.steps] == [step.step for step in other.steps]
    assert [step.loss for step in one.steps] == pytest.approx([step.loss for step in other.steps], rel=0.02, abs=0.02)


def logits(folder: Path) -> Any:
    """Of twenty tokens, by transformers on the CPU, in the folder's own type."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")(torch.arange(5, 25)[None]).logits


def answers(folder: Path, questions: list[str], most: int = 32) -> list[str]:
    """Greedy, through transformers, with the prompt that the sft voice asks with; on the GPU where there is one."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device).eval()
    alike: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)  # of one length: no padding is needed
    for number, question in enumerate(questions):
        text = tokenizer.apply_chat_template(
            sft_messages(question), tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        prompt = tokenizer(text, add_special_tokens=False).input_ids
        alike[len(prompt)].append((number, prompt))
    given = [""] * len(questions)
    for length, group in alike.items():
        tokens = torch.tensor([prompt for _, prompt in group], device=device)
        made = model.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=most, do_sample=False
        )
        for (number, _), row in zip(group, made, strict=True):
            given[number] = tokenizer.decode(row[length:], skip_special_tokens=True).strip()
    return given
