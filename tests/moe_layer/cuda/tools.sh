#!/usr/bin/env bash
# Puts what the tests of compiled kernels use beside the CUDA toolkit into a folder: cuobjdump and
# nvdisasm (bin/) and CUTLASS's headers (include/), from the Python package index. Does nothing, quickly,
# when they are there. tests/moe_layer/cuda/tools.sh FOLDER
set -euo pipefail

if (($# != 1)); then
  echo "usage: tests/moe_layer/cuda/tools.sh FOLDER" >&2
  exit 2
fi
folder=$1
packages=(nvidia-cuda-cuobjdump==13.5.37 nvidia-cuda-nvdisasm==13.5.37 nvidia-cutlass==4.2.0.0)
if [[ $(cat "$folder/packages" 2>/dev/null) == "${packages[*]}" ]]; then exit 0; fi

rm -rf "$folder"
mkdir -p "$folder"
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install -q --disable-pip-version-check --no-deps --target "$folder/installed" \
  "${packages[@]}" >&2
mkdir "$folder/bin"
for tool in "$folder"/installed/nvidia/*/bin/{cuobjdump,nvdisasm}; do
  if [[ -f $tool ]]; then install -m 755 "$tool" "$folder/bin"; fi
done
mv "$folder/installed/cutlass_library/source/include" "$folder/include"
rm -rf "$folder/installed" "$folder/python"
echo "${packages[*]}" >"$folder/packages"
