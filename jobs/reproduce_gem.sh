#!/usr/bin/env bash
# GEM's evaluation (arXiv:2605.19945) as far as it can be redone without its GPUs: its five models on 4
# ranks, low and high variability, over tokens a step, against linear. Predicted on latencies measured
# on an L40S at true shapes, and measured on CPU layers at scaled shapes. Rewrites the tables and
# figures in analysis/reproduction (or in the folder --text names).
set -euo pipefail

usage="usage: jobs/reproduce_gem.sh [--quick] [--predicted | --measured] [-o FOLDER] [--text FOLDER]
  --quick       one seed, few tokens and steps: to see that it works, not to be quoted
  --predicted   only what is predicted (minutes); --measured only what is measured (the longer part)
  -o FOLDER     raw results (default: build/reproduction)
  --text FOLDER where README.md, CSV files and figures are rewritten (default: analysis/reproduction)
GEMBENCH names another executable."

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=jobs/find.sh
source "$top/jobs/find.sh"
find_gembench
output=$top/build/reproduction
text=$top/analysis/reproduction
quick=0 predicted=1 measured=1
while (($#)); do
  case $1 in
    --quick) quick=1 ;;
    --predicted) measured=0 ;;
    --measured) predicted=0 ;;
    -o | --text)
      if (($# < 2)); then
        echo "$usage" >&2
        exit 2
      fi
      if [[ $1 == -o ]]; then output=$2; else text=$2; fi
      shift
      ;;
    -h | --help)
      echo "$usage"
      exit 0
      ;;
    *)
      echo "$usage" >&2
      exit 2
      ;;
  esac
  shift
done
if [[ ! -x $program ]]; then
  echo "reproduce_gem.sh: $program is not built: run jobs/quickstart.sh, or set GEMBENCH" >&2
  exit 3
fi

models=(mixtral-8x7b mixtral-8x22b llama-4-scout hunyuan-a13b qwen3-30b-a3b)
placements=linear,eplb,vibe,gem,gem+
tokens=(64 256 1024 2048 4096 8192)
seeds=(1 2 3) layers=8 steps=1024
run_steps=64 run_layers=4 run_tokens=1024 run_seeds=(1 2) profile_seconds=5
if ((quick)); then
  tokens=(256 2048) seeds=(1) layers=2 steps=256
  run_steps=16 run_layers=2 run_tokens=256 run_seeds=(1) profile_seconds=1
fi
# Divisors of hidden and ffn that bring a layer to a few tens of MB on a CPU.
declare -A scale=([mixtral-8x7b]=8 [mixtral-8x22b]=12 [llama-4-scout]=10 [hunyuan-a13b]=8
  [qwen3-30b-a3b]=4)
find_python || exit 3
mkdir -p "$output/predicted" "$output/ablation" "$output/measured"
say() { echo "reproduce_gem.sh: $*" >&2; }

predict() { # MODEL TOKENS SEED: every variability; ablations at 2048 tokens
  local model=$1 count=$2 seed=$3 trace=$output/trace.h5 kind name
  "$program" trace make --model "$model" --layers "$layers" --tokens "$count" --steps "$steps" \
    --seed "$seed" --overwrite -q -o "$trace" >/dev/null
  for kind in none low high; do
    name=$model-$count-$kind-$seed
    local how=(--trace "$trace" --profile "builtin:l40s/$model" --ranks 4 --seed "$seed"
      --variability "$kind" -q)
    "$program" score "${how[@]}" --split 0.5 --strategies "$placements" --format json \
      >"$output/predicted/$name.json"
    if ((count != 2048)) || [[ $kind == none ]]; then continue; fi
    "$program" plan "${how[@]}" --plan-steps 16 --strategy gem --overwrite \
      -o "$output/gem-16-steps.json" >/dev/null
    "$program" score "${how[@]}" --split 0.5 --strategies linear,gem --ablation --format json \
      "$output/gem-16-steps.json" >"$output/ablation/$name.json"
    "$program" score "${how[@]}" --split 0.5 --strategies linear,gem --slowdown-floor 1 \
      --format json >"$output/ablation/$name-floor.json"
  done
}

measure() { # MODEL SEED: low and high
  local model=$1 seed=$2 kind file
  for kind in low high; do
    file=$output/measured/$model-$kind-$seed.h5
    "$top/jobs/local.sh" -n 4 run --model "$model" --scale "${scale[$model]}" \
      --layers "$run_layers" --tokens "$run_tokens" --placements "$placements" \
      --steps "$run_steps" --variability "$kind" --seed "$seed" \
      --profile-seconds "$profile_seconds" --overwrite -q -o "$file" >/dev/null
  done
}

SECONDS=0
if ((predicted)); then
  rm -f "$output"/predicted/*.json "$output"/ablation/*.json
  for model in "${models[@]}"; do
    for seed in "${seeds[@]}"; do
      for count in "${tokens[@]}"; do
        predict "$model" "$count" "$seed"
      done
    done
    say "predicted $model (${SECONDS} s)"
  done
  rm -f "$output/trace.h5" "$output/gem-16-steps.json"
fi
if ((measured)); then
  rm -f "$output"/measured/*.h5
  for seed in "${run_seeds[@]}"; do
    for model in "${models[@]}"; do
      measure "$model" "$seed"
      say "measured $model, seed $seed (${SECONDS} s)"
    done
  done
fi
PYTHONPATH="$top/analysis${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 \
  "$python" "$top/analysis/reproduction/write.py" "$output" "$text"
