# Sourced by gpu_check.sh: what it runs, a row a step, those worth most first.
# run NAME SECONDS RANKS WORDS..., bench NAME SECONDS RANKS, step NAME SECONDS COMMAND...: runner.sh.
# shellcheck shell=bash disable=SC2034,SC2154

# Set by choose_shapes; the words of a run, and how long it may be.
choose_shapes() {
  model=(--model gpt-oss-20b --check all --soak 0)
  small=(--scale 4 --layers 4 --tokens 512 --steps 24 --block 4 --plan-steps 64 --profile-seconds 1)
  # Ranks that share a GPU wait for their turn at every wait for it: fewer steps.
  shared=(--scale 4 --layers 2 --tokens 512 --steps 12 --block 2 --plan-steps 64 --profile-seconds 1)
  odd=(--experts 8 --layers 2 --tokens 61 --steps 6 --block 1 --plan-steps 8 --profile-seconds 0)
  least=("${odd[@]}" --hidden 64 --ffn 48)
  # One set of weights, 1.6 GB, is more than caches hold, and made in a quarter of the time.
  decode=(--layers 4 --weight-layers 1 --tokens 64 --steps 96)
  # The host computes a reference for what is checked, for most of a minute if that is every step, and
  # the GPU cools down.
  timed=(--model gpt-oss-20b --check last --soak 5)
  same=(--layers 4 --weight-layers 1 --tokens 4096 --steps 48 --soak 30)
  compare=(--layers 4 --tokens 8192 --steps 48 --soak 30)
  profile=(--layers 1 --tokens 8192 --soak 30)
  soak=(--layers 4 --weight-layers 1 --tokens 8192 --steps 20000 --max-seconds 150 --precision 0 --soak 0)
  ranks_sharing=(2 4 8)
  dtypes=(bf16 f32)
  effort=--full
  if ((tiny)); then
    small=(--experts 8 --topk 2 --hidden 64 --ffn 48 --layers 1 --tokens 32 --steps 2 --block 1
      --plan-steps 2 --profile-seconds 0)
    odd=(--experts 8 --topk 2 --layers 1 --tokens 13 --steps 2 --block 1 --plan-steps 2 --profile-seconds 0)
    shared=("${small[@]}") least=("${small[@]}") decode=("${small[@]}")
    timed=(--model gpt-oss-20b --check last --soak 0)
    same=("${small[@]}" --soak 0) compare=("${small[@]}" --soak 0)
    profile=(--experts 8 --topk 2 --hidden 64 --ffn 48 --layers 1 --tokens 32 --profile-seconds 0 --soak 0)
    ranks_sharing=(2 8)
    soak=("${small[@]}" --soak 0)
    effort=--quick
  fi
}

all_steps() {
  choose_shapes
  echo "gembench on GPUs: $(date -u +%Y-%m-%dT%H:%M:%SZ), $(uname -n), $gpus GPUs"
  versions
  ceilings
  right_results
  several_ranks
  if grep -qs simulated "$folder/right.txt"; then
    printf '\n%s\n' "NO GPU: this ran on the simulation of the tests; every time below is a CPU's"
  fi
  data_and_loading
  beside_the_libraries
  without_the_host
  slowed_graph
  sanitizer
  long_runs
}

versions() {
  "$GEMBENCH" --version | head -n 2
  nvidia-smi --query-gpu=index,name,driver_version,clocks.sm,power.draw,temperature.gpu \
    --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
  if [[ -f $top/made.txt ]]; then cat "$top/made.txt"; fi
  if [[ -n ${GEMBENCH_FOUND:-} ]]; then echo "$GEMBENCH_FOUND"; fi
}

ceilings() {
  group "what this GPU can do" ceilings
  bench ceilings 90 1
  sed -n 's/.*"device":"\([^"]*\)".*/  \1/p' "$output" | head -n 1
  lines ceiling
}

right_results() {
  local ranks dtype
  group "right results" right
  for ((ranks = 1; ranks <= gpus; ranks *= 2)); do
    for dtype in "${dtypes[@]}"; do
      run "check_${ranks}_$dtype" 90 "$ranks" "${model[@]}" "${small[@]}" --dtype "$dtype" \
        --placements linear,gem
    done
  done
  if ((gpus > 1)); then
    run check_mpi 90 2 "${model[@]}" "${small[@]}" --transport mpi --placements linear,gem
  fi
}

