#!/usr/bin/env bash
# Train docduet-tiny on a bare GPU host, in slices that end within ten minutes each, one call after the other:
#
#   recipes/docduet-tiny/run_on_gpu.sh unpack PART...   join the packed parts (pack.sh) and unpack them into WORK
#   recipes/docduet-tiny/run_on_gpu.sh measure          one minute of pretraining in a folder of its own: how fast?
#   recipes/docduet-tiny/run_on_gpu.sh pretrain [N]     N minutes of stage one, from where it stopped (8)
#   recipes/docduet-tiny/run_on_gpu.sh read [N]         N minutes of stage two (8)
#   recipes/docduet-tiny/run_on_gpu.sh finish [N]       the last slice of stage two: the learning rate comes down to 0
#   recipes/docduet-tiny/run_on_gpu.sh score            held-out tasks answered and scored
#
# WORK: tokenizer/, shards/, tasks/ and what the stages write; on a fresh host a stage's results can be put back with
# `unpack` and are gone on from with INIT=FOLDER. OUT: at most 8 files of at most 16 MB that leave the host.
# Needs python3 with torch, transformers, numpy, tokenizers and safetensors. No network.
set -euo pipefail
cd "$(dirname "$0")/../.."
WORK=${WORK:-/tmp/docduet-tiny} OUT=${OUT:-/tmp/docduet-tiny-out} here=recipes/docduet-tiny
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR=$WORK/compiled
mkdir -p "$WORK" "$OUT"
more=(--work "$WORK" ${PRESET:+--preset "$PRESET"} ${DEVICE:+--device "$DEVICE"} ${INIT:+--init "$INIT"} ${STEPS:+--steps "$STEPS"})

results() { # STAGE: weights in shards, log and sums
  local model=$WORK/$1/model
  rm -f "$OUT"/*
  cp "$model"/*.safetensors "$OUT/"
  tar -C "$WORK/$1" -cJf "$OUT/$1.tar.xz" --exclude='*.safetensors' model log.jsonl
  (cd "$OUT" && sha256sum ./* >SHA256SUMS && ls -l)
}
stage() { # SCRIPT STAGE MINUTES [options]
  local script=$1 name=$2 minutes=$3; shift 3
  timeout --signal=TERM --kill-after=20 $((${minutes%.*} * 60 + 45)) python3 $here/$script --minutes "$minutes" "${more[@]}" "$@" | tail -n 60
  results "$name"
}

what=${1:-}; shift || true
case $what in
  unpack) cat "$@" | tar -C "$WORK" -x && ls -R "$WORK" | head -60 ;;
  measure)
    mkdir -p "$WORK/measure" && ln -sfn "$WORK/tokenizer" "$WORK/measure/tokenizer" && ln -sfn "$WORK/shards" "$WORK/measure/shards"
    python3 $here/04_pretrain.py --work "$WORK/measure" --minutes "${1:-2}" | tail -n 20 ;;
  pretrain) stage 04_pretrain.py pretrain "${1:-8}" ;;
  read) stage 05_read.py read "${1:-8}" ;;
  finish) stage 05_read.py read "${1:-8}" --finish ;;
  score)
    rm -f "$OUT"/*
    python3 $here/06_score.py --work "$WORK" --out "$WORK/answers.jsonl" --minutes "${1:-4}" ${DEVICE:+--device "$DEVICE"}
    tar -C "$WORK" -cJf "$OUT/answers.tar.xz" asked.jsonl answers.jsonl
    python3 $here/score_tasks.py --tasks "$WORK/asked.jsonl" --answers "$WORK/answers.jsonl" | tee "$OUT/scores.txt"
    python3 $here/sure.py "$WORK/asked.jsonl" "$WORK/answers.jsonl" | tee "$OUT/sure.txt" ;;
  *) sed -n '2,14p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
esac
