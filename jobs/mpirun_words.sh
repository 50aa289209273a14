#!/usr/bin/env bash
# The words by which an mpirun starts more ranks than cores, bound to none, as whoever calls this:
# jobs/mpirun_words.sh [MPIRUN]. Words, since the variables for it have other names in every release.
set -euo pipefail

case $("${1:-mpirun}" --version 2>&1 || true) in
  *"Open MPI"* | *OpenRTE* | *PRRTE*)
    words=(--oversubscribe --bind-to none)
    if ((EUID == 0)); then words+=(--allow-run-as-root); fi
    ;;
  *HYDRA*) words=(--bind-to none) ;;  # MPICH's: root and more ranks than cores need nothing
  *) words=() ;;                      # another one's defaults
esac
echo "${words[*]}"