# On one GPU its ranks take turns, so that what ranks send each other is shown all the same.
several_ranks() {
  local ranks dtype words two=2 four=4
  if ((gpus == 1)); then
    group "several ranks on one GPU: right results, no times" right
    for ranks in "${ranks_sharing[@]}"; do
      for dtype in "${dtypes[@]}"; do
        run "check_${ranks}_$dtype" 120 "$ranks" "${model[@]}" "${shared[@]}" --dtype "$dtype" \
          --placements linear,gem
      done
    done
    if nccl_shares_gpus; then
      transport=nccl NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_NVLS_ENABLE=0 \
        run check_nccl_2 120 2 "${model[@]}" "${shared[@]}" --placements linear,gem
      if offers_graphs; then
        transport=nccl NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_NVLS_ENABLE=0 \
          run graph_nccl_2 120 2 "${model[@]}" "${shared[@]}" --launch graph --placements linear
      fi
    else
      skip check_nccl_2 "several ranks a GPU need NCCL 2.30 or later"
    fi
  fi
  group "odd shapes" right
  if ((gpus > 1 && gpus < 4)); then four=$gpus; fi
  for dtype in "${dtypes[@]}"; do
    words=("${model[@]}" "${odd[@]}" --dtype "$dtype")
    run "hidden_1_$dtype"     60 "$two"  "${words[@]}" --hidden 1 --ffn 1
    run "hidden_33_$dtype"    60 "$two"  "${words[@]}" --hidden 33 --ffn 17
    run "one_token_$dtype"    60 1       "${words[@]}" --hidden 40 --ffn 24 --tokens 1
    run "few_tokens_$dtype"   60 "$four" "${words[@]}" --hidden 40 --ffn 24 --tokens 3
    run "replicas_$dtype"     60 "$two"  "${words[@]}" --hidden 40 --ffn 24 --replicas 2 \
      --placements "eplb,gem" --token-split lp
    if ((tiny)); then break; fi
    run "all_to_all_$dtype"   60 "$four" "${words[@]}" --hidden 40 --ffn 24 --topk 8
    run "hierarchical_$dtype" 60 "$four" "${words[@]}" --hidden 40 --ffn 24 --dispatch hierarchical \
      --ranks-per-node 2
    run "router_$dtype"       60 "$two"  "${words[@]}" --hidden 40 --ffn 24 --routing router
    run "adapt_$dtype"        60 "$two"  "${words[@]}" --hidden 40 --ffn 24 --layers 1 --steps 12 \
      --drift slow@4 --slowdown 1,2 --adapt
  done
  run whole_steps 90 "$gpus" "${model[@]}" "${small[@]}" --whole-steps --placements linear,gem
  repeats
}

# A race shows as bits that change from one time to the next, or from one launch to the next.
repeats() {
  local ranks=$gpus first
  if ((gpus == 1)); then ranks=4; fi
  group "the same bits every time" right
  bench repeat 90 "$ranks"
  first=$(grep '^{"bench":"repeat"' "$output" || true)
  bench repeat 90 "$ranks" bench_repeat_again
  if [[ $verdict != PASS || -z $first ]]; then return; fi
  if [[ $first == "$(grep '^{"bench":"repeat"' "$output")" ]]; then
    echo "  two launches: the same bits"
  else
    echo "  two launches: DIFFERENT BITS, see right.txt"
    failed=1
  fi
}

# One way to compute products, since all ways at all sizes take longer than a step may; then CUTLASS's,
# where it is in the program.
sanitizer() {
  local tool
  group "compute-sanitizer" right
  if ! command -v compute-sanitizer >/dev/null; then
    skip compute-sanitizer "not installed"
    return
  fi
  for tool in memcheck racecheck synccheck initcheck; do
    sanitize "$tool" "$tool" cublas
  done
  sanitize memcheck_cutlass memcheck cutlass
}

# sanitize NAME TOOL WAY: where it cannot be used, for which it needs counters of the GPU, programs fail
# with error 999, "unknown", or it says that the device is not supported.
sanitize() {
  local words=(--tool "$2" --error-exitcode 9 --target-processes all)
  # NCCL looks for driver calls that may not be there, which is no error of ours.
  if [[ $2 == memcheck ]]; then words+=(--report-api-errors no); fi
  impossible="device not supported.*|error 999.*|cannot have --expert-products $3.*" step "$1" 90 limited \
    compute-sanitizer "${words[@]}" "$GEMBENCH" run --device cuda "${model[@]}" "${least[@]}" \
    --expert-products "$3" --overwrite -q --placements linear,gem -o "$work/$1.h5"
}

# Each side twice, in an order in which a GPU that gets slower or faster favours neither.
data_and_loading() {
  local loading
  group "code loaded at its first use or before: should make no difference" times
  for loading in LAZY EAGER EAGER_again LAZY_again; do
    CUDA_MODULE_LOADING=${loading%_again} run "loading_$loading" 90 "$gpus" "${timed[@]}" "${decode[@]}" \
      --placements linear
    table_rows linear
  done
}

beside_the_libraries() {
  group "beside the libraries alone, median of pairs" times
  bench experts 180 1
  lines experts
  grep -v '^{' "$output" | head -n 60 || true
  if ((gpus > 1)); then
    bench exchange 120 "$gpus"
    lines exchange
  fi
  group "what measuring adds to a layer" times
  bench layer 120 "$gpus"
  lines tax "start barrier" stages
}

