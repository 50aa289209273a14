#!/usr/bin/env bash
# Placements on recorded expert loads and real GPUs' speeds, held out in time: how much of the loss
# comes from speed, how much from load over time, and what only copies of experts can recover.
# Everything is predicted. The recordings are not part of the project: GEMBENCH_DATA names their
# folder.
set -euo pipefail

usage="usage: jobs/case_study.sh [--quick] [-o FOLDER] [--text FOLDER]
  --quick       one draw of GPUs, few layers: to see that it works, not to be quoted
  -o FOLDER     raw results (default: build/case_study)
  --text FOLDER where RECORDINGS.md is rewritten (default: analysis/reproduction)
GEMBENCH_DATA names the folder of recordings, GEMBENCH another executable."

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=jobs/find.sh
source "$top/jobs/find.sh"
find_gembench
data=${GEMBENCH_DATA:-$(dirname "$top")/shared/data}
output=$top/build/case_study
text=$top/analysis/reproduction
draws=(1 2 3 4 5) layer_step=4 steps=512
while (($#)); do
  case $1 in
    --quick) draws=(1 2) layer_step=29 steps=64 ;;
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
  echo "case_study.sh: $program is not built: run jobs/quickstart.sh, or set GEMBENCH" >&2
  exit 3
fi
if [[ ! -d $data/gptoss20b_decode_routing ]]; then
  echo "case_study.sh: no recordings in $data: set GEMBENCH_DATA to their folder" >&2
  exit 3
fi
find_python || exit 3
mkdir -p "$output"
rm -f "$output"/*.json
say() { echo "case_study.sh: $*" >&2; }

judge() { # CASE TRACE PROFILE RANKS SPARE_SLOTS: every draw of GPUs
  local draw how
  for draw in "${draws[@]}"; do
    how=(--trace "$2" --profile "$3" --ranks "$4" --split 0.5 --slowdown-from builtin:v100-sgemm
      --seed "$draw" --format json -q)
    "$program" score "${how[@]}" --strategies linear,eplb,gem+ >"$output/$1-$4-$draw.json"
    "$program" score "${how[@]}" --strategies gem --ablation >"$output/$1-$4-$draw-parts.json"
    "$program" score "${how[@]}" --strategies eplb,flashlb --spare-slots "$5" \
      >"$output/$1-$4-$draw-spare.json"
    "$program" score "${how[@]}" --strategies gem+ --spare-slots "$5" \
      >"$output/$1-$4-$draw-slots.json"
    "$program" score "${how[@]}" --strategies gem+ --spare-slots "$5" --replicas "$4" \
      >"$output/$1-$4-$draw-even.json"
    "$program" score "${how[@]}" --strategies gem+ --spare-slots "$5" --replicas "$4" \
      --token-split water-fill >"$output/$1-$4-$draw-water.json"
  done
  say "judged $1 on $4 ranks (${SECONDS} s)"
}

every() { # FILE: keeps the header and every layer_step-th layer, numbered from 0
  awk -F, -v OFS=, -v n="$layer_step" 'NR == 1 { print; next }
    $2 % n == 0 { $2 = $2 / n; print }' "$1"
}

SECONDS=0
every "$data/gptoss20b_decode_routing/counts_b256_shuffled.csv" >"$output/gpt.csv"
"$program" trace import csv "$output/gpt.csv" --model gpt-oss-20b --overwrite -q \
  -o "$output/gpt.h5" >/dev/null
for ranks in 4 8; do
  judge gptoss-decode "$output/gpt.h5" builtin:h100/gpt-oss-20b/local "$ranks" 1
done
every "$data/qwen3_30b_a3b_prefill_routing/counts_w64.csv" >"$output/qwen.csv"
"$program" trace import csv "$output/qwen.csv" --model qwen3-30b-a3b --overwrite -q \
  -o "$output/qwen.h5" >/dev/null
for ranks in 4 8; do
  judge qwen3-prefill "$output/qwen.h5" builtin:h100/qwen3-30b-a3b/local "$ranks" 2
done
# Totals only: steps are drawn from them, so nothing in them is correlated in time.
for kind in prefill:prefill_in1024:16384 decode:decode_in1000out1000:512; do
  IFS=: read -r name file tokens <<<"$kind"
  "$python" -c '
import json, sys
rows = json.load(open(sys.argv[1]))["logical_count"]
print("step,layer," + ",".join(f"e{e}" for e in range(len(rows[0]))))
for layer, row in enumerate([row for row in rows if sum(row)][::int(sys.argv[2])]):
    print(f"0,{layer}," + ",".join(str(round(value)) for value in row))
' "$data/deepseek_v3_r1_sglang_ep_stats/$file.json" "$((layer_step * 2))" >"$output/ds.csv"
  "$program" trace import csv "$output/ds.csv" --model deepseek-v3 --expand-multinomial \
    --steps "$steps" --tokens "$tokens" --overwrite -q -o "$output/ds.h5" >/dev/null
  judge "deepseek-$name" "$output/ds.h5" builtin:h100/deepseek-v3/local 16 2
done
rm -f "$output"/*.csv "$output"/*.h5
PYTHONPATH="$top/analysis${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 \
  "$python" "$top/analysis/reproduction/recordings.py" "$output" "$text"
