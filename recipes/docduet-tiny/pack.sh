#!/usr/bin/env bash
# Pack what the GPU host needs into parts that travel one by one: pack.sh WORK OUT -> OUT/000/part.000, OUT/001/part.001 ...
# Takes WORK's tokenizer, shards and tasks, in this order: stage one can begin as soon as the shards are there. Tasks are
# many small xz streams, a slice each; packed anew in one they take a third less.
# PART: largest part (57M). There: run_on_gpu.sh unpack .../part.*
set -euo pipefail
work=$1 out=$2
rm -rf "$out" && mkdir -p "$out/stage/tasks"
for file in "$work"/tasks/*.xz; do
  xz -dc "$file" | xz -T0 -6 >"$out/stage/tasks/$(basename "$file")"
done
(cd "$out/stage/tasks" && sha256sum ./*.xz >SHA256SUMS)
tar -h -c --exclude='*.u16' -C "$work" tokenizer shards -C "$(realpath "$out")/stage" tasks | split -b "${PART:-57M}" -a 3 -d - "$out/part."
rm -rf "$out/stage"
for part in "$out"/part.*; do
  mkdir "$out/${part##*.}" && mv "$part" "$out/${part##*.}/"
done
du -sh "$out"/*
