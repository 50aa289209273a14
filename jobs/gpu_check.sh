#!/usr/bin/env bash
# What to run first on a machine with GPUs: jobs/gpu_check.sh [-n GPUS] [-o FOLDER] [-t]
# Builds with CUDA, checks the results of the GPUs at 1, 2, 4, ... GPUs, and measures: the exchange
# compared with bare NCCL, the experts compared with cuBLAS alone, the cost of measuring, a profile
# and a comparison. Prints a page to paste into an issue; FOLDER (gpu_check/) keeps the files and
# all output. -t uses tiny shapes, to try the script itself. GEMBENCH names another executable, with
# the benchmarks in its folder; then nothing is built. Exit code 0: everything was correct.
set -euo pipefail

usage="usage: jobs/gpu_check.sh [-n GPUS] [-o FOLDER] [-t]"
gpus=0
folder=gpu_check
small=(--scale 4 --layers 4 --tokens 512 --steps 24 --block 4 --plan-steps 64 --profile-seconds 1)
same=(--layers 4 --tokens 4096 --steps 48)
compare=(--layers 4 --tokens 8192 --steps 48)
tiny=(--scale 64 --layers 2 --tokens 32 --steps 6 --block 1 --plan-steps 8 --profile-seconds 0)
profile=(--layers 1 --tokens 8192)
effort=--full
while getopts "n:o:th" option; do
  case $option in
    n) gpus=$OPTARG ;;
    o) folder=$OPTARG ;;
    t)
      small=("${tiny[@]}") same=("${tiny[@]}") compare=("${tiny[@]}")
      profile=(--scale 64 --tokens 32 --profile-seconds 0)
      effort=--quick
      ;;
    h) echo "$usage"; exit 0 ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
done
if [[ ! $gpus =~ ^[0-9]+$ ]]; then
  echo "$usage" >&2
  exit 2
fi

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if ((gpus == 0)); then
  if ! command -v nvidia-smi >/dev/null; then
    echo "gpu_check.sh: there is no nvidia-smi to count GPUs with: say -n GPUS" >&2
    exit 3
  fi
  gpus=$(nvidia-smi --list-gpus | wc -l)
fi
if [[ -z ${GEMBENCH:-} ]]; then
  # shellcheck source=jobs/find.sh
  source "$top/jobs/find.sh"
  require_own_build "$top/build/release"
  choose_preset
  (cd "$top" && cmake --preset "$preset" -DGEMBENCH_CUDA=ON >/dev/null &&
    cmake --build --preset "$preset" --parallel --target gembench gembench_cuda \
      bench_cuda_exchange bench_cuda_experts bench_cuda_layer) >&2
  GEMBENCH=$top/build/release/gembench
fi
export GEMBENCH
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
failed=0

# on RANKS WORDS...: under Slurm as its tasks, else by mpirun.
on() {
  local ranks=$1
  shift
  if [[ -n ${SLURM_JOB_ID:-} ]] && command -v srun >/dev/null; then
    local command=(srun --mpi=pmix --kill-on-bad-exit=1 --ntasks "$ranks")
    # srun does not inherit the number of CPUs per task, and NCCL's threads need some of their own.
    if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then
      command+=("--cpus-per-task=$SLURM_CPUS_PER_TASK")
    fi
    "${command[@]}" "$GEMBENCH" "$@"
  else
    "$top/jobs/local.sh" -n "$ranks" "$@"
  fi
}

# step NAME RANKS WORDS...: one line of the page; the output goes to NAME.txt.
step() {
  local name=$1 verdict=PASS
  shift
  # The pipe ends when everything has been written; local.sh may end slightly earlier.
  on "$@" 2>&1 | cat >"$folder/$name.txt" || verdict="FAIL (exit code $?)"
  [[ $verdict == PASS ]] || failed=1
  printf '%-28s %s\n' "$name" "$verdict"
  if [[ $verdict != PASS ]]; then grep '^gembench: ' "$folder/$name.txt" | head -n 3 || true; fi
}

