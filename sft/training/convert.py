"""Between Hugging Face's and Megatron's formats, by ms-swift where it is installed, with its own precision test.

Only needed by those who keep Megatron checkpoints: `megatron sft` writes safetensors beside them anyway. The commands
are made here without anything of Megatron; `megatron export` runs them, in the environment that trained. The test
compares the logits of both models on a sample and prints their differences; ms-swift's own bound is 0.1.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.errors import CheckpointError
from sft.training.explain import explain, tail
from sft.training.folder import option, trains_adapter
from sft.training.recipe import PLUGINS

BOUND = 0.1
"""ms-swift: "Please check that mean_diff (with loss) is less than 0.1" (swift/megatron/utils/convert_utils.py)."""


def exporter(argv: Sequence[str], megatron: bool = True) -> tuple[str, ...]:
    """The words before the options of `megatron export` (or `swift export`), as the run's own command was started."""
    words = list(argv[: argv.index("sft")]) if "sft" in argv else ["megatron"]
    swift, own = "swift.cli.main", "swift.cli._megatron.main"
    other = {swift: own} if megatron else {own: swift}
    words = [other.get(word, word) for word in words]
    name = Path(words[0]).name
    if name in ("megatron", "swift"):
        words[0] = str(Path(words[0]).with_name("megatron" if megatron else "swift"))
    return (*words, "export")


def to_mcore(argv: Sequence[str], model: Path, out: Path) -> tuple[str, ...]:
    """A Hugging Face folder into Megatron's format. ``argv``: the run's command."""
    return (*exporter(argv), "--model", str(model), "--to_mcore", "true", "--output_dir", str(out), *_common(argv))


def to_hf(argv: Sequence[str], checkpoint: Path, base: str, out: Path) -> tuple[str, ...]:
    """A run's Megatron checkpoint into a Hugging Face folder; an adapter is merged into ``base``."""
    load = "--mcore_adapter" if trains_adapter(argv, "megatron") else "--mcore_model"
    return (
        *exporter(argv),
        *("--model", base),
        *(load, str(checkpoint)),
        *("--to_hf", "true", "--output_dir", str(out)),
        *_common(argv),
    )


def merge(argv: Sequence[str], adapter: Path, base: str, out: Path) -> tuple[str, ...]:
    """An adapter into its base, by `swift export`: for where peft is only installed in the training environment."""
    return (
        *exporter(argv, megatron=False),
        *("--model", base, "--adapters", str(adapter), "--merge_lora", "true", "--output_dir", str(out)),
        *_types(argv, ("model_type", "template")),  # `swift export` knows no check_model, `megatron export` does
    )


def _common(argv: Sequence[str]) -> tuple[str, ...]:
    dtype = option(argv, "torch_dtype", "bfloat16")
    parallel = [
        word
        for name in ("tensor_model_parallel_size", "pipeline_model_parallel_size")
        if (value := option(argv, name))
        for word in (f"--{name}", value)
    ]
    plugin = ("--external_plugins", str(PLUGINS / "rope_of_transformers.py"))
    return ("--torch_dtype", dtype, "--test_convert_precision", "true", *plugin, *parallel, *_types(argv))


def _types(argv: Sequence[str], given: Sequence[str] = ("model_type", "template", "check_model")) -> tuple[str, ...]:
    return tuple(word for name in given if (value := option(argv, name)) for word in (f"--{name}", value))


def convert(argv: Sequence[str], env: Mapping[str, str], log: Path) -> float | None:
    """Run a conversion; gives the mean difference of the logits, None where none was tested.

    Raises CheckpointError, also when the difference is over BOUND.
    """
    with log.open("wb") as sink:
        try:
            done = subprocess.run(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONSAFEPATH": "1", **env},
            )
        except OSError as error:
            raise CheckpointError(
                f"{argv[0]} could not be started ({error}): conversion runs where Megatron is installed; the command "
                f"is: {' '.join(argv)}"
            ) from None
    text = tail(log)
    if done.returncode:
        raise CheckpointError(f"the conversion failed: {explain(text, argv, '')} (see {log})")
    difference = precision(text)
    if difference is not None and not difference <= BOUND:
        raise CheckpointError(f"the converted model differs: mean {difference:g}, more than {BOUND:g} (see {log})")
    return difference


def precision(text: str) -> float | None:
    """The mean difference that ms-swift's precision test printed; NaN for one that is no number."""
    found = re.findall(r"mean_diff(?: \(with loss\))?: ([-+.\w]+)", text)
    if not found:
        return None
    try:
        return float(found[-1])
    except ValueError:
        return math.nan
