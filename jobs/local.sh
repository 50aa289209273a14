#!/usr/bin/env bash
# Runs gembench on this machine: jobs/local.sh -n RANKS COMMAND [options]
# mpirun with the options that a laptop or root needs: more ranks than cores, no binding. DRY_RUN=1
# prints the command instead. GEMBENCH names another executable. gembench reports errors in one
# sentence; mpirun's additional messages are left out.
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
# shellcheck source=jobs/find.sh
source "$top/jobs/find.sh"
find_gembench
read -ra words < <("$top/jobs/mpirun_words.sh")
command=(mpirun "${words[@]}" -n "$ranks" "$program" "$@")
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
# The command to continue that an interrupted run prints.
GEMBENCH_STARTED_BY=$(printf '%q -n %q' "$0" "$ranks")
export GEMBENCH_STARTED_BY
# What standard output and error lead to, which ranks cannot see: mpirun is between.
GEMBENCH_TERMINAL=
if [[ -t 1 ]]; then GEMBENCH_TERMINAL+='out '; fi
if [[ -t 2 ]]; then
  GEMBENCH_TERMINAL+=err
  COLUMNS=$(stty size <&2 2>/dev/null | cut -d' ' -f2) || COLUMNS=
  export COLUMNS
fi
export GEMBENCH_TERMINAL
# Blocks between lines of dashes in which mpirun reports that a process ended with an error (Open
# MPI 4 and 5). Other blocks, about errors of mpirun itself or a process that a signal killed, stay.
epilogue='MPI_ABORT was invoked|^Primary job +terminated normally, but|(mpirun|prterun) detected that one'
epilogue+='|(mpirun|prterun) has exited due to process rank .* calling "abort"'
# MPICH's one line of that.
abort_line='^Abort\([0-9]+\) on node [0-9]+ .*application called MPI_Abort\('
without_epilogue() {
  trap '' INT TERM HUP PIPE  # as long as mpirun has something to say
  local line frame columns=${COLUMNS:-} inside=0 known=0 said=0 block='' kept=''
  if [[ ! $columns =~ ^[1-9][0-9]{0,4}$ ]]; then columns=0; fi
  trap 'columns=$(stty size <&3 2>/dev/null | cut -d" " -f2)' WINCH
  while IFS= read -r line || [[ -n $line ]]; do
    if [[ $line == $'\r'* ]]; then  # progress in place: the line's end is for this loop alone
      frame=$line
      if ((columns)); then frame=${line:0:columns}; fi  # the window may be narrower by now
      if [[ $line == *$'\r' ]]; then frame=${frame%$'\r'}$'\r'; fi
      printf '%s' "$frame"
      continue
    fi
    if [[ $line =~ ^-{60,}$ ]]; then
      block+=$line$'\n'
      if ((inside && known)); then kept+=$block; elif ((inside)); then printf '%s' "$block"; fi
      if ((inside)); then block=''; fi
      inside=$((!inside)) known=0
    elif ((inside)) && [[ $line != gembench:* ]]; then
      block+=$line$'\n'
      if [[ $line =~ $epilogue ]]; then known=1; fi
    elif [[ $line =~ $abort_line ]]; then
      kept+=$line$'\n'
    elif [[ ! $line =~ ^\[.*\]\ (.*help message.*mpi-abort|Set MCA parameter .*help_aggregate) ]]; then
      printf '%s\n' "$line"
    fi
    if [[ $line == gembench:* ]]; then said=1; fi
  done
  if ((!known)); then printf '%s' "$block"; fi
  if ((!said)); then printf '%s' "$kept"; fi
} >&3
if [[ ! -e /dev/fd/2 ]]; then exec "${command[@]}"; fi
set +e  # what cannot be written is lost, and the rest is read all the same
exec "${command[@]}" 2> >(without_epilogue 3>&2 2>/dev/null)
