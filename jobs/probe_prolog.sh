#!/usr/bin/env bash
# Slurm's Prolog: before a job, measures the node's GPUs (gembench probe) and drains the node if one
# of them is certainly slow, which two probes in a row must say of the same one. In slurm.conf:
#   Prolog=/PATH/TO/jobs/probe_prolog.sh
# The job itself starts in any case, since Slurm drains a node whose prolog fails: this ends with 0 if
# the node was drained, if the probe cannot tell, and if gembench is missing or this itself fails. Settings are in site.sh. Of a job with GPUs of its own
# (SLURM_JOB_GPUS) only these are measured; a single one is compared with probe_history alone.
trap 'exit 0' EXIT
set -uo pipefail
export PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin  # Slurm sets none
export HOME=${HOME:-/root}

say() { echo "probe_prolog.sh: $*" >&2; }

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What a site.sh of an earlier version does not set.
modules=() ranks_per_node=1 gpus_per_node=0
probe_options=(--max-seconds 30) probe_timeout=120 probe_history=
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
  export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=$SLURM_JOB_GPUS  # as Slurm counts them
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
part=${probe_history:-$new}/.probe_prolog.$$
trap 'rm -rf "$new" "$part"; exit 0' EXIT
mapfile -t slurms < <(compgen -v SLURM)  # with them mpirun would ask Slurm to start the ranks

# Sets `code`, and `slow` to its sentences on slow ranks.
probe() {
  local found
  code=0
  found=$(unset "${slurms[@]}" && GEMBENCH=$program timeout --kill-after=5 "$probe_timeout" \
    "${command[@]}" "${words[@]}" --output "$new/probe.h5" --overwrite) || code=$?
  mapfile -t slow < <(sed -nE 's/^# (rank .* (is|has become) slow: )/\1/p' <<<"$found")
}

# Whom a sentence is about: the GPU's uuid, else the rank.
device_in() {
  [[ $1 =~ (GPU|MIG)-[^\)]* || $1 =~ ^rank\ [0-9]+ ]] && echo "${BASH_REMATCH[0]}"
}

# Sets `twice` to a sentence of the second probe on a device that the first one named, too.
ask_again() {
  local sentence devices=
  twice=
  for sentence in "${slow[@]}"; do devices+=$(device_in "$sentence")$'\n'; done
  probe
  if ((code != 1)); then return; fi
  for sentence in "${slow[@]}"; do
    if grep -qxF "$(device_in "$sentence")" <<<"$devices"; then
      twice=$sentence
      return
    fi
  done
  say "two probes of $node do not name the same device, so nothing is known of it"
}

# Adds the probe to the history, of which the newest are kept.
keep() {
  local most=100 files
  cp "$new/probe.h5" "$part" || return
  mv "$part" "$probe_history/$(date -u +%FT%H%M%SZ)-${SLURM_JOB_ID:-$$}.h5"
  files=("$probe_history"/20??-??-??T??????Z*.h5)  # in the order of time
  if ((${#files[@]} > most)); then rm -f "${files[@]:0:${#files[@]}-most}"; fi
}

probe
if ((code == 1)); then ask_again; fi
if ((code == 1)); then
  if [[ -n $twice ]]; then
    say "$node is drained: $twice"
    scontrol update nodename="$node" state=drain reason="gembench probe: $twice" ||
      say "scontrol could not drain $node"
  fi
elif ((code != 0 && code != 7)); then
  say "the probe ended with code $code, so nothing is known of $node"
elif [[ -n $probe_history ]]; then  # 7 too: what it takes to tell more is a longer history
  keep || say "the probe could not be kept in $probe_history"
fi
