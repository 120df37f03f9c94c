#!/usr/bin/env bash
# From product docs to a fine-tuned Qwen3-8B that is measured against the base model, with docduet commands only.
#
#   SOURCE=docs/ recipes/qwen3-8b.sh
#   DRY=1 recipes/qwen3-8b.sh                 print the commands, run none
#   RECIPE=qwen3-8b-lora WORK=/data/widget SOURCE=https://docs.example.com recipes/qwen3-8b.sh
#   SERVE=1 SOURCE=docs/ recipes/qwen3-8b.sh  and serve the result at the end
#
# Any Qwen3 will do, also a tiny one on a CPU: RECIPE=tiny-cpu MODEL=models/tiny MAX_LENGTH=1024 CONTEXT=2048.
#
# Run it again after an interruption: what is done is not done again, and training goes on from its last checkpoint.
# Training on several nodes: the article's -2x2 recipe, one `docduet sft train` per node (it prints the other's command).
set -euo pipefail

SOURCE=${SOURCE:-docs/}                      # folder, web site or git repository with the product's docs
MODEL=${MODEL:-Qwen/Qwen3-8B}                # on the hub, or a folder that is there
HUB=${HUB:-huggingface}                      # or modelscope
RECIPE=${RECIPE:-qwen3-8b-1gpu}              # see recipes/training/
WORK=${WORK:-work/qwen3-8b}                  # everything lies here
BASE=${BASE:-$WORK/model}                    # the folder it is fetched into
SETTINGS=${SETTINGS:-}                       # changes to the recipe, such as "lr=2e-5 num_train_epochs=1"
DOCDUET_TRAIN_PYTHON=${DOCDUET_TRAIN_PYTHON:-} # interpreter that ms-swift is installed for; default: docduet's own
DATASET=${DATASET:-$WORK/dataset}
RUN=${RUN:-$WORK/run}
QUESTIONS=${QUESTIONS:-$WORK/questions.jsonl} # JSON lines with "question" and "inside"; kept out of the dataset
MIXTURE=${MIXTURE:-balanced}
MAX_LENGTH=${MAX_LENGTH:-4096}               # of a conversation in tokens; not over the recipe's max_length
PORT=${PORT:-8101}                           # of the base model's engine for the comparison; the tuned one's is the next
SHARE=${SHARE:-0.42}                         # of the GPU's memory, for each of the two engines
CONTEXT=${CONTEXT:-8192}                     # tokens that an engine takes at most
ENGINE_ARGS=${ENGINE_ARGS:-}                 # more arguments for vLLM, such as --enforce-eager: slower, but up sooner
DOCDUET=${DOCDUET:-docduet}; export -n DOCDUET # for this script alone: docduet reads DOCDUET__... as settings
VLLM=${VLLM:-vllm}
SERVE=${SERVE:-}
DRY=${DRY:-}

export DOCDUET_HOME=${DOCDUET_HOME:-$WORK/home}
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} # GiB of each engine; read by vLLM's CPU build only

say() { printf '\n== %s\n' "$*" >&2; }
run() { # a command, shown and then run
  printf '%q ' "$@"; printf '\n'
  if [[ -z $DRY ]]; then "$@"; fi
}
have() { [[ -z $DRY && -e $1 ]]; }

if [[ -f $MODEL/config.json ]]; then BASE=$MODEL; fi
python=(); if [[ -n $DOCDUET_TRAIN_PYTHON ]]; then python=(--python "$DOCDUET_TRAIN_PYTHON"); fi
read -ra more <<<"$ENGINE_ARGS"
changes=(); for setting in $SETTINGS; do changes+=(--set "$setting"); done

