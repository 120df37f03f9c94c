#!/usr/bin/env bash
# Install vLLM (CUDA 13) and Ray into a new virtual environment. usage: install-engine.sh PYTHON FOLDER
# Run by engine.Dockerfile from the repository's root. pip's own settings hold: PIP_DRY_RUN=1 only resolves.
set -euo pipefail
python=$1 folder=$2
cd "$(dirname "$0")/.."
"$python" -m venv "$folder"
"$folder/bin/pip" install --no-cache-dir --disable-pip-version-check -q \
    -c constraints/gpu.txt vllm==0.26.0 'ray[default]==2.60.0'
