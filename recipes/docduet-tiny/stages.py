"""What 04_pretrain.py and 05_read.py share around the loop: options, the device, results that travel.

A stage's folder in --work holds state.pt (to go on from), log.jsonl and model/: the weights in bfloat16 in shards of
15 MB with training.json, which is all that leaves the GPU's machine, and enough to go on from with --init.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from model import Body, load, losses, make, parameters, save
from rows import Row, Rows, batch
from settings import Stage
from settings import load as load_settings
from trainer import Machine, Progress, Schedule, Trainer

from sft.training.flops import flops_per_token, peak_tflops
from sft.training.model import shape_of

STARTED = time.monotonic()
RESERVE_S = 15.0  # of --minutes, for the last checkpoint and the results


def options(doc: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = Path(os.environ.get("DOCDUET_HOME", Path.home() / ".docduet"))
    parser.add_argument("--work", type=Path, default=home / "tiny", help="where everything lies (DOCDUET_HOME/tiny)")
    parser.add_argument("--minutes", type=float, default=7.5, help="wall clock of this slice, starting included (7.5)")
    parser.add_argument("--finish", action="store_true", help="bring the schedule to its end within this slice")
    parser.add_argument("--steps", type=int, default=0, help="a schedule of so many steps instead of minutes")
    parser.add_argument("--init", type=Path, help="begin with this model's weights, and its place in the schedule")
    parser.add_argument("--preset", default="", help="of config.toml: smoke tries the whole road on a CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    return parser


def begin(args: argparse.Namespace, name: str) -> tuple[Stage, Any, Any, Path]:
    """The stage's numbers, the tokenizer, the model to start from, and the stage's folder."""
    from transformers import AutoTokenizer

    settings = load_settings(args.preset)
    torch.set_float32_matmul_precision("high")
    tokenizer = AutoTokenizer.from_pretrained(args.work / "tokenizer")
    model = load(args.init) if args.init else make(settings.model, tokenizer, settings.seed)
    folder = args.work / name
    folder.mkdir(parents=True, exist_ok=True)
    return getattr(settings, name), tokenizer, model.to(args.device), folder


def fingerprint(*parts: object) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def train(
    args: argparse.Namespace, name: str, stage: Stage, model: Any, rows: Rows, heldout: list[Row], data: str
) -> None:
    """One slice of a stage, from the checkpoint there is; writes the results."""
    folder: Path = args.work / name
    machine = prepare(model, stage, rows.take(0, stage.micro_rows), args.device)
    trainer = Trainer(model, stage, rows, heldout, folder, machine, data)
    if not trainer.resume() and args.init:
        trainer.progress = _where(args.init, name)
    deadline = STARTED + 60 * args.minutes - RESERVE_S
    total = 60 * stage.minutes
    if args.finish:
        total = trainer.progress.spent_s + max(1.0, deadline - time.monotonic())
    done = trainer.run(Schedule(total, args.steps, deadline))
    result = {
        "stage": name, "finished": done, "parameters": parameters(model), **asdict(trainer.progress),
        "heldout_loss": trainer.heldout_loss, "wall_s": round(time.monotonic() - STARTED, 1), "data": data,
        "attention": "flex" if machine.flex else "mask", "micro_rows": machine.micro_rows, "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
    }  # fmt: skip
    save(model, folder / "model")
    (folder / "model" / "training.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(json.dumps(result), flush=True)


def _where(folder: Path, name: str) -> Progress:
    """The place in the schedule of a model that this stage wrote; the beginning for any other."""
    try:
        said = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Progress()
    known = Progress.__dataclass_fields__
    return Progress(**{key: said[key] for key in known}) if said["stage"] == name else Progress()


def prepare(model: Any, stage: Stage, rows: list[Row], device: str) -> Machine:
    """The fastest way of computing a step that runs here and is right: each is tried on real rows, and its loss held
    against that of the plain one."""
    shape = shape_of(model.config.to_dict(), Path("config.toml"))
    costs = {"flops": flops_per_token(shape, stage.row_tokens / 3, adapter=False)}  # documents are shorter than rows
    plain = Machine(device, Body(model, flex=False).to(device), losses, False, 1, **costs)
    if device == "cpu":
        plain.micro_rows = stage.micro_rows
        return plain
    costs["peak"] = peak_tflops(torch.cuda.get_device_name()) * 1e12
    wanted = float(plain.loss(model, batch(rows[:1])).detach().mean())
    for flex in (True, False):
        micro = stage.micro_rows
        while micro >= 1:
            machine = Machine(
                device, torch.compile(Body(model, flex).to(device), dynamic=False), _head(), flex, micro, **costs
            )
            try:
                _tried(machine, model, rows, wanted)
                return machine
            except torch.OutOfMemoryError:
                micro //= 2
            except Exception as error:  # a compiler's: whatever it is, there is a slower way
                print(f"attention {'flex' if flex else 'mask'} does not run here: {error!r}"[:600], flush=True)
                break
            finally:
                model.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()
    print("nothing compiles here: the plain forward pass it is, one row at a time", flush=True)
    return Machine(device, plain.body, losses, False, 1, **costs)


def _head() -> Callable[..., torch.Tensor]:
    return torch.compile(losses, dynamic=True)


def _tried(machine: Machine, model: Any, rows: list[Row], wanted: float) -> None:
    loss = machine.loss(model, batch(rows[: machine.micro_rows]))
    loss.mean().backward()
    first = int(batch(rows[:1]).picked.size)
    got = float(loss.detach()[:first].mean())
    if abs(got - wanted) > 0.02:
        raise ValueError(f"its loss is {got:.4f}, the plain one's {wanted:.4f}")
