#!/usr/bin/env bash
# Pack what the GPU host needs into parts that travel one by one: pack.sh WORK OUT -> OUT/000/part.000, OUT/001/part.001 ...
# Takes WORK's tokenizer, shards and tasks, in this order: stage one can begin as soon as the shards are there.
# PART: largest part (57M). There: run_on_gpu.sh unpack .../part.*
set -euo pipefail
work=$1 out=$2
rm -rf "$out" && mkdir -p "$out"
tar -C "$work" -h -c --exclude=slices --exclude='*.u16' tokenizer shards tasks | split -b "${PART:-57M}" -a 3 -d - "$out/part."
for part in "$out"/part.*; do
  mkdir "$out/${part##*.}" && mv "$part" "$out/${part##*.}/"
done
du -sh "$out"/*
