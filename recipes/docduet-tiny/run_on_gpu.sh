#!/usr/bin/env bash
# Train docduet-tiny on a bare GPU host, in slices that end within ten minutes each, one call after the other:
#
#   recipes/docduet-tiny/run_on_gpu.sh unpack PART...   join the packed parts (pack.sh) that came so far and unpack them into WORK
#   recipes/docduet-tiny/run_on_gpu.sh measure [S]      pretraining in S seconds (60) by either optimizer; the better one is kept
#   recipes/docduet-tiny/run_on_gpu.sh tokens           tasks into tokens on the CPU: beside `pretrain`, with & and wait
#   recipes/docduet-tiny/run_on_gpu.sh pretrain [N]     N minutes of stage one, from where it stopped (8)
#   recipes/docduet-tiny/run_on_gpu.sh read [N]         N minutes of stage two (8)
#   recipes/docduet-tiny/run_on_gpu.sh people [N]       N minutes of stage three, people's questions among the tasks (8); its last
#                                                       slice, which may be the only one, is `finish N people`
#   recipes/docduet-tiny/run_on_gpu.sh finish [N] [people]  the last slice of stage two or three: the learning rate comes down to 0
#   recipes/docduet-tiny/run_on_gpu.sh score [N]        held-out tasks answered and scored, in N minutes at most (4)
#
# WORK: tokenizer/, shards/, tasks/ and what the stages write. OUT: at most 8 files of at most 16 MB that leave the host; a
# slice that broke off leaves what it had saved. On a fresh host, INIT=FOLDER goes on from what left: STAGE.tar.gz's model/
# with the *.safetensors beside it in that folder. SET="key=value ...": other numbers than config.toml's.
# Needs python3 with torch, transformers, numpy, tokenizers and safetensors. No network.
set -euo pipefail
cd "$(dirname "$0")/../.."
WORK=${WORK:-/tmp/docduet-tiny} OUT=${OUT:-/tmp/docduet-tiny-out} here=recipes/docduet-tiny
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR=$WORK/compiled
mkdir -p "$WORK" "$OUT"
more=(--work "$WORK" ${PRESET:+--preset "$PRESET"} ${DEVICE:+--device "$DEVICE"} ${INIT:+--init "$INIT"} ${STEPS:+--steps "$STEPS"})
for one in $(cat "$WORK/measured" 2>/dev/null) ${SET:-}; do more+=(--set "$one"); done

results() { # STAGE: weights in shards, log and sums
  local model=$WORK/$1/model
  rm -f "$OUT"/*
  [ -d "$model" ] || { cp "$WORK/$1/log.jsonl" "$OUT/" 2>/dev/null || true; return 0; }
  cp "$model"/*.safetensors "$OUT/"
  tar -C "$WORK/$1" -czf "$OUT/$1.tar.gz" --exclude='*.safetensors' model log.jsonl
  (cd "$OUT" && sha256sum ./* >SHA256SUMS && ls -l)
}
stage() { # SCRIPT STAGE MINUTES [options]
  local script=$1 name=$2 minutes=$3 ended=0; shift 3
  timeout --signal=TERM --kill-after=20 $((${minutes%.*} * 60 + 75)) \
    python3 $here/$script --minutes "$minutes" "${more[@]}" "$@" || ended=$?
  results "$name"
  return $ended
}
tried() { # OPTIMIZER SECONDS: a whole schedule in a folder of its own; the last line is the result
  local folder=$WORK/measure-$1
  mkdir -p "$folder" && ln -sfn "$WORK/tokenizer" "$folder/tokenizer" && ln -sfn "$WORK/shards" "$folder/shards"
  python3 $here/04_pretrain.py "${more[@]}" --work "$folder" --minutes 4 \
    --set minutes="$(python3 -c "print($2 / 60)")" --set optimizer="$1" --set log_every=50 | tee "$folder/said"
}
better() { # the optimizer whose held-out loss is lower
  python3 - "$WORK" adamw muon <<'PYTHON'
import json, sys
from pathlib import Path
losses = {name: json.loads((Path(sys.argv[1]) / f"measure-{name}/said").read_text().splitlines()[-1])["heldout_loss"] for name in sys.argv[2:]}
print(losses, file=sys.stderr)
print(f"optimizer={min(losses, key=losses.get)}")
PYTHON
}

what=${1:-}; shift || true
case $what in
  unpack)
    mkdir -p "$WORK/parts" && cp "$@" "$WORK/parts/"
    if cat "$WORK"/parts/part.* | tar -C "$WORK" -x; then
      (cd "$WORK/tasks" && sha256sum --check --quiet SHA256SUMS)
    else
      echo "more parts are to come: all but the last file here is whole"
    fi
    du -sh "$WORK"/* ;;
  measure)
    rm -f "$WORK/measured"
    if tried adamw "${1:-60}" && tried muon "${1:-60}"; then better >"$WORK/measured"; cat "$WORK/measured"; fi ;;
  tokens) nice python3 $here/05_read.py "${more[@]}" --prepare ;;
  pretrain) stage 04_pretrain.py pretrain "${1:-8}" ;;
  read) stage 05_read.py read "${1:-8}" ;;
  people) stage 05_read.py people "${1:-8}" --people ;;
  finish) stage 05_read.py "${2:-read}" "${1:-8}" --finish $([[ ${2:-} == people ]] && echo --people) ;;
  score)
    python3 $here/06_score.py --work "$WORK" --out "$WORK/answers.jsonl" --minutes "${1:-4}" ${DEVICE:+--device "$DEVICE"}
    tar -C "$WORK" -czf "$OUT/answers.tar.gz" asked.jsonl answers.jsonl
    python3 $here/score_tasks.py --tasks "$WORK/asked.jsonl" --answers "$WORK/answers.jsonl" | tee "$OUT/scores.txt"
    python3 $here/sure.py "$WORK/asked.jsonl" "$WORK/answers.jsonl" | tee "$OUT/sure.txt" ;;
  *) sed -n '2,17p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
esac
