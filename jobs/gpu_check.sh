#!/usr/bin/env bash
# What to run first on a machine with GPUs, also with one:
# jobs/gpu_check.sh [-n GPUS] [-o FOLDER] [--minutes M] [--only STEPS] [-t]
# Builds with CUDA and runs the steps of gpu_check/steps.sh: ceilings, right results at 1, 2, 4, ...
# ranks, also where these share one GPU, comparisons with bare NCCL and cuBLAS, the cost of measuring,
# a soak. FOLDER (gpu-check/) gets at most 8 files, of which page.txt is to be pasted into an issue.
# --only names steps by a pattern, 'check_*'. -t uses tiny shapes, to try the script itself. GEMBENCH
# names another executable, with the benchmarks in its folder; then nothing is built. Exit code 0:
# everything was correct.
#
# jobs/gpu_check.sh --bundle FILE makes a file for a machine where nothing can be installed: see
# gpu_check/README.md.
set -euo pipefail

usage="usage: jobs/gpu_check.sh [-n GPUS] [-o FOLDER] [--minutes M] [--only STEPS] [-t] | --bundle FILE"
gpus=0
folder=gpu-check
minutes=20
tiny=0
only='*'
bundle=
while (($#)); do
  case $1 in
    -n | -o | --minutes | --only | --bundle)
      if (($# < 2)); then echo "$usage" >&2; exit 2; fi
      case $1 in
        -n) gpus=$2 ;;
        -o) folder=$2 ;;
        --minutes) minutes=$2 ;;
        --only) only=$2 ;;
        --bundle) bundle=$2 ;;
      esac
      shift
      ;;
    -t) tiny=1 ;;
    -h | --help) echo "$usage"; exit 0 ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
  shift
done
if [[ ! $gpus =~ ^[0-9]{1,4}$ || ! $minutes =~ ^[1-9][0-9]{0,3}$ ]]; then
  echo "$usage" >&2
  exit 2
fi

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ -z $bundle ]] && ((gpus == 0)); then
  # shellcheck source=jobs/gpu_check/gpus.sh
  source "$top/jobs/gpu_check/gpus.sh"
  find_gpus || exit 3
fi
benches=(ceilings repeat exchange experts layer)
if [[ -z ${GEMBENCH:-} ]]; then
  # shellcheck source=jobs/find.sh
  source "$top/jobs/find.sh"
  require_own_build "$top/build/release"
  choose_preset
  # CMake finds CUTLASS's headers there; what nothing is installed on has no others.
  if [[ -n $bundle ]] && ! "$top/tests/moe_layer/cuda/tools.sh" "$top/build/release/cuda_tools"; then
    echo "gpu_check.sh: goes on without CUTLASS's headers, which pip did not get" >&2
  fi
  (cd "$top" && cmake --preset "$preset" -DGEMBENCH_CUDA=ON >/dev/null &&
    cmake --build --preset "$preset" --parallel --target gembench gembench_cuda \
      "${benches[@]/#/bench_cuda_}") >&2
  GEMBENCH=$top/build/release/gembench
fi
export GEMBENCH
if [[ -n $bundle ]]; then
  # shellcheck source=jobs/gpu_check/bundle.sh
  source "$top/jobs/gpu_check/bundle.sh"
  make_bundle "$bundle"
  exit
fi

if ! mkdir -p "$folder" 2>/dev/null || [[ ! -w $folder ]]; then
  echo "gpu_check.sh: cannot write into $folder: give another one, -o FOLDER" >&2
  exit 4
fi
folder=$(cd "$folder" && pwd)
# What is killed leaves it behind, and FOLDER is handed on.
work=$(mktemp -d 2>/dev/null || mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -f "$folder"/{page,ceilings,right,times,soak}.txt "$folder"/{profile,compare}.h5 "$folder/soak.csv"
deadline=$((SECONDS + 60 * minutes))
# shellcheck source=jobs/gpu_check/runner.sh
source "$top/jobs/gpu_check/runner.sh"
# shellcheck source=jobs/gpu_check/steps.sh
source "$top/jobs/gpu_check/steps.sh"
echo "NOT FINISHED: this was ended before its verdict" >"$folder/page.txt"
code=0
{
  set +e  # the page goes on whatever fails
  all_steps
  echo
  end_of_page
} | tee -a "$folder/page.txt" || code=$?
sed -i 1d "$folder/page.txt"
exit $code
