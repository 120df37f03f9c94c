#!/usr/bin/env bash
# Install DocDuet for a machine without a GPU into a new virtual environment. usage: install-gateway.sh PYTHON FOLDER [ARGUMENT OF PIP ...]
# Run by gateway.Dockerfile from the repository's root. pip's own settings (PIP_INDEX_URL, PIP_CONFIG_FILE ...) hold; name the
# index with PyTorch's CPU builds in PIP_EXTRA_INDEX_URL, or 3 GB of CUDA libraries come along.
set -euo pipefail
python=$1 folder=$2
cd "$(dirname "$0")/.."
"$python" -m venv "$folder"
"$folder/bin/pip" install --no-cache-dir --disable-pip-version-check -q \
    -c constraints/cpu.txt -c constraints/postgres.txt "${@:3}" ".[postgres]"
