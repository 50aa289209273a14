#!/usr/bin/env bash
# Submits with the settings of site.sh: jobs/submit.sh [sbatch options] NAME.sbatch [words for it]
# Options given here win: jobs/submit.sh -N 4 --time=10 run.sbatch --model mixtral-8x7b -o a.h5
# DRY_RUN=1 prints the sbatch command instead.
set -euo pipefail

usage="usage: jobs/submit.sh [sbatch options] run.sbatch|profile.sbatch|sweep.sbatch [words]"
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  echo "$usage"
  exit 0
fi
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
options=()
while [[ $# -gt 0 && $1 != *.sbatch ]]; do
  options+=("$1")
  shift
done
script=$top/jobs/$(basename "${1:-none}")
if [[ ! -f $script ]]; then
  echo "$usage" >&2
  exit 2
fi
shift

# shellcheck source=jobs/site.sh
source "${GEMBENCH_SITE:-$top/jobs/site.sh}"
command=(sbatch "--ntasks-per-node=$ranks_per_node")
if [[ -n $partition ]]; then command+=("--partition=$partition"); fi
if [[ -n $account ]]; then command+=("--account=$account"); fi
if ((gpus_per_node)); then
  command+=("--gpus-per-node=$gpus_per_node")
  cpus_per_rank=${cpus_per_rank:-4}
fi
# A site.sh from before it had this has none.
if [[ -n ${cpus_per_rank:-} ]]; then command+=("--cpus-per-task=$cpus_per_rank"); fi
if [[ $script == */sweep.sbatch ]]; then
  if [[ ! -r ${1:-} ]]; then
    echo "submit.sh: sweep.sbatch needs a table that can be read, such as jobs/sweep.csv" >&2
    exit 2
  fi
  command+=("--array=1-$(($(grep -c '[^[:space:]]' "$1") - 1))")
fi
command+=("${sbatch_options[@]}" "${options[@]}" "$script" "$@")
export GEMBENCH_TOP=$top  # Slurm runs a copy of the script, which cannot tell where it came from
if [[ ${DRY_RUN:-0} == 1 ]]; then
  printf '%q ' "${command[@]}"
  echo
  exit 0
fi
if ! command -v sbatch >/dev/null; then
  echo "submit.sh: there is no sbatch: use jobs/local.sh where there is no Slurm" >&2
  exit 3
fi
exec "${command[@]}"
