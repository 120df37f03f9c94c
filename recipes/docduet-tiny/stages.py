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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from feed import Micro, micro
from model import Body, load, losses, make, parameters, save
from rows import Row, Rows
from settings import Stage, changed
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
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another number of this stage")
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
    return changed(getattr(settings, name), args.set), tokenizer, model.to(args.device), folder


def fingerprint(*parts: object) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def train(
    args: argparse.Namespace, name: str, stage: Stage, model: Any, rows: Rows, heldout: list[Row], data: str
) -> None:
    """One slice of a stage, from the checkpoint there is; writes the results, also of a slice that breaks off."""
    machine = prepare(model, stage, rows.take(0, stage.micro_rows), args.device)
    trainer = Trainer(model, stage, rows, heldout, args.work / name, machine, data)
    if not trainer.resume() and args.init:
        trainer.progress = _where(args.init, name)
    deadline = STARTED + 60 * args.minutes - RESERVE_S
    try:
        done = trainer.run(Schedule(60 * stage.minutes, args.steps, deadline, args.finish))
    except Exception:  # out of memory, a compiler, a number that is none: what was saved must leave the machine
        _rescue(trainer, name)
        raise
    _results(trainer, name, model, done)


def _results(trainer: Trainer, name: str, model: Any, done: bool) -> None:
    """model/ with training.json; the same on stdout."""
    machine, folder = trainer.machine, trainer.folder / "model"
    result = {
        "stage": name, "finished": done, "parameters": parameters(model), **asdict(trainer.progress),
        "heldout_loss": trainer.heldout_loss, "wall_s": round(time.monotonic() - STARTED, 1), "data": trainer.data,
        "attention": "flex" if machine.flex else "mask", "micro_rows": machine.micro_rows, "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if machine.device == "cuda" else "cpu",
    }  # fmt: skip
    save(model, folder)
    (folder / "training.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(json.dumps(result), flush=True)


def _rescue(trainer: Trainer, name: str) -> None:
    """The results as of state.pt, put together on the CPU: the device may be past use."""
    path = trainer.folder / "state.pt"
    if not path.exists():
        return
    state = torch.load(path, map_location="cpu", weights_only=True)
    spare = type(trainer.model)(trainer.model.config)
    spare.load_state_dict(state["model"])
    trainer.progress = Progress(**state["progress"])
    _results(trainer, name, spare, False)


def _where(folder: Path, name: str) -> Progress:
    """The place in the schedule of a model that this stage wrote; the beginning for any other."""
    try:
        said = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Progress()
    known = Progress.__dataclass_fields__
    return Progress(**{key: said[key] for key in known}) if said["stage"] == name else Progress()


TRIES: tuple[dict[str, Any], ...] = (
    {"flex": True, "compiled": {"dynamic": False}},
    {"flex": False, "compiled": {"dynamic": False}},
    {"flex": False, "compiled": None},
)
"""Attention by flex attention or with a dense mask, layers compiled or not: the fastest first."""
ALIKE = 0.99  # least cosine of the whole gradient with the plain one's


def prepare(model: Any, stage: Stage, rows: list[Row], device: str) -> Machine:
    """The fastest way of computing a step that runs here and is right: each is tried on real rows, and its losses and
    gradients are held against those of the plain one, row by row."""
    shape = shape_of(model.config.to_dict(), Path("config.toml"))
    costs = {"flops": flops_per_token(shape, stage.row_tokens / 3, adapter=False)}  # documents are shorter than rows
    plain = Machine(device, Body(model, flex=False).to(device), losses, False, 1, **costs)
    if device == "cpu":
        plain.micro_rows = stage.micro_rows
        return plain
    costs["peak"] = peak_tflops(torch.cuda.get_device_name()) * 1e12
    for way in TRIES:
        rest = stage.micro_rows
        while rest >= 1:
            head = torch.compile(losses, dynamic=True) if way["compiled"] else losses
            machine = Machine(device, Body(model, **way).to(device), head, way["flex"], rest, **costs)
            try:
                said = tried(machine, plain, model, rows[:rest])
                print(json.dumps({"attention": way, "micro_rows": rest} | said), flush=True)
                return machine
            except torch.OutOfMemoryError:
                print(f"{rest} rows at once are too many for {way}", flush=True)
                rest //= 2
            except Exception as error:  # a compiler's: whatever it is, there is a slower way
                print(f"\n*** SLOWER: {way} does not run here: {error!r}"[:1500] + " ***\n", flush=True)
                break
            finally:
                model.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()
    print("*** SLOWER: the plain forward pass it is, one row at a time ***", flush=True)
    return plain


def tried(machine: Machine, plain: Machine, model: Any, rows: list[Row]) -> dict[str, float]:
    """Seconds of the first pass (which compiles) and of the second one. Raises ValueError where it computes otherwise
    than the plain one."""
    wanted, grads = _passed(plain, model, [[row] for row in rows])
    first = time.monotonic()
    got, _ = _passed(machine, model, [rows])
    second = time.monotonic()
    _, found = _passed(machine, model, [rows[::-1]])  # other documents in the same shape: not to be compiled again
    done = time.monotonic()
    cosine = float(torch.nn.functional.cosine_similarity(grads, found, dim=0))
    if abs(got - wanted) > 0.02 or not cosine > ALIKE:
        raise ValueError(f"its loss is {got:.4f}, the plain one's {wanted:.4f}; cosine of the gradients {cosine:.4f}")
    return {"first_s": round(second - first, 2), "again_s": round(done - second, 3), "cosine": round(cosine, 5)}


def _passed(machine: Machine, model: Any, parts: list[list[Row]]) -> tuple[float, torch.Tensor]:
    """Mean loss over all parts' tokens, and its gradient as one vector."""
    model.zero_grad(set_to_none=True)
    made: list[Micro] = [micro(part).to(machine.device) for part in parts]
    count, total = sum(part.answers + part.texts for part in made), 0.0
    for part in made:
        loss = machine.loss(model, part).sum() / count
        loss.backward()
        total += float(loss.detach())
    return total, torch.cat([weight.grad.float().flatten() for weight in model.parameters()])
