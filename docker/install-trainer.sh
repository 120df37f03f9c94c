#!/usr/bin/env bash
# Install DocDuet with ms-swift, Megatron and Transformer Engine. usage: install-trainer.sh PYTHON FOLDER [--dry-run]
# Run by trainer.Dockerfile from the repository's root. Transformer Engine's torch extension comes as source: it is compiled
# against the very torch that it runs with, which takes the CUDA compiler (nvcc) and 12 minutes on two cores.
# NVTE_CUDA_ARCHS: GPUs to compile for. With --dry-run it only resolves, and compiles nothing.
set -euo pipefail
python=$1 folder=$2
cd "$(dirname "$0")/.."
"$python" -m venv "$folder"
pip() { "$folder/bin/python" -m pip "$@"; }
install() { pip install --no-cache-dir --disable-pip-version-check -q -c constraints/train.txt "$@"; }

if [ "${3:-}" = --dry-run ]; then  # nothing will be there to compile with: ask for what comes as wheels
    install --dry-run . ms-swift mcore-bridge megatron-core transformer-engine transformer-engine-cu13
    exit
fi
command -v nvcc >/dev/null || { echo "Transformer Engine is compiled: put the CUDA 13.0 toolkit's nvcc on PATH" >&2; exit 1; }
install "setuptools<81" wheel ninja cmake pybind11 torch nvidia-cudnn-frontend  # what the build asks for
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
export CPATH="$site/nvidia/cudnn/include:$site/nvidia/nccl/include${CPATH:+:$CPATH}"
export NVTE_FRAMEWORK=pytorch NVTE_CUDA_ARCHS=${NVTE_CUDA_ARCHS:-90} MAX_JOBS=${MAX_JOBS:-$(nproc)}
install --no-build-isolation "transformer-engine[pytorch]"
install ".[train]"
"$folder/bin/python" -c 'import transformer_engine.pytorch'  # a mismatch shows here, not in the first training run
