#!/usr/bin/env bash
# All that needs a GPU with Megatron, in slices that end within nine minutes each:
#
#   benchmarks/on_gpu.sh large-1b | speed-long | loss | speed-short | large-8b | small-runs | small-adapter | small-export |
#     small-by-heart
#
# The 1B first: its checkpoints and the 8B's weights hardly fit on a disk of 64 GiB together.
# OUT: where results and logs go. WORK: model and runs. What is measured goes to benchmarks/LOG.md.
# Needed: ms-swift's environment (on PYTHONPATH or in python3 itself) and pytest; the 8B wants a GPU of 139 GiB.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-/tmp/docduet-gpu} WORK=${WORK:-/tmp/docduet-work}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} HF_HUB_OFFLINE=1 DOCDUET_TRAIN_PYTHON=${DOCDUET_TRAIN_PYTHON:-$(command -v python3)}
mkdir -p "$OUT" "$WORK"
limit=(timeout --kill-after=20 540)

speed() { # further options of the benchmark
  "${limit[@]}" python3 benchmarks/sft_throughput.py --make-model 8b --model "$WORK/qwen3-8b" --out "$WORK/speed" \
    --limit 170 "$@" | tee "$OUT/$slice.json"
}
tests() { # FILE EXPRESSION
  "${limit[@]}" python3 -m pytest "tests/$1" -x -s -k "$2" --basetemp "$WORK/pytest-$slice" 2>&1 | tee "$OUT/$slice.log"
}

slice=${1:-}
case $slice in
  speed-long) speed --only long:article long:bf16 long:fp8 ;;
  speed-short) speed --only short:article short:bf16 short:fp8 ;;
  loss) speed --loss 100 --limit 230 ;;
  large-1b) tests test_sft_training_megatron_large.py 1b ;;
  large-8b) tests test_sft_training_megatron_large.py 8b ;;
  small-runs) tests test_sft_training_megatron.py "loss or sigterm or kill" ;;
  small-adapter) tests test_sft_training_megatron.py adapter ;;
  small-export) tests test_sft_training_megatron.py "converted or equals" ;;
  small-by-heart) tests test_sft_training_megatron.py repeated ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