# bench NAME RANKS COMPARISON...: runs a benchmark of tests/bench, prints a line for every
# comparison.
bench() {
  local name=$1 ranks=$2 code=0 comparison
  shift 2
  GEMBENCH="$(dirname "$GEMBENCH")/bench_cuda_$name" on "$ranks" "$effort" \
    >"$folder/bench_$name.txt" 2>&1 || code=$?
  if ((code)); then
    failed=1
    printf '%-28s %s\n' "bench_$name" "FAIL (exit code $code)"
    tail -n 3 "$folder/bench_$name.txt"
    return
  fi
  for comparison in "$@"; do
    python3 "$top/jobs/gpu_check.py" "$comparison" <"$folder/bench_$name.txt" || failed=1
  done
}

small=(run --device cuda --model gpt-oss-20b "${small[@]}" --check all --overwrite -q)
{
  echo "gembench on GPUs: $(date -u +%Y-%m-%dT%H:%M:%SZ), $(hostname), $gpus GPUs"
  "$GEMBENCH" --version | head -n 2
  nvidia-smi --query-gpu=index,name,driver_version,clocks.sm,power.draw,temperature.gpu \
    --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
  echo
  echo "right results"
  for ((ranks = 1; ranks <= gpus; ranks *= 2)); do
    for dtype in f32 bf16; do
      step "check_${ranks}_$dtype" "$ranks" "${small[@]}" --dtype $dtype \
        --placements linear,gem -o "$folder/check_${ranks}_$dtype.h5"
    done
  done
  if ((gpus > 1)); then
    step check_mpi 2 "${small[@]}" --transport mpi --placements linear,gem -o "$folder/check_mpi.h5"
  fi
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck synccheck initcheck; do
      verdict=PASS
      words=(--tool "$tool" --error-exitcode 9)
      # NCCL looks for driver calls that may not be there, which is no error of ours.
      if [[ $tool == memcheck ]]; then words+=(--report-api-errors no); fi
      timeout 300 compute-sanitizer "${words[@]}" "$GEMBENCH" run --device cuda --model gpt-oss-20b \
        "${tiny[@]}" --check all --overwrite -q --placements linear,gem \
        -o "$folder/sanitizer.h5" >"$folder/$tool.txt" 2>&1 || verdict="FAIL (exit code $?)"
      [[ $verdict == PASS ]] || failed=1
      printf '%-28s %s\n' "$tool" "$verdict"
    done
  else
    printf '%-28s %s\n' compute-sanitizer "not installed"
  fi
  if grep -q simulated "$folder/check_1_f32.txt"; then
    echo
    echo "NO GPU: this ran on the simulation of the tests; every time below is a CPU's"
  fi
  echo
  echo "beside the libraries alone, median of pairs"
  if ((gpus > 1)); then bench exchange "$gpus" exchange; fi
  bench experts 1 experts
  echo
  echo "what measuring adds to a layer"
  bench layer "$gpus" tax "start barrier" stages
  step whole_steps "$gpus" "${small[@]}" --whole-steps --placements linear,gem \
    -o "$folder/whole_steps.h5"
  echo
  echo "how fast the GPUs are: us of the expert phase by tokens"
  step profile "$gpus" profile --device cuda --model gpt-oss-120b "${profile[@]}" --overwrite -q \
    -o "$folder/profile.h5"
  cat "$folder/profile.txt"
  echo
  echo "no difference where there is none: the interval should hold 0"
  step same_twice "$gpus" run --device cuda --model gpt-oss-20b "${same[@]}" \
    --placements linear,linear --overwrite -q -o "$folder/same_twice.h5"
  grep -E ' vs |^# no verdict: 1 rank' "$folder/same_twice.txt" || true
  echo
  echo "placements on these GPUs as they are"
  step compare "$gpus" run --device cuda --model gpt-oss-120b "${compare[@]}" \
    --placements linear,eplb,gem,gem+ --overwrite -q -o "$folder/compare.h5"
  cat "$folder/compare.txt"
  echo
  if ((failed)); then echo "verdict: FAIL, see $folder"; else echo "verdict: PASS"; fi
  exit $failed
} | tee "$folder/page.txt"
