# Sourced by gpu_check.sh: how many GPUs there are.
# shellcheck shell=bash

# find_gpus: sets `gpus`. False, with a sentence, where there is none.
find_gpus() {
  local listed
  if ! command -v nvidia-smi >/dev/null; then
    echo "gpu_check.sh: there is no nvidia-smi to count GPUs with: say -n GPUS" >&2
    return 1
  fi
  if ! listed=$(nvidia-smi --list-gpus 2>&1); then
    echo "gpu_check.sh: nvidia-smi cannot list GPUs, and says \"${listed%%$'\n'*}\": mend that, or say -n GPUS" >&2
    return 1
  fi
  gpus=$(grep -c '^GPU ' <<<"$listed" || true)  # below each are lines of its MIG slices
  if ((gpus == 0)); then
    echo "gpu_check.sh: nvidia-smi lists no GPU: say -n GPUS" >&2
    return 1
  fi
}
