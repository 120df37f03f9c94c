"""Put the trained model together as a Hugging Face folder that vLLM, transformers and ms-swift load.

python recipes/docduet-tiny/07_export.py --out data/samples/models/docduet-tiny/base --figures scores.json
python recipes/docduet-tiny/07_export.py --adapter EXPORT --out data/samples/models/docduet-tiny/adapter
python recipes/docduet-tiny/07_export.py --check data/samples/models/docduet-tiny

Takes --work/read/model (weights, training.json) and --work/tokenizer; writes one model.safetensors in bfloat16, the
tokenizer, generation_config.json (only the likeliest token), README.md (the model card) and SHA256SUMS over all of it.
--adapter takes what `docduet sft export` wrote, in bfloat16, and names the base beside it: both move together. --check
compares the sums of a folder and of the folders in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

CARD = Path(__file__).with_name("card.md")
SUMS = "SHA256SUMS"
BASE_BYTES = 42_000_000
"""The adapter, and the limit of 50 MB for both, leave so much."""


def main() -> None:
    home = Path(os.environ.get("DOCDUET_HOME", Path.home() / ".docduet"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=home / "tiny", help="where everything lies (DOCDUET_HOME/tiny)")
    parser.add_argument("--out", type=Path, help="the folder to write")
    parser.add_argument("--figures", type=Path, nargs="*", default=[], help="JSON of scores, for the card")
    parser.add_argument("--adapter", type=Path, help="bundle this exported adapter instead")
    parser.add_argument("--check", type=Path, help="compare the sums of a folder instead")
    args = parser.parse_args()
    if args.check:
        wrong = [problem for folder in sums(args.check) for problem in differences(folder)]
        sys.exit("\n".join(wrong) or 0)
    if not args.out:
        parser.error("name a folder with --out")
    if args.adapter:
        bundle(args.adapter, args.out)
        return
    export(args.work, args.out, {path.stem: json.loads(path.read_text()) for path in args.figures})
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(
        f"{args.out}: {size / 1e6:.1f} MB" + ("" if size < BASE_BYTES else ", which leaves too little for an adapter")
    )


def export(work: Path, out: Path, figures: Mapping[str, Any]) -> None:
    """Write the whole folder, or nothing."""
    part = out.with_name(f".{out.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    trained = json.loads((work / "read" / "model" / "training.json").read_text(encoding="utf-8"))
    _weights(work / "read" / "model", part)
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
    _write(part / "README.md", card(trained, config, figures))
    _seal(part, out)


def bundle(adapter: Path, out: Path) -> None:
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


def card(trained: Mapping[str, Any], config: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """README.md out of card.md. What was not measured is said to be so."""
    tables = "\n\n".join(f"### {name}\n\n{_table(values)}" for name, values in figures.items())
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        parameters=f"{trained['parameters']:,}",
        layers=config["num_hidden_layers"], hidden=config["hidden_size"], heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"], head_dim=config["head_dim"], vocab=f"{config['vocab_size']:,}",
        positions=f"{config['max_position_embeddings']:,}", tokens=f"{trained['tokens'] / 1e6:,.0f}",
        minutes=f"{trained['spent_s'] / 60:.1f}", steps=f"{trained['step']:,}", device=trained["device"],
        torch=trained["torch"], finished="yes" if trained["finished"] else "no: its schedule was cut short",
        figures=tables or "Not measured yet.",
    )  # fmt: skip


def _table(values: Any, name: str = "") -> str:
    rows = "\n".join(f"| {key} | {value} |" for key, value in _flat(values, name))
    return f"| measure | value |\n|---|---|\n{rows}"


def _flat(values: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        yield name, values
        return
    for key, value in values.items():
        yield from _flat(value, f"{name} {key}".strip())


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
