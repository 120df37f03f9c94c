#!/usr/bin/env bash
# Install vLLM (CUDA 13) and Ray into a new virtual environment. usage: install-engine.sh PYTHON FOLDER [ARGUMENT OF PIP ...]
# Run by engine.Dockerfile from the repository's root. With --dry-run it only resolves.
set -euo pipefail
python=$1 folder=$2
cd "$(dirname "$0")/.."
"$python" -m venv "$folder"
"$folder/bin/pip" install --no-cache-dir --disable-pip-version-check -q \
    -c constraints/gpu.txt "${@:3}" vllm==0.26.0 'ray[default]==2.60.0'