offers_graphs() {
  "$GEMBENCH" run --help | grep -- '--launch ' >/dev/null
}

# A step as one CUDA graph, where the program offers it, with each way to compute experts: a library
# may be right by itself and wrong in a graph.
without_the_host() {
  local launch way ways
  if ! offers_graphs; then return; fi
  group "a step launched as one graph, or phase by phase" times
  for launch in phases graph graph_again phases_again; do
    run "launch_$launch" 90 "$gpus" "${timed[@]}" "${decode[@]}" --launch "${launch%_again}" \
      --placements linear
    clock_of_graph
    table_rows linear
  done
  ways=$(sed -n 's/.*(experts by \([^)]*\)).*/\1/p' "$output" | head -n 1)
  for way in cublas-grouped cublas cublaslt cutlass; do
    if [[ -n $ways && ", $ways," != *", $way,"* ]]; then
      skip "graph_$way" "this program, or this GPU, does not have that way"
      continue
    fi
    run "graph_$way" 60 "$gpus" "${timed[@]}" "${decode[@]}" --launch graph --expert-products "$way" \
      --placements linear
    table_rows linear
  done
}

# What stamps see of an emulated slowdown: all of it.
slowed_graph() {
  local rank slowdowns=2
  if ! offers_graphs; then return; fi
  for ((rank = 1; rank < gpus; ++rank)); do slowdowns+=,1; done
  group "a graph in which the experts of rank 0 take twice as long" times
  run graph_slow 90 "$gpus" "${timed[@]}" "${decode[@]}" --launch graph --slowdown "$slowdowns" \
    --placements linear
  clock_of_graph
  table_rows linear
}

# How well the GPUs' clocks are aligned.
clock_of_graph() {
  grep '^# clock gpu-stamps' "$output" || true
}

long_runs() {
  group "how fast the GPUs are: us of the expert phase by tokens" times
  step profile 120 start "$GEMBENCH" "$gpus" profile --device cuda --model gpt-oss-120b \
    "${profile[@]}" --overwrite -q -o "$work/profile.h5"
  cat "$output"
  keep profile
  group "minutes of load" soak
  watch_gpus
  run soak 230 "$gpus" --model gpt-oss-20b --check last "${soak[@]}" --placements linear
  stop_watching
  table_rows linear
  grep '^# GPUs while measuring' "$output" || true
  # One rank holds every expert, so that placements are not compared.
  if ((gpus > 1)); then
    group "no difference where there is none" times
    run same_twice 150 "$gpus" --model gpt-oss-20b "${same[@]}" --placements linear,linear
    no_difference
    group "placements on these GPUs as they are" times
    run compare 300 "$gpus" --model gpt-oss-120b "${compare[@]}" --placements linear,eplb,gem,gem+
    cat "$output"
    keep compare
  fi
}

# The same placement, compared with itself.
no_difference() {
  local told
  told=$(grep ' vs ' "$output" || true)
  if [[ -n $told ]]; then echo "$told"; fi
  if [[ $told =~ \(95\ %\ CI\ ([-+])[0-9.]+\ %\ \.\.\ ([-+]) && ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]]; then
    warn "the interval leaves out 0, as 1 in 20 does by chance: take no smaller difference here for one"
  fi
}

# table_rows NAME: the table's head and its row.
table_rows() {
  grep -E "^(#| )*(placement|$1) " "$output" || true
}

# Whether NCCL has the switch for it.
nccl_shares_gpus() {
  local plugin nccl
  plugin=$(dirname "$GEMBENCH")/libgembench_cuda.so
  nccl=${GEMBENCH_NCCL:-$(ldd "$plugin" 2>/dev/null | awk '$1 ~ /^libnccl/ {print $3}')}
  [[ -f $nccl ]] && grep -aq MULTI_RANK_GPU_ENABLE "$nccl"
}

# Clock, power, temperature and load, twice a second, by nvidia-smi.
watch_gpus() {
  watcher=
  if ! wanted soak || ! command -v nvidia-smi >/dev/null; then return; fi
  timeout 300 nvidia-smi --query-gpu=timestamp,index,clocks.sm,power.draw,temperature.gpu,utilization.gpu \
    --format=csv,noheader,nounits -lms 500 >"$folder/soak.csv" 2>/dev/null &
  watcher=$!
}

stop_watching() {
  if [[ -z $watcher ]]; then return; fi
  kill "$watcher" 2>/dev/null
  wait "$watcher" 2>/dev/null
  awk -F', *' '
    $6 < 50 { next }  # idle
    { ++n; clock += $3; power += $4; if (n == 1 || $3 < least) least = $3 + 0
      if ($4 > most) most = $4 + 0; if ($5 > hot) hot = $5 + 0 }
    END { if (!n) exit
      printf "  under load: clock %.0f MHz in the mean, %d at least; ", clock / n, least
      printf "power %.0f W, %.0f at most; %d degC at most\n", power / n, most, hot }' "$folder/soak.csv"
}
