"""Put the trained model together as a Hugging Face folder that vLLM, transformers and ms-swift load.

python recipes/docduet-tiny/07_export.py --out data/samples/models/docduet-tiny/base --figures scores.json --freely TEXT
python recipes/docduet-tiny/07_export.py --adapter EXPORT --out data/samples/models/docduet-tiny/adapter --freely TEXT
python recipes/docduet-tiny/07_export.py --check data/samples/models/docduet-tiny

Takes the last stage's folder in --work (log.jsonl; model/ with weights and training.json) and --work/tokenizer;
writes one model.safetensors in bfloat16, the tokenizer, generation_config.json (only the likeliest token), README.md
(the model card) and SHA256SUMS over all of it. --adapter takes what `docduet sft export` wrote, in bfloat16, with a
card of its own, and names the base beside it: both move together. --figures is what `score_tasks.py --json` printed;
--freely says in the card, in a sentence or two, how it does on freely worded questions. --check compares the sums of
a folder and of the folders in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from settings import last_stage, load

CARD = Path(__file__).with_name("card.md")
ADAPTER_CARD = Path(__file__).with_name("adapter_card.md")
SUMS = "SHA256SUMS"
BASE_BYTES = 42_000_000
"""The adapter, and the limit of 50 MB for both, leave so much."""
LINE = 128
NOT_MEASURED = "Not measured yet."
GROUPS = ("all", "en", "zh", "fact", "heading", "rules", "turns", "two", "people", "refusal")
COLUMNS = {
    "f1": "F1", "exact": "exact", "citation_precision": "citation precision", "citation_recall": "citation recall",
    "refusal_precision": "refusal precision", "refusal_recall": "refusal recall",
}  # fmt: skip


def main() -> None:
    home = Path(os.environ.get("DOCDUET_HOME", Path.home() / ".docduet"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=home / "tiny", help="where everything lies (DOCDUET_HOME/tiny)")
    parser.add_argument("--out", type=Path, help="the folder to write")
    parser.add_argument("--figures", type=Path, help="JSON of score_tasks.py, for the card")
    parser.add_argument("--freely", default=NOT_MEASURED, help="for the card: how it does on freely worded questions")
    parser.add_argument("--adapter", type=Path, help="bundle this exported adapter instead")
    parser.add_argument("--check", type=Path, help="compare the sums of a folder instead")
    args = parser.parse_args()
    if args.check:
        wrong = [problem for folder in sums(args.check) for problem in differences(folder)]
        sys.exit("\n".join(wrong) or 0)
    if not args.out:
        parser.error("name a folder with --out")
    if args.adapter:
        bundle(args.adapter, args.out, args.freely)
        return
    figures = json.loads(args.figures.read_text(encoding="utf-8")) if args.figures else {}
    export(args.work, args.out, figures, args.freely)
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(
        f"{args.out}: {size / 1e6:.1f} MB" + ("" if size < BASE_BYTES else ", which leaves too little for an adapter")
    )


def export(work: Path, out: Path, figures: Mapping[str, Mapping[str, float]], people: str = NOT_MEASURED) -> None:
    """Write the whole folder, or nothing."""
    part = out.with_name(f".{out.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    stage = last_stage(work)
    trained = json.loads((work / stage / "model" / "training.json").read_text(encoding="utf-8"))
    _weights(work / stage / "model", part)
    for path in sorted((work / "tokenizer").iterdir()):
        shutil.copy2(path, part / path.name)
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    answering = {
        "do_sample": True,
        "top_k": 1,
        "eos_token_id": config["eos_token_id"],
        "pad_token_id": config["pad_token_id"],
    }
    _write(part / "generation_config.json", json.dumps(answering, indent=1))
    peak = getattr(load(), stage).peak_lr
    rate = last_rate((work / stage / "log.jsonl").read_text(encoding="utf-8"), peak)
    _write(part / "README.md", card(trained, rate, config, figures, people))
    _seal(part, out)


def bundle(adapter: Path, out: Path, people: str = NOT_MEASURED) -> None:
    """An exported adapter beside its base: without the tokenizer, which is the base's, and this machine's paths."""
    part = out.with_name(f".{out.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path in adapter.glob("adapter_model*.safetensors"):
        _halved(path, part / path.name)
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    _write(part / "adapter_config.json", json.dumps(config | {"base_model_name_or_path": "docduet-tiny"}, indent=1))
    manifest = json.loads((adapter / "manifest.json").read_text(encoding="utf-8"))
    files = {path.name: path.stat().st_size for path in sorted(part.iterdir())}
    own = {"base_model": "../base", "files": files, "argv": [], "dataset": Path(manifest["dataset"]).name}
    _write(part / "manifest.json", json.dumps(manifest | own, indent=1, ensure_ascii=False))
    _write(part / "README.md", adapter_card(manifest, config, out.parent / "base", people))
    _seal(part, out)


def _halved(adapter: Path, out: Path) -> None:
    """A CPU trains an adapter in float32; its base is in bfloat16, and so is what travels."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(adapter).items()}
    save_file(tensors, out, metadata={"format": "pt"})


