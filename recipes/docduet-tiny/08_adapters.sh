#!/usr/bin/env bash
# What docduet-tiny learns of the handbook: the demonstration's adapter, and the mixtures side by side.
#
#   recipes/docduet-tiny/08_adapters.sh data [NAME...]    the handbook's pages -> a dataset of each mixture in WORK/sets
#   recipes/docduet-tiny/08_adapters.sh train [NAME...]   each NAME (all) on one GPU, at the same time -> WORK/adapters/NAME
#   recipes/docduet-tiny/08_adapters.sh pack              WORK/adapters in files that travel -> OUT
#   recipes/docduet-tiny/08_adapters.sh ask [NAME...]     the handbook's questions to all of them, one after the other in
#                                                         one engine, and a scorecard of it -> WORK/scorecard
#
# NAMEs: demo (rank 64, mixture.yaml and people's wordings, the recipe's epochs), and for the comparison the mixtures article-multi-round,
# article-short, article-whole-page and balanced as they come: rank 16, each the same number of steps (ITERS), so of the
# same tokens, and all answers of a conversation learned.
# BASE: the base's folder as 07_export.py writes it. WORK, OUT: as in run_on_gpu.sh. RECIPE, SET="key=value ...": another
# recipe, other settings: RECIPE=tiny-cpu SET="tuner_type=lora target_modules=all-linear" trains without a GPU.
# QUESTIONS: what is asked (handbook). PYTHON runs docduet, TRAIN_PYTHON ms-swift (the same). `data` and `ask` need no
# GPU, `train` no network.
set -euo pipefail
cd "$(dirname "$0")/../.."
WORK=${WORK:-/tmp/docduet-tiny} OUT=${OUT:-/tmp/docduet-tiny-out} here=recipes/docduet-tiny
BASE=${BASE:-data/samples/models/docduet-tiny/base}
PYTHON=${PYTHON:-python3} TRAIN_PYTHON=${TRAIN_PYTHON:-$PYTHON}
RECIPE=${RECIPE:-docduet-tiny} ITERS=${ITERS:-300} SET=${SET:-} PORT=${PORT:-7870} QUESTIONS=${QUESTIONS:-handbook}
MIXTURES="article-multi-round article-short article-whole-page balanced"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} HF_HUB_OFFLINE=1 DOCDUET_HOME=$WORK/home
mkdir -p "$WORK" "$OUT" "$WORK/logs"
docduet() { "$PYTHON" -m docduet "$@"; }
names() { if (($#)); then echo "$@"; else echo "demo $MIXTURES"; fi; }

build() { # NAME: of the demonstration's every page, in many wordings, so that what is learned is the fact and not its question
  local mixture=$1 own=()
  if [[ $1 == demo ]]; then
    "$PYTHON" $here/wordings.py "$WORK/wordings.jsonl"
    mixture=$here/mixture.yaml own=(--rewrites 4 --paraphrases 8 --val-share 0 --import "$WORK/wordings.jsonl")
  fi
  docduet sft build --out "$WORK/sets/$1" --mixture "$mixture" --tokenizer "$BASE" --max-length 2048 "${own[@]}"
}
train() { # NAME PORT
  local name=$1 own=() one
  if [[ $name != demo ]]; then own=(--set lora_rank=16 --set lora_alpha=32 --set loss_scale=default); fi
  if [[ $name != demo && $RECIPE == docduet-tiny ]]; then own+=(--set train_iters="$ITERS" --set save_strategy=steps); fi
  for one in $SET; do own+=(--set "$one"); done
  rm -rf "$WORK/runs/$name" "$WORK/exports/$name"
  MASTER_PORT=$2 docduet sft train --recipe "$RECIPE" --dataset "$WORK/sets/$name" --model "$BASE" --out "$WORK/runs/$name" \
    --python "$TRAIN_PYTHON" --allow-busy "${own[@]}"
  docduet sft export "$WORK/runs/$name" --out "$WORK/exports/$name"
  "$PYTHON" $here/07_export.py --adapter "$WORK/exports/$name" --out "$WORK/adapters/$name"
}
train_all() {
  local at=29600 name failed=0 pids=()
  for name in $(names "$@"); do
    at=$((at + 10))
    (set -e; train "$name" $at) >"$WORK/logs/$name.log" 2>&1 &
    pids+=($!:$name)
  done
  for name in "${pids[@]}"; do
    wait "${name%%:*}" || { failed=1; echo "== ${name#*:} failed" >&2; tail -n 30 "$WORK/logs/${name#*:}.log" >&2; }
  done
  return $failed
}
pack() {
  rm -rf "${OUT:?}"/*
  local folder
  for folder in "$WORK"/adapters/*/; do
    [[ -L ${folder%/} ]] || tar -C "$WORK/adapters" -cf "$OUT/$(basename "$folder").tar" "$(basename "$folder")"
  done
  tar -C "$WORK" -czf "$OUT/logs.tar.gz" logs $(cd "$WORK" && ls -d runs/*/v*/logging.jsonl 2>/dev/null)
  ls -l "$OUT"
}
publish() { # FOLDER, and wait until the gateway answers from it
  "$PYTHON" - "$1" "http://127.0.0.1:$PORT/v1/admin/voices" <<'PYTHON'
import json, sys, time, urllib.request
from pathlib import Path
from data.checkpoints import publish
from data.home import Home

folder = Path(sys.argv[1])
publish(Home.from_env(), folder)
for _ in range(600):
    time.sleep(1)
    try:
        checkpoint = json.load(urllib.request.urlopen(sys.argv[2], timeout=10))["checkpoint"] or {}
    except OSError:
        continue
    if checkpoint.get("name") == folder.name:
        sys.exit()
sys.exit(f"the gateway does not take {folder} in; see the log")
PYTHON
}
ask() {
  local name runs=()
  ln -sfn "$(realpath "$BASE")" "$WORK/adapters/base"
  cat >"$WORK/ask.toml" <<TOML
[serving]
port = $PORT

[[serving.engines]]
name = "base"
model = "$WORK/adapters/base"
lora = true
lora_rank = 64
TOML
  [[ -d $DOCDUET_HOME/index ]] || docduet sync data/handbook
  docduet --config "$WORK/ask.toml" serve --no-ui >"$WORK/logs/serve.log" 2>&1 &
  server=$!
  trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
  for name in $(names "$@"); do
    publish "$WORK/adapters/$name"
    docduet eval run --set "$QUESTIONS" --arms sft --label "$name" --gateway "http://127.0.0.1:$PORT" --concurrency 2
    runs+=("$name")
  done
  docduet eval scorecard "${runs[@]}" --out "$WORK/scorecard"
}

what=${1:-}; shift || true
case $what in
  data) docduet data sync data/handbook; for one in $(names "$@"); do build "$one"; done ;;
  train) train_all "$@" ;;
  pack) pack ;;
  ask) ask "$@" ;;
  *) sed -n '2,16p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
esac
