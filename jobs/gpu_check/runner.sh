# Sourced by gpu_check.sh: runs steps, each under its own time limit and all within the budget, and
# says on the page how each ended.
# shellcheck shell=bash disable=SC2053,SC2154  # only is a pattern; top, work, ...: set by gpu_check.sh

kill_after=10  # s that a program may take to end once it is asked to
failed=0

# group TITLE [LOG]: the steps that follow; all that they print is kept in LOG.txt.
group() {
  log=$folder/${2:-times}.txt
  printf '\n%s\n' "$1"
}

# step NAME SECONDS COMMAND...: one line of the page. Sets `verdict`, and `output`, the file with
# what the command printed. What hangs costs its own time only.
step() {
  local name=$1 seconds=$2 code=0 begin=$SECONDS left=$((deadline - SECONDS))
  shift 2
  output=$work/$name.out
  verdict=PASS
  : >"$output"
  if [[ $name != $only ]]; then
    note='' verdict="left out: not asked for"
    return
  fi
  if ((left < 5)); then
    verdict="left out: no time"
  else
    limit=$((seconds < left ? seconds : left))
    # A reader in between, since local.sh may end slightly before the last line; with an end of its
    # own, since a rank that cannot be killed keeps the pipe open.
    "$@" 2>&1 </dev/null | timeout $((limit + kill_after + 5)) cat >"$output" || code=$?
    if ((code == 124 || code == 137)) && ((limit < seconds)); then
      verdict="left out: no time for all of it"
    elif ((code == 124 || code == 137)); then
      verdict="FAIL (not finished after $limit s)"
    elif ((code)); then
      verdict="FAIL (exit code $code)"
    fi
  fi
  printf '%-28s %s' "$name" "$verdict"
  if [[ $verdict == left* ]]; then echo; else printf '%s\n' "  $((SECONDS - begin)) s$note"; fi
  note=''
  { printf '\n== %s: %s: ' "$name" "$verdict"; printf '%q ' "$@"; echo; cat "$output"; } >>"$log"
  if [[ $verdict == FAIL* ]]; then
    failed=1
    # What the program says, else the last lines that are not mpirun's about itself.
    { grep '^gembench: ' "$output" || grep -vE '^-+$|^Primary job|^a non-zero exit' "$output" | tail -n 5; } |
      head -n 5 | cut -c 1-200 | sed 's/^/    /' || true
  fi
}
note=''

# skip NAME WHY: a step that this machine cannot run.
skip() {
  printf '%-28s left out: %s\n' "$1" "$2"
}

# Within the step's time; killed soon after it.
limited() {
  timeout --kill-after="$kill_after" "$limit" "$@"
}

# start PROGRAM RANKS WORDS...: under Slurm as its tasks, else by mpirun.
start() {
  local program=$1 ranks=$2
  shift 2
  if [[ -n ${SLURM_JOB_ID:-} ]] && command -v srun >/dev/null; then
    local command=(srun --mpi=pmix --kill-on-bad-exit=1 --ntasks "$ranks")
    # srun does not inherit the number of CPUs per task, and NCCL's threads need some of their own.
    if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then
      command+=("--cpus-per-task=$SLURM_CPUS_PER_TASK")
    fi
    limited "${command[@]}" "$program" "$@"
  else
    GEMBENCH=$program limited "$top/jobs/local.sh" -n "$ranks" "$@"
  fi
}

# run NAME SECONDS RANKS WORDS...: a step of `gembench run`. Ranks beyond the GPUs take turns on one,
# which MPI allows: right results are shown by that, times are not.
run() {
  local name=$1 seconds=$2 ranks=$3 words=()
  shift 3
  if ((ranks > gpus)); then
    note=", time-shared: $ranks ranks on one GPU"
    words=(--transport "${transport:-mpi}")
  fi
  step "$name" "$seconds" start "$GEMBENCH" "$ranks" run --device cuda --overwrite -q "$@" \
    "${words[@]}" -o "$work/$name.h5"
}

# bench NAME SECONDS RANKS [STEP]: a step that runs a benchmark of tests/bench, beside the program.
bench() {
  local words=("$effort")
  if (($3 > gpus)); then
    note=", time-shared: $3 ranks on one GPU"
    words+=(--mpi)
  fi
  step "${4:-bench_$1}" "$2" start "$(dirname "$GEMBENCH")/bench_cuda_$1" "$3" "${words[@]}"
}

# lines COMPARISON...: on the page, from the benchmark that was last.
lines() {
  local comparison
  if [[ $verdict != PASS ]]; then return; fi
  for comparison in "$@"; do
    # shellcheck disable=SC2034  # gpu_check.sh reads it
    awk -v bench="$comparison" -f "$top/jobs/gpu_check/lines.awk" "$output" || failed=1
  done
}

# keep NAME: the results of a step, unless they are too large to hand on.
keep() {
  local file=$work/$1.h5
  if [[ -f $file ]] && (($(stat -c %s "$file") < 8 << 20)); then cp "$file" "$folder/"; fi
}