engines=()
stop_engines() {
  if ((${#engines[@]})); then
    kill "${engines[@]}" 2>/dev/null || true
    wait "${engines[@]}" 2>/dev/null || true
  fi
  engines=()
}
trap stop_engines EXIT

engine() { # FOLDER NAME PORT: started in the background
  local command=("$VLLM" serve "$1" --served-model-name "$2" --host 127.0.0.1 --port "$3"
    --gpu-memory-utilization "$SHARE" --max-model-len "$CONTEXT" "${more[@]}")
  printf '%q ' "${command[@]}"; printf '&\n'
  if [[ -n $DRY ]]; then return; fi
  "${command[@]}" >"$WORK/engine-$2.log" 2>&1 &
  engines+=($!)
}
ready() { # PORT: wait for the engine, at most 20 minutes
  if [[ -n $DRY ]]; then return; fi
  for _ in $(seq 400); do
    if curl -fsS "http://127.0.0.1:$1/v1/models" >/dev/null 2>&1; then return; fi
    kill -0 "${engines[@]}" 2>/dev/null || { echo "an engine ended: see $WORK/engine-*.log" >&2; exit 1; }
    sleep 3
  done
  echo "no engine at port $1 after 20 minutes: see $WORK/engine-*.log" >&2
  exit 1
}

[[ -n $DRY ]] || mkdir -p "$WORK"

say "1. Pages and index"
run "$DOCDUET" sync "$SOURCE"

say "2. The model"
if [[ $BASE == "$MODEL" ]]; then
  echo "$MODEL is there" >&2
else
  run "$DOCDUET" sft fetch "$MODEL" --from "$HUB" --out "$BASE"
fi

say "3. The dataset"
if have "$DATASET/train.jsonl"; then
  echo "$DATASET is there: remove it to build it anew" >&2
else
  held_out=()
  if [[ -n $DRY || -e $QUESTIONS ]]; then held_out=(--eval-set "$QUESTIONS"); fi
  run "$DOCDUET" sft build --out "$DATASET" --mixture "$MIXTURE" --max-length "$MAX_LENGTH" --tokenizer "$BASE" "${held_out[@]}"
fi

say "4. Is everything there, and will it fit?"
run "$DOCDUET" sft doctor --recipe "$RECIPE" "${python[@]}"
run "$DOCDUET" sft plan --recipe "$RECIPE" --dataset "$DATASET" --model "$BASE" "${changes[@]}"

say "5. Training"
resume=()
if have "$RUN/run.json"; then resume=(--resume); fi
run "$DOCDUET" sft train --recipe "$RECIPE" --dataset "$DATASET" --model "$BASE" --out "$RUN" \
  "${python[@]}" "${changes[@]}" "${resume[@]}"
run "$DOCDUET" sft plot "$RUN"

say "6. A folder to serve"
merge=()
if [[ $RECIPE == *lora* ]]; then merge=(--merge); fi
run "$DOCDUET" sft export "$RUN" --out "$WORK/served" "${merge[@]}" --serve

say "7. Before and after"
if [[ -n $DRY || -e $QUESTIONS ]]; then
  engine "$BASE" base "$PORT"
  ready "$PORT"
  engine "$WORK/served" sft "$((PORT + 1))"
  ready "$((PORT + 1))"
  run "$DOCDUET" sft compare "$QUESTIONS" --base "http://127.0.0.1:$PORT/v1" \
    --tuned "http://127.0.0.1:$((PORT + 1))/v1" --out "$WORK/before-after.md"
  stop_engines
else
  echo "no $QUESTIONS: write some questions to compare the models before and after training" >&2
fi

say "8. Serving"
config=$WORK/docduet.toml
if [[ -z $DRY && ! -e $config ]]; then
  args=$(printf '"%s", ' --gpu-memory-utilization "$SHARE" --max-model-len "$CONTEXT" "${more[@]}")
  { # the tuned model needs no engine here: step 6 has published it
    printf '[serving]\nsft_args = [%s]\n\n' "${args%, }"
    printf '[[serving.engines]]\nname = "base"\nmodel = "%s"\nargs = [%s]\n' "$(realpath "$BASE")" "${args%, }"
  } >"$config"
fi
printf 'DOCDUET_HOME=%q %q --config %q serve\n' "$DOCDUET_HOME" "$DOCDUET" "$config"
if [[ -n $SERVE && -z $DRY ]]; then exec "$DOCDUET" --config "$config" serve; fi
