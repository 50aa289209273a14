#!/usr/bin/env bash
# Installs what is missing, builds Release and runs the tests. tests/run.sh [--full | --slow]
# --full adds what takes minutes, as CI does; --slow also what measures or tries for hours.
set -euo pipefail

targets=(all)
unity=ON
case ${1:-} in
  "") exclude=(-LE "slow|full") ;;
  --full)
    exclude=(-LE slow)
    targets+=(benches)
    ;;
  --slow)
    exclude=()
    targets+=(benches)
    unity=OFF # every source by itself, as it must compile too
    ;;
  *)
    echo "usage: tests/run.sh [--full | --slow]" >&2
    exit 2
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { echo "tests/run.sh: $*" >&2; }

top=$PWD
# shellcheck source=jobs/find.sh
source jobs/find.sh
require_own_build build/release
SECONDS=0
jobs/install.sh --tests
say "packages are there (${SECONDS} s)"
SECONDS=0
# Where the toolkit is installed the CUDA device must build.
cuda=AUTO
if command -v nvcc >/dev/null || [[ -x /usr/local/cuda/bin/nvcc ]]; then
  cuda=ON
  # CTest lists the tests that need what is missing as skipped.
  tests/moe_layer/cuda/tools.sh build/release/cuda_tools || say "goes on without these tools"
fi
cmake --preset release -DGEMBENCH_CUDA=$cuda -DGEMBENCH_UNITY=$unity >/dev/null
cmake --build --preset release --parallel "$(nproc)" --target "${targets[@]}" >&2
say "built (${SECONDS} s)"
# One more than there are CPUs: tests wait for processes that start and end.
ctest --preset release -j "$(($(nproc) + 1))" "${exclude[@]}"
