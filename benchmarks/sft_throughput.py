"""How fast is fine-tuning: the article's recipe, ours in bf16 and in fp8, on the same data; and does fp8 learn alike?

    export PYTHONPATH=$PWD:$PYTHONPATH
    python3 benchmarks/sft_throughput.py --make-model 8b --model /tmp/qwen3-8b --out /tmp/speed
    python3 benchmarks/sft_throughput.py --model /tmp/qwen3-8b --out /tmp/speed --loss 100

Needs ms-swift's environment with Megatron, one GPU (the recipes are for 141 GB), and of DocDuet's own packages only
pydantic and PyYAML; `--python` names another interpreter to train with. What is started is what `docduet sft train`
starts (sft.training.launch); it is ended, without a checkpoint, when enough steps are in logging.jsonl. A line is
printed for each measurement as it comes, JSON on stdout at the end. OUT/results.json keeps them: a second call, after
a time limit, goes on with what is missing (`--again` measures anew, `--only long:fp8` chooses). About two minutes
each for the 8B shape.

Useful tokens are those of the samples, padding left out; samples keep the file's order, so it is known which of them a
step took. The first steps are left out, in which kernels are compiled. TFLOP/s count what the model needs (model.py),
nothing that is computed twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.random_qwen3 import SHAPES, conversations, long, make, short
from data.errors import ConfigError, DocDuetError
from sft.tokens import load_counter
from sft.training.cluster import Cluster
from sft.training.dataset import measure, open_dataset
from sft.training.explain import explain, tail
from sft.training.folder import RunInfo, sha256, versions
from sft.training.launch import Launch, launch
from sft.training.processes import end
from sft.training.recipe import load_recipe
from sft.training.records import Reader, Step
from sft.training.run import describe

UNSHUFFLED = ("dataset_shuffle=false", "train_dataloader_shuffle=false")
MANY = ("no_save_optim=true", "num_train_epochs=30")
"""So many that the steps, rounded down, give the share of an epoch that each one takes within 0.2 %."""
SMALL_STATES = (
    "use_precision_aware_optimizer=true", "main_grads_dtype=bf16", "exp_avg_dtype=bf16", "exp_avg_sq_dtype=bf16",
)  # fmt: skip
ONE_SEQUENCE = ("global_batch_size=1", "micro_batch_size=1")
DATA = {"long": (long, 1024), "short": (short, 8192)}
"""Name -> lengths, samples."""
POLITE_S = 20.0


@dataclass(frozen=True)
class Variant:
    """``steps``: how many are measured, after ``skip``; ``short_steps`` of the short mix, where they are quick and
    differ more. ``settings`` as `docduet sft train --set` takes them."""

    name: str
    recipe: str
    settings: tuple[str, ...] = ()
    steps: int = 6
    short_steps: int = 6
    skip: int = 2


ARTICLE = Variant("article", "qwen3-8b-article-2gpu", ("tensor_model_parallel_size=1", *SMALL_STATES), 12, 48)
"""On one GPU, and with small optimizer states, or it would not fit; batch, lengths, recomputing: the article's."""
VARIANTS = (ARTICLE, Variant("bf16", "qwen3-8b-1gpu"), Variant("fp8", "qwen3-8b-fp8"))


@dataclass(frozen=True)
class Speed:
    """``tokens``: useful ones of the measured steps. ``gib``: most of the GPU's memory that was reserved."""

    variant: str
    data: str
    steps: int
    seconds: float
    tokens: float
    tokens_per_s: float
    tflops: float
    gib: float

    def line(self) -> str:
        speed = f"{self.tokens_per_s:,.0f} useful tokens/s, {self.tflops:.0f} TFLOP/s"
        return f"{self.data} {self.variant}: {speed}, {self.gib:.1f} GiB, {self.seconds / self.steps:.2f} s a step"


def speed(variant: Variant, data: str, steps: Sequence[Step], lengths: Sequence[int], info: RunInfo) -> Speed:
    """Out of the logged ``steps``. ``lengths``: tokens of the samples as they are taken. Raises ConfigError.

    Packed: every step takes its share of all tokens (packs are filled alike). Unpacked: the samples that it took.
    """
    kept = list(steps)[variant.skip :]
    seconds = sum(step.seconds for step in kept)
    if len(kept) < max(2, variant.steps / 2) or not seconds > 0:
        raise ConfigError(f"only {len(steps)} steps were logged in time, the first {variant.skip} are left out")
    if info.max_length and _packed(info):
        tokens = info.tokens * info.epochs / kept[-1].total * len(kept)
    else:
        batch = info.samples_per_step
        first, last = kept[0].step - 1, kept[-1].step
        tokens = sum(lengths[number % len(lengths)] for number in range(first * batch, last * batch))
    rate = tokens / seconds
    memory = max(step.memory_gib for step in kept)
    flops = rate * info.flops_per_token / 1e12
    return Speed(variant.name, data, len(kept), round(seconds, 2), round(tokens), round(rate), round(flops, 1), memory)


