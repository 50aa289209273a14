#!/usr/bin/env bash
# Slurm's Prolog: before a job, measures the node's GPUs (gembench probe) and drains the node if one
# of them is certainly slow, which two probes in a row must say. In slurm.conf:
#   Prolog=/PATH/TO/jobs/probe_prolog.sh
# The job itself starts in any case: this ends with 0 if the node was drained, if the probe cannot
# tell, and if gembench is missing or fails. Settings are in site.sh. Of a job with GPUs of its own
# (SLURM_JOB_GPUS) only these are measured; a single one is compared with probe_history alone.
set -uo pipefail
export PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin  # Slurm sets none
export HOME=${HOME:-/root}

say() { echo "probe_prolog.sh: $*" >&2; }

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=jobs/site.sh
source "${GEMBENCH_SITE:-$top/jobs/site.sh}" || exit 0
if command -v module >/dev/null; then
  for module in "${modules[@]}"; do module load "$module" || true; done
fi
# shellcheck source=jobs/find.sh
source "$top/jobs/find.sh" || exit 0
find_gembench
if [[ ! -x $program ]]; then
  say "there is no $program, so nothing is measured: build it, or set GEMBENCH"
  exit 0
fi

node=${SLURMD_NODENAME:-$(hostname -s)}
words=(probe --quiet "${probe_options[@]}")
ranks=$ranks_per_node
if [[ -n ${SLURM_JOB_GPUS:-} ]]; then
  export CUDA_DEVICE_ORDER=PCI_BUS_ID  # as Slurm counts them
  export CUDA_VISIBLE_DEVICES=$SLURM_JOB_GPUS
  IFS=, read -ra gpus <<<"$SLURM_JOB_GPUS"
  ranks=${#gpus[@]}
elif ((gpus_per_node)); then
  ranks=$gpus_per_node
fi
if [[ -n ${SLURM_JOB_GPUS:-} ]] || ((gpus_per_node)); then words+=(--device cuda); fi
command=("$program")
if ((ranks > 1)); then command=("$top/jobs/local.sh" -n "$ranks"); fi
if [[ -n $probe_history ]]; then
  mkdir -p "$probe_history" || exit 0
  words+=(--history "$probe_history")
elif ((ranks == 1)); then
  say "a single GPU can only be compared with its past: set probe_history in site.sh"
  exit 0
fi
new=$(mktemp -d) || exit 0
trap 'rm -rf "$new"' EXIT

# Without Slurm's variables, with which mpirun would ask Slurm to start the ranks; scontrol below
# needs them.
outside_slurm() {
  local slurms
  mapfile -t slurms < <(compgen -v SLURM)
  unset "${slurms[@]}"
  GEMBENCH=$program timeout --kill-after=5 "$probe_timeout" "$@"
}

# Sets `code`, and `found` to what it said.
probe() {
  code=0
  found=$(outside_slurm "${command[@]}" "${words[@]}" --output "$new/probe.h5" --overwrite) ||
    code=$?
}

probe
if ((code == 1)); then probe; fi
slow=$(grep -m1 -E '^# rank .* (is|has become) slow: ' <<<"$found") || slow=
if ((code == 1)) && [[ -n $slow ]]; then
  say "$node is drained: ${slow#\# }"
  scontrol update nodename="$node" state=drain reason="gembench probe: ${slow#\# }" ||
    say "scontrol could not drain $node"
elif ((code != 0 && code != 7)); then
  say "the probe ended with code $code, so nothing is known of $node"
elif [[ -n $probe_history ]]; then  # 7 too: what it takes to tell more is a longer history
  mv "$new/probe.h5" "$probe_history/$(date -u +%FT%H%M%SZ).h5" || true
fi
exit 0
