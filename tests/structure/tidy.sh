#!/usr/bin/env bash
# clang-tidy, as .clang-tidy configures it, over every C++ source: prints the findings; exit 1 when
# there are any, 77 where it cannot run. Compile commands come from the build folder given, by
# default of preset dev: one that compiles every source alone.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath -m "${1:-$top/build/dev}")
if ! command -v clang-tidy >/dev/null; then
  echo "tidy.sh: there is no clang-tidy here: install it to run this check"
  exit 77
fi
if [[ ! -f $build/compile_commands.json ]]; then
  echo "tidy.sh: $build holds no compile commands: configure it first"
  exit 77
fi

cd "$top"
# Standard error only counts the warnings of system headers, which nobody sees.
find placement results moe_layer harness tests -name '*.cpp' -print0 | sort -z |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p "$build" --quiet 2>/dev/null &&
  echo "clang-tidy finds nothing"