def _packed(info: RunInfo) -> bool:
    """tokens_per_step is the sequences' own size where they are packed, the samples' mean where not."""
    return info.tokens_per_step == info.samples_per_step * info.max_length


def loss_difference(bf16: Sequence[Step], fp8: Sequence[Step], last: int = 20) -> dict[str, float]:
    """Of the last steps that both have: mean losses, and how far fp8's lies from bf16's, in percent of it."""
    pairs = [(a.loss, b.loss) for a, b in zip(bf16, fp8, strict=False)][-last:]
    if not pairs:
        raise ConfigError("no step was logged by both")
    mean_bf16, mean_fp8 = (sum(pair[side] for pair in pairs) / len(pairs) for side in (0, 1))
    apart = sum(abs(a - b) for a, b in pairs) / len(pairs)
    return {
        "steps": min(len(bf16), len(fp8)),
        "last": len(pairs),
        "bf16": round(mean_bf16, 5),
        "fp8": round(mean_fp8, 5),
        "difference_percent": round(100 * (mean_fp8 - mean_bf16) / mean_bf16, 3),
        "mean_step_difference_percent": round(100 * apart / mean_bf16, 3),
    }


@dataclass(frozen=True)
class Bench:
    """Starts trainers one after the other. ``limit_s``: for each, start and loading of the model included."""

    model: Path
    out: Path
    python: str
    limit_s: float
    say: Callable[[str], Any]

    def dataset(self, name: str, samples: int = 0) -> Path:
        """Made once, the same each time."""
        lengths, count = DATA[name]
        path = self.out / f"{name}.jsonl"
        if not path.is_file():
            conversations(path, lengths(samples or count), load_counter(self.model))
        return path

    def run(self, variant: Variant, dataset: Path, settings: Sequence[str]) -> tuple[list[Step], RunInfo]:
        """The steps that were logged until there were enough. Raises DocDuetError saying why there are none."""
        recipe = load_recipe(variant.recipe, [*variant.settings, *UNSHUFFLED, *settings])
        folder = self.out / f"{dataset.stem}-{variant.name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        data = open_dataset(dataset)
        ready = launch(
            recipe, data, Cluster(1, 1), model=self.model, folder=folder, python=self.python, environ=os.environ
        )
        info = describe(ready, folder, dataset, sha256(dataset), recipe.name)
        steps = self._until(ready, folder, variant.skip + variant.steps, recipe.name)
        for checkpoint in folder.glob("v*/checkpoint-*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
        return steps, info

    def _until(self, ready: Launch, folder: Path, enough: int, recipe: str) -> list[Step]:
        log = folder / "train.log"
        with log.open("wb") as sink:
            trainer = subprocess.Popen(
                ready.argv,
                env={**os.environ, **ready.env},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
            try:
                steps = self._watch(trainer, folder, enough)
            finally:
                ended = trainer.poll()
                end(trainer, ready.env, POLITE_S)
        if len(steps) < enough and ended:
            raise ConfigError(f"{explain(tail(log), ready.argv, recipe)} (see {log})")
        return steps

    def _watch(self, trainer: subprocess.Popen[bytes], folder: Path, enough: int) -> list[Step]:
        """What is logged by ``enough`` steps, by the trainer's end, or by the limit."""
        limit = time.monotonic() + self.limit_s
        while True:
            over = trainer.poll() is not None or time.monotonic() > limit
            steps = logged(folder)
            if over or len(steps) >= enough:
                return steps[:enough]
            time.sleep(0.2)


def logged(folder: Path) -> list[Step]:
    """The steps in ms-swift's newest log below ``folder``; a last line without its end is left out."""
    found = versions(folder)
    path = found[-1] / "logging.jsonl" if found else folder / "nothing"
    if not path.is_file():
        return []
    reader = Reader()
    records = [reader.read(line) for line in path.read_text("utf-8", "replace").split("\n")[:-1]]
    return [record for record in records if isinstance(record, Step)]


def measure_speeds(bench: Bench, results: dict[str, Any], only: Sequence[str], again: bool, samples: int = 0) -> None:
    """Fill ``results["speed"]``; one that fails leaves its reason there and the others go on."""
    done = results.setdefault("speed", {})
    for name in DATA:
        for variant in VARIANTS:
            key = f"{name}:{variant.name}"
            if (only and key not in only) or ("tokens_per_s" in done.get(key, {}) and not again):
                continue
            wanted = replace(variant, steps=variant.short_steps) if name == "short" else variant
            try:
                dataset = bench.dataset(name, samples)
                steps, info = bench.run(wanted, dataset, MANY)
                lengths = measure(open_dataset(dataset), load_counter(bench.model), info.max_length).tokens
                found = speed(wanted, name, steps, lengths, info)
                done[key] = asdict(found)
                bench.say(found.line())
            except (DocDuetError, OSError) as error:
                done[key] = {"failed": str(error)}
                bench.say(f"{key}: failed: {error}")
            keep(bench.out, results)


def measure_loss(bench: Bench, results: dict[str, Any], steps: int, samples: int = 0) -> None:
    """bf16 and fp8 side by side: one packed sequence a step, the same ones in the same order."""
    curves: dict[str, list[Step]] = {}
    try:
        for variant in VARIANTS[1:]:
            settings = (*ONE_SEQUENCE, "no_save_optim=true", f"train_iters={2 * steps}")  # ended before it would save
            wanted = replace(variant, name=f"loss-{variant.name}", steps=steps, skip=0)
            curves[variant.name], _ = bench.run(wanted, bench.dataset("long", samples), settings)
            bench.say(f"{variant.name}: {len(curves[variant.name])} steps, loss {curves[variant.name][-1].loss:.4f}")
        results["loss"] = loss_difference(curves["bf16"], curves["fp8"])
        results["loss"]["curves"] = {name: [step.loss for step in curve] for name, curve in curves.items()}
        shown = {name: value for name, value in results["loss"].items() if name != "curves"}
        bench.say(f"loss: {json.dumps(shown)}")
    except (DocDuetError, OSError, IndexError) as error:
        results["loss"] = {"failed": str(error) or "no step was logged in time"}
        bench.say(f"loss: failed: {results['loss']['failed']}")
    keep(bench.out, results)


def keep(out: Path, results: dict[str, Any]) -> None:
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def ratios(results: dict[str, Any]) -> dict[str, float]:
    """How many times the article's speed ours reaches, where both are known."""
    rates = {key: one["tokens_per_s"] for key, one in results.get("speed", {}).items() if "tokens_per_s" in one}
    return {
        key: round(rate / rates[f"{key.split(':')[0]}:article"], 2)
        for key, rate in rates.items()
        if not key.endswith(":article") and rates.get(f"{key.split(':')[0]}:article")
    }


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    parser.add_argument("--make-model", choices=tuple(SHAPES), help="make it first, with random weights, if not there")
    parser.add_argument(
        "--out", type=Path, default=Path("/tmp/docduet-speed"), help="folder for data, logs and results"
    )
    parser.add_argument("--python", default=sys.executable, help="the interpreter that ms-swift is installed for")
    parser.add_argument("--only", nargs="+", default=[], metavar="DATA:VARIANT", help="such as long:fp8 short:article")
    parser.add_argument("--loss", type=int, default=0, metavar="STEPS", help="compare losses instead of speeds")
    parser.add_argument("--limit", type=float, default=240, metavar="SECONDS", help="for each measurement")
    parser.add_argument("--samples", type=int, default=0, help="of each dataset; default: enough for the 8B shape")
    parser.add_argument("--again", action="store_true", help="also measure what OUT/results.json has")
    given = parser.parse_args(words)
    known = [f"{name}:{variant.name}" for name in DATA for variant in VARIANTS]
    if wrong := set(given.only) - set(known):
        parser.error(f"--only {' '.join(sorted(wrong))}: there are {', '.join(known)}")
    if given.make_model and not (given.model / "config.json").is_file():
        make(given.model, given.make_model)
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "results.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    bench = Bench(given.model.absolute(), given.out.absolute(), given.python, given.limit, say)
    if given.loss:
        measure_loss(bench, results, given.loss, given.samples)
    else:
        measure_speeds(bench, results, given.only, given.again, given.samples)
    results["times_the_article"] = ratios(results)
    keep(given.out, results)
    print(json.dumps(results, indent=1))
    failed = [one for one in (*results.get("speed", {}).values(), results.get("loss", {})) if "failed" in one]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
