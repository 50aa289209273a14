# Sourced by a bundle's run: finds libraries of CUDA's that the bundle does not carry.
# shellcheck shell=bash

# cuda_folders: where they may lie, a folder a line, best first: what the user says; what the loader
# knows; the toolkit; Python packages.
cuda_folders() {
  local folder
  tr ':' '\n' <<<"${LD_LIBRARY_PATH:-}"
  { ldconfig -p || /sbin/ldconfig -p || true; } 2>/dev/null |
    sed -n 's/^[[:space:]]*lib\(cublas\|cublasLt\|nccl\)\.so.* => //p' | sed 's|/[^/]*$||'
  for folder in "${CUDA_HOME:-}" /usr/local/cuda /usr/local/cuda-*; do
    printf '%s\n' "$folder"/lib64 "$folder"/lib "$folder"/targets/*/lib
  done
  # torch's environment may not be python3's: the usual places too.
  {
    python3 -c 'import site, sys; print("\n".join(sys.path + site.getsitepackages()))' || true
    printf '%s\n' /usr/lib/python3/dist-packages /usr/local/lib/python3*/dist-packages \
      /opt/*/lib/python3*/site-packages /opt/*/.venv/lib/python3*/site-packages
  } 2>/dev/null | while IFS= read -r folder; do
    if [[ -d $folder/nvidia ]]; then printf '%s\n' "$folder"/nvidia/*/lib; fi
    if [[ -d $folder/torch/lib ]]; then printf '%s\n' "$folder/torch/lib"; fi
  done
}

# find_cuda NAME...: sets `cuda_path`, folders with all of these files, ":" between, and
# `cuda_found`, the files. False, with a sentence, where one is missing.
find_cuda() {
  local name folder file folders
  mapfile -t folders < <(cuda_folders | awk 'NF && !seen[$0]++')
  cuda_path='' cuda_found=''
  for name in "$@"; do
    file=
    for folder in "${folders[@]}"; do
      if [[ -e $folder/$name ]]; then
        file=$folder/$name
        break
      fi
    done
    if [[ -z $file ]]; then
      echo "gpu_check: $name is not on this machine: install it (pip install $(wheel_of "$name")), or" \
        "name its folder in LD_LIBRARY_PATH" >&2
      return 1
    fi
    cuda_found+="found $(realpath "$file")"$'\n'
    if [[ :$cuda_path: != *":$folder:"* ]]; then cuda_path+=${cuda_path:+:}$folder; fi
    if [[ $name == libnccl* ]]; then export GEMBENCH_NCCL=$file; fi
  done
}

wheel_of() { # LIBRARY
  local major=${1##*.so.}
  case $1 in
    libnccl*) echo "nvidia-nccl-cu13" ;;
    libcublas*) if ((${major%%.*} >= 13)); then echo "nvidia-cublas"; else echo "nvidia-cublas-cu${major%%.*}"; fi ;;
    *) echo "nvidia-cuda-runtime" ;;
  esac
}
