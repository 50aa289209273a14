#!/usr/bin/env bash
# Runs gembench on this machine: jobs/local.sh -n RANKS COMMAND [options]
# mpirun with what a laptop or root needs: more ranks than cores, no binding.
# DRY_RUN=1 prints the command instead. GEMBENCH names another executable.
set -euo pipefail

usage="usage: jobs/local.sh -n RANKS COMMAND [options]   (gembench --help lists the commands)"
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  echo "$usage"
  exit 0
fi
if [[ ${1:-} != -n || ! ${2:-} =~ ^[1-9][0-9]*$ || $# -lt 3 ]]; then
  echo "$usage" >&2
  exit 2
fi
ranks=$2
shift 2

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=${GEMBENCH:-$top/build/release/gembench}
command=(mpirun --oversubscribe --bind-to none -n "$ranks")
if ((EUID == 0)); then
  command+=(--allow-run-as-root)
fi
command+=("$program" "$@")
if [[ ${DRY_RUN:-0} == 1 ]]; then
  printf '%q ' "${command[@]}"
  echo
  exit 0
fi
if ! command -v mpirun >/dev/null; then
  echo "local.sh: there is no mpirun: run jobs/install.sh" >&2
  exit 3
fi
if [[ ! -x $program ]]; then
  echo "local.sh: $program is not built: run jobs/quickstart.sh, or set GEMBENCH" >&2
  exit 3
fi
# What an interrupted run says to type.
GEMBENCH_STARTED_BY=$(printf '%q -n %q' "$0" "$ranks")
export GEMBENCH_STARTED_BY
exec "${command[@]}"
