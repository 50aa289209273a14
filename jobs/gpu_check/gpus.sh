# Sourced by gpu_check.sh: how many GPUs there are.
# shellcheck shell=bash

# find_gpus: sets `gpus`, those that CUDA offers to a program here. False, with a sentence, where there
# is none.
find_gpus() {
  local listed visible
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
  visible=$(visible_gpus)
  if ((visible == 0)); then
    echo "gpu_check.sh: CUDA_VISIBLE_DEVICES='$CUDA_VISIBLE_DEVICES' leaves no GPU: unset it, or say -n GPUS" >&2
    return 1
  fi
  gpus=$visible
}

# visible_gpus: how many of `gpus` CUDA_VISIBLE_DEVICES leaves. CUDA takes its entries up to the first
# that names none, and of MIG slices a program sees one.
visible_gpus() {
  local word words count=0
  if [[ -z ${CUDA_VISIBLE_DEVICES+set} ]]; then
    echo "$gpus"
    return
  fi
  IFS=, read -ra words <<<"$CUDA_VISIBLE_DEVICES"
  for word in "${words[@]}"; do
    if [[ ! $word =~ ^([0-9]{1,4}$|GPU-|MIG-) ]]; then break; fi
    if [[ $word != *-* ]] && ((10#$word >= gpus)); then break; fi
    count=$((count + 1))
    if [[ $word == MIG-* ]]; then break; fi
  done
  echo $((count < gpus ? count : gpus))
}
