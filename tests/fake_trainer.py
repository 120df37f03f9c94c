"""A trainer in ms-swift's place: a real process that takes its options and writes what ms-swift 4.6.0 writes.

python tests/fake_trainer.py [megatron] sft --output_dir OUT --steps 20 --save_steps 5 [--mode MODE] ...

Modes: ok, die (a traceback at step 7), oom (CUDA's words at step 3), missing (a package), hang (silent after step 4),
nan (from step 12), runaway (from step 12), half (the last checkpoint lacks its end, then killed), deaf (never saves
when asked). The loss of a step is the same however often training was interrupted, as with a real resume.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import struct
import sys
import time
from pathlib import Path


def loss_at(step: int, resumed: bool = True) -> float:
    """The curve. ``resumed``: whether the optimiser's state was there; without it the curve breaks."""
    return 2.5 * math.exp(-step / 30) + 0.1 + (0 if resumed else 1)


def write_safetensors(path: Path, bytes_: int = 64, cut: int = 0) -> None:
    """A real safetensors file with one tensor; ``cut`` bytes are left off its end."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [bytes_ // 4], "data_offsets": [0, bytes_]}}).encode()
    data = struct.pack("<Q", len(header)) + header + b"\0" * bytes_
    path.write_bytes(data[: len(data) - cut])


def save(version: Path, step: int, megatron: bool, half: bool = False, optimiser: bool = True) -> None:
    folder = version / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "args.json").write_text(json.dumps({"no_save_optim": not optimiser}))
    if megatron:
        iteration = folder / f"iter_{step:07d}"
        iteration.mkdir(exist_ok=True)
        if optimiser:
            (iteration / "__0_0.distcp").write_bytes(b"x" * 64)
            (iteration / ".metadata").write_bytes(b"x")
        (folder / "latest_checkpointed_iteration.txt").write_text(str(step))
    write_safetensors(folder / "model.safetensors", cut=16 if half else 0)
    if not megatron and not half:
        if optimiser:
            (folder / "optimizer.pt").write_bytes(b"x" * 64)
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))


def begin(args: argparse.Namespace) -> tuple[int, bool]:
    """The step to begin at, and whether the optimiser's state comes along."""
    given = args.resume_from_checkpoint or (args.mcore_model if args.finetune == "false" else "")
    if not given:
        return 0, True
    folder = Path(given)
    whole = (folder / "optimizer.pt").exists() or any(folder.glob("iter_*/.metadata"))
    return int(folder.name.split("-")[1]), whole


def processes_with(word: str) -> list[int]:
    """Ids of the processes that have ``word`` among their arguments, this one left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    for name in ("output_dir", "resume_from_checkpoint", "mcore_model", "finetune", "mode", "add_version"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--save_steps", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.01)
    parser.add_argument("--optimiser", default="true")
    args, _ = parser.parse_known_args()
    megatron = "megatron" in args.words
    if args.mode == "missing":
        sys.exit("ModuleNotFoundError: No module named 'transformer_engine.pytorch'")
    if args.mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = Path(args.output_dir)
    version = out / f"v{len(list(out.glob('v*-*')))}-20260101-000000"
    version.mkdir(parents=True)
    first, same = begin(args)
    started = time.time()
    print("Train:   0%|          |", end="\r", flush=True)
    for step in range(first + 1, args.steps + 1):
        train(args, version, step, first, same, started, megatron)
    with (version / "logging.jsonl").open("a") as log:
        log.write(json.dumps({"last_model_checkpoint": str(version / f"checkpoint-{args.steps}")}) + "\n")


def train(
    args: argparse.Namespace, version: Path, step: int, first: int, same: bool, started: float, megatron: bool
) -> None:
    time.sleep(args.pause)
    mode = args.mode
    asked = os.environ.get("DOCDUET_STOP_FILE", "")
    stop = bool(asked) and os.path.exists(asked) and mode != "deaf"
    loss = loss_at(step, same)
    if step >= 12 and mode in ("nan", "runaway"):
        loss = math.nan if mode == "nan" else 40.0
    counted = {"iteration" if megatron else "global_step/max_steps": f"{step}/{args.steps}"}
    speed = (time.time() - started) / (step - first)
    row = {"loss": loss, "grad_norm": 1.5, "learning_rate": 1e-5 * (1 - step / args.steps), **counted}
    row |= {"memory(GiB)": 12.5, "train_speed(s/it)": round(speed, 6)}
    with (version / "logging.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
        if step % 10 == 0:
            log.write(json.dumps({"eval_loss": loss + 0.05, **counted}) + "\n")
    if stop or step % args.save_steps == 0 or step == args.steps:
        save(version, step, megatron, half=mode == "half" and step == 10, optimiser=args.optimiser == "true")
    if stop:
        sys.exit(0)
    if mode == "die" and step == 7:
        with (version / "logging.jsonl").open("a") as log:
            log.write('{"loss": 1.')  # torn
        raise RuntimeError("the data loader died")
    if mode == "half" and step == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "oom" and step == 3:
        others = "Process 4711 has 60.00 GiB memory in use."
        sys.exit(f"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. {others}")
    if mode in ("hang", "deaf") and step == 4:
        time.sleep(600)


if __name__ == "__main__":
    main()