def _seal(part: Path, out: Path) -> None:
    """The sums last, then the folder gets its name."""
    _write(part / SUMS, "".join(f"{digest(path)}  {path.name}\n" for path in sorted(part.iterdir())))
    shutil.rmtree(out, ignore_errors=True)
    part.replace(out)


def _weights(model: Path, out: Path) -> None:
    """All shards as one file, bit for bit, and config.json with ``use_cache`` on and Qwen3's older name for theta."""
    from safetensors.torch import load_file, save_file

    tensors = {name: tensor for path in sorted(model.glob("*.safetensors")) for name, tensor in load_file(path).items()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    theta = config["rope_parameters"]["rope_theta"]
    _write(out / "config.json", json.dumps(config | {"use_cache": True, "rope_theta": theta}, indent=1))


def last_rate(log: str, peak: float) -> float:
    """The last learning rate in the lines of a stage's log, which may be one slice's alone, as a share of ``peak``.

    `finished` in training.json does not tell: a run that was stopped a moment before its end is trained as well.
    """
    rates = [row["lr"] for row in map(json.loads, log.splitlines()) if "lr" in row]
    return float(rates[-1] / peak) if rates else 1.0


def card(
    trained: Mapping[str, Any],
    rate: float,
    config: Mapping[str, Any],
    figures: Mapping[str, Mapping[str, float]],
    people: str,
) -> str:
    """README.md out of card.md. What was not measured is said to be so."""
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        parameters=f"{trained['parameters']:,}",
        layers=config["num_hidden_layers"], hidden=config["hidden_size"], heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"], head_dim=config["head_dim"], vocab=f"{config['vocab_size']:,}",
        positions=f"{config['max_position_embeddings']:,}", tokens=f"{trained['tokens'] / 1e6:,.0f}",
        minutes=f"{trained['spent_s'] / 60:.1f}", steps=f"{trained['step']:,}", device=trained["device"],
        torch=trained["torch"], rate=f"{100 * rate:.1f}", figures=table(figures) if figures else NOT_MEASURED,
        people=textwrap.fill(people, LINE),
    )  # fmt: skip


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """The groups that the card shows. No precision of refusals where nothing or everything was to be refused: it could
    only be 0 or 1."""
    rows = [("tasks", "n", *COLUMNS.values()), ("---",) * (len(COLUMNS) + 2)]
    for group in (group for group in GROUPS if group in figures):
        found = dict(figures[group])
        if "refusal_recall" not in found or "f1" not in found:
            found.pop("refusal_precision", None)
        rows.append((group, f"{found['n']:,}", *(f"{found[key]:.2f}" if key in found else "–" for key in COLUMNS)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def adapter_card(manifest: Mapping[str, Any], config: Mapping[str, Any], base: Path, people: str) -> str:
    """README.md of the adapter, which names the base's weights where they lie beside it."""
    weights, wanted = base / "model.safetensors", config["target_modules"]
    modules = wanted if isinstance(wanted, str) else ", ".join(sorted(wanted))
    return Template(ADAPTER_CARD.read_text(encoding="utf-8")).substitute(
        base=f"`../base`, weights with SHA-256 `{digest(weights)}`" if weights.is_file() else "`../base`",
        rank=config["r"], alpha=f"{config['lora_alpha']:g}", modules=modules,
        steps=f"{manifest['step']:,}", recipe=manifest["recipe"], dataset=manifest["dataset_sha256"],
        pages=len(manifest["pages"]),
        versions=", ".join(f"{name} {version}" for name, version in manifest["versions"].items()),
        people=textwrap.fill(people, LINE),
    )  # fmt: skip


def sums(folder: Path) -> list[Path]:
    """The files of sums in ``folder`` and below it."""
    return sorted(folder.rglob(SUMS))


def differences(path: Path) -> list[str]:
    """What does not agree with a file of sums, in words."""
    wrong = []
    for line in path.read_text(encoding="utf-8").splitlines():
        wanted, name = line.split(maxsplit=1)
        file = path.parent / name.strip("*")
        if not file.is_file() or digest(file) != wanted:
            wrong.append(f"{file} is missing or not what it was")
    return wrong


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
