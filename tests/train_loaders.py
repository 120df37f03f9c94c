"""Read a dataset as the trainers read it, inside the environment that holds them (.venv-train). Prints JSON.

    .venv-train/bin/python tests/train_loaders.py swift DATASET MODEL          ms-swift's loader and template
    .venv-train/bin/python tests/train_loaders.py llamafactory DATASET MODEL   LLaMA-Factory's loader and template

DATASET is a folder that `docduet sft build` wrote, MODEL one of a Qwen3 with its tokenizer. For each file or dataset
name: how many samples came through, and of each the text that carries loss.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

LONG = 100_000
"""Tokens: nothing is to be left out for its length."""


def swift(folder: Path, model: str) -> dict[str, list[str]]:
    from swift.dataset import load_dataset
    from swift.model import get_processor
    from swift.template import get_template

    processor = get_processor(model, model_type="qwen3", download_model=False)
    template = get_template(processor, max_length=LONG, template_type="qwen3")
    template.set_mode("train")
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        if path.name in ("train.jsonl", "val.jsonl"):
            rows, _ = load_dataset([str(path)], load_from_cache_file=False)
            found[path.name] = [trained(template.encode(row), processor) for row in rows]
    return found


def llamafactory(folder: Path, model: str) -> dict[str, list[str]]:
    _without_audio()
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from transformers import AutoTokenizer

    found = {}
    for name in json.loads((folder / "dataset_info.json").read_text()):
        options = {
            "stage": "sft", "do_train": True, "model_name_or_path": model, "dataset": name, "dataset_dir": str(folder),
            "template": "qwen3", "cutoff_len": LONG, "output_dir": tempfile.mkdtemp(), "overwrite_cache": True,
            "report_to": "none", "use_cpu": True, "finetuning_type": "full",
        }  # fmt: skip
        model_args, data_args, training_args, _, _ = get_train_args(options)
        tokenizer = AutoTokenizer.from_pretrained(model)
        template = get_template_and_fix_tokenizer(tokenizer, data_args)
        rows = get_dataset(template, model_args, data_args, training_args, stage="sft", tokenizer=tokenizer)[
            "train_dataset"
        ]
        found[name] = [trained(row, tokenizer) for row in rows]
    return found


def _without_audio() -> None:
    """torchaudio, which LLaMA-Factory imports for audio files, has no build on PyPI that works with a CPU torch."""
    stand_in = ModuleType("torchaudio")
    stand_in.__spec__ = ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = stand_in


def trained(encoded: dict[str, Any], tokenizer: Any) -> str:
    """The text of the tokens that carry loss."""
    return str(tokenizer.decode([label for label in encoded["labels"] if label >= 0]))


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1", "HF_DATASETS_CACHE": tempfile.mkdtemp()}
    read = {"swift": swift, "llamafactory": llamafactory}[sys.argv[1]]
    print("\n" + json.dumps(read(Path(sys.argv[2]), sys.argv[3])))
