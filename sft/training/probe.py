"""What is installed where training runs: asked of that environment's own Python, each heavy import in its own process.

An import that crashes or hangs is an answer too; nothing of it happens in the process of `docduet`.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "torch": "torch",
    "transformer-engine": "transformer_engine",
    "transformer-engine-torch": "transformer_engine_torch",
    "megatron-core": "megatron.core",
    "mcore-bridge": "mcore_bridge",
    "ms-swift": "swift",
    "flash-attn": "flash_attn",
    "apex": "apex",
}
"""Distribution -> module."""

_VERSIONS = """
import importlib.metadata, importlib.util, json, sys
found = {}
for name, module in json.loads(sys.argv[1]).items():
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        try:
            found[name] = "present" if importlib.util.find_spec(module) else None
        except (ImportError, ValueError):
            found[name] = None
spec = importlib.util.find_spec("swift")
places = list(spec.submodule_search_locations or ()) if spec else []
print(json.dumps({"packages": found, "swift": places[0] if places else None, "python": sys.version.split()[0]}))
"""

_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
nccl = torch.cuda.nccl.version() if cuda and hasattr(torch.cuda, "nccl") else None
print(json.dumps({
    "cuda": torch.version.cuda, "available": cuda, "devices": torch.cuda.device_count(),
    "cudnn": torch.backends.cudnn.version() if cuda else None, "nccl": ".".join(map(str, nccl)) if nccl else None,
}))
"""


@dataclass(frozen=True)
class Answer:
    """``value``: what was printed as JSON, None when it failed. ``error``: the last line it said."""

    value: dict[str, object] | None
    error: str = ""


def versions(python: str) -> Answer:
    """{"packages": {distribution: version | None}, "swift": its folder | None, "python": version}."""
    return _ask(python, _VERSIONS, json.dumps(PACKAGES))


def torch(python: str) -> Answer:
    return _ask(python, _TORCH)


def transformer_engine(python: str) -> Answer:
    """Import what mcore-bridge needs of it: this loads the compiled extension, cuDNN and the rest for real."""
    return _ask(python, "from transformer_engine.pytorch import Linear; print('{}')")


def _ask(python: str, code: str, *args: str) -> Answer:
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            [python, "-c", code, *args], capture_output=True, text=True, timeout=180, env=env, cwd=Path.home().anchor
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(None, str(error))
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return Answer(None, said[-1].strip()[:300] if said else f"exit code {done.returncode}")
    return Answer(json.loads(lines[-1]))
