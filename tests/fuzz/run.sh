#!/usr/bin/env bash
# Feeds every reader of foreign files with damaged ones (libFuzzer, AddressSanitizer and
# UndefinedBehaviorSanitizer; needs clang). Input that breaks a reader stays in build/fuzz/found.
set -euo pipefail

usage="usage: tests/fuzz/run.sh [--runs N | --seconds S] [READER...]
  --runs N     inputs for every reader (default: 1000), the same ones every time
  --seconds S  for every reader instead, from another seed every time
Readers: build/fuzz/fuzz_readers lists them; all by default."

runs=1000 seconds=0 readers=()
while (($#)); do
  case $1 in
    --runs | --seconds)
      if [[ ! ${2:-} =~ ^[1-9][0-9]*$ ]]; then
        echo "$usage" >&2
        exit 2
      fi
      if [[ $1 == --runs ]]; then runs=$2; else seconds=$2; fi
      shift
      ;;
    -h | --help)
      echo "$usage"
      exit 0
      ;;
    -*)
      echo "$usage" >&2
      exit 2
      ;;
    *) readers+=("$1") ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! command -v clang++ >/dev/null; then
  echo "tests/fuzz/run.sh: no clang++ here: jobs/install.sh --tests" >&2
  exit 77
fi
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzz_readers --parallel "$(nproc)" >&2
target=$PWD/build/fuzz/fuzz_readers
work=$PWD/build/fuzz
/usr/bin/python3 tests/fuzz/seeds.py "$work/seeds"
if ((${#readers[@]} == 0)); then mapfile -t readers < <("$target"); fi
mkdir -p "$work/found" "$work/logs"
limit="-runs=$runs -seed=1"
if ((seconds)); then limit="-max_total_time=$seconds"; fi
export target work seconds limit

feed() { # READER
  local reader=$1 corpus=$work/corpus/$1 log=$work/logs/$1
  if ((!seconds)); then  # always the same inputs: nothing of an earlier run
    corpus=$work/corpus-short/$reader
    rm -rf "$corpus"
  fi
  mkdir -p "$corpus" "$work/seeds/$reader"
  # Sizes that a file claims must not be believed: little time and memory for an input.
  # shellcheck disable=SC2086
  if ASAN_OPTIONS=detect_leaks=1 "$target" "--reader=$reader" $limit -timeout=10 \
    -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$work/found/$reader-" "$corpus" "$work/seeds/$reader" >"$log" 2>&1; then
    printf '%-32s %9d inputs, %5d edges\n' "$reader" \
      "$(awk '/^stat::number_of_executed_units/ { print $2 }' "$log")" \
      "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)"
  else
    { echo "$reader FAILED:" && tail -n 40 "$log"; } >&2
    return 1
  fi
}
export -f feed
# One for every CPU at a time.
if ! printf '%s\n' "${readers[@]}" | xargs -P "$(nproc)" -I{} bash -c 'feed {}'; then exit 1; fi
