# Sourced by gpu_check.sh: runs steps, each under its own time limit and all within the budget, and
# says on the page how each ended.
# shellcheck shell=bash disable=SC2053,SC2154  # only is a pattern; top, work, ... are set by gpu_check.sh

kill_after=10  # s that a program may take to end once it is asked to
failed=0
ran=0
left_out=0
warned=0
mpirun_says='^-+$|^$|^Primary job|^a non-zero exit|^mpirun noticed|^\[[^]]+:[0-9]+\] '

# group TITLE LOG: the steps that follow; all that they print is kept in LOG.txt. The title is on the
# page if any of them is.
group() {
  title=$1
  log=$folder/$2.txt
}

wanted() { # NAME
  [[ $1 == $only ]]
}

line() { # NAME TEXT
  if [[ -n $title ]]; then printf '\n%s\n' "$title"; fi
  title=''
  printf '%-28s %s\n' "$1" "$2"
}

# step NAME SECONDS COMMAND...: one line of the page. Sets `verdict`, and `output`, the file with
# what the command printed. What hangs costs its own time only. One that fails and says what the
# pattern `impossible` describes is left out: the machine cannot do it.
step() {
  local name=$1 seconds=$2 code=0 begin=$SECONDS left=$((deadline - SECONDS)) why
  shift 2
  output=$work/$name.out
  verdict=PASS
  : >"$output"
  if ! wanted "$name"; then
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
    local late=$((SECONDS - begin >= limit && (code == 124 || code == 137)))
    if ((late && limit < seconds)); then
      verdict="left out: no time for all of it"
    elif ((late)); then
      verdict="FAIL (not finished after $limit s)"
    elif ((code)) && [[ -n $impossible ]] && why=$(grep -m 1 -oiE "$impossible" "$output"); then
      verdict="left out: ${why:0:100}"
    elif ((code)); then
      verdict="FAIL (exit code $code)"
    fi
  fi
  if [[ $verdict == left* ]]; then
    note='' left_out=$((left_out + 1))
  else
    note="  $((SECONDS - begin)) s$note" ran=$((ran + 1))
  fi
  line "$name" "$verdict$note"
  note=''
  { printf '\n== %s: %s: ' "$name" "$verdict"; printf '%q ' "$@"; echo; cat "$output"; } >>"$log"
  if [[ $verdict == FAIL* ]]; then
    failed=1
    # What the program says, else the last lines that are not mpirun's about itself.
    { grep '^gembench: ' "$output" || grep -vE "$mpirun_says" "$output" | tail -n 5; } |
      head -n 5 | cut -c 1-200 | sed 's/^/    /'
  fi
}
note='' impossible=''

# skip NAME WHY: a step that this machine cannot run.
skip() {
  if ! wanted "$1"; then return; fi
  line "$1" "left out: $2"
  left_out=$((left_out + 1))
}

# warn TEXT: about the step before, which passed.
warn() {
  echo "  WARN: $1"
  warned=$((warned + 1))
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

# lines COMPARISON...: on the page, from the benchmark that was last; of one that failed or was late,
# what it had printed.
lines() {
  local comparison
  for comparison in "$@"; do
    if [[ $verdict != PASS ]] && ! whole_records | grep -qF "{\"bench\":\"$comparison\","; then continue; fi
    whole_records | awk -v bench="$comparison" -f "$top/jobs/gpu_check/lines.awk" || failed=1
  done
}

whole_records() {
  grep '^{.*}$' "$output" || true
}

# The last line of the page; the exit code.
end_of_page() {
  local rest=''
  if ((left_out)); then rest=", $left_out of $((ran + left_out)) steps left out"; fi
  if ((warned)); then rest+=", $warned warned"; fi
  if ((failed)); then
    echo "verdict: FAIL$rest, see $folder"
  elif ((ran)); then
    echo "verdict: PASS$rest"
  else
    echo "verdict: none, since no step was run: --only '$only' --minutes $minutes"
    return 2
  fi
  return $failed
}

# keep NAME: the results of a step, unless they are too large to hand on.
keep() {
  local file=$work/$1.h5
  if [[ -f $file ]] && (($(stat -c %s "$file") < 8 << 20)); then cp "$file" "$folder/"; fi
}
