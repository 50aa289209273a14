#!/usr/bin/env bash
# From a fresh clone to a first comparison: installs what is missing, builds Release, and runs the
# main command on 4 ranks. jobs/quickstart.sh [FILE [OPTION...]] writes FILE (default quickstart.h5)
# and its report as a web page in the same folder; options are gembench run's.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
output=${1:-quickstart.h5}
say() { echo "quickstart: $*" >&2; }
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  echo "usage: jobs/quickstart.sh [FILE [OPTION OF RUN...]]"
  exit 0
fi
if [[ ${1:-} == -* || (-n ${2:-} && $2 != -*) ]]; then
  echo "usage: jobs/quickstart.sh [FILE [OPTION OF RUN...]]" >&2
  exit 2
fi

# shellcheck source=jobs/find.sh
source "$top/jobs/find.sh"
if [[ -f $top/CMakeLists.txt ]]; then  # else it is installed
  require_own_build "$top/build/release"
  SECONDS=0
  say "looking for packages"
  "$top/jobs/install.sh" --report
  say "packages are there (${SECONDS} s)"

  SECONDS=0
  say "building"
  choose_preset
  (
    cd "$top"
    cmake --preset "$preset" >/dev/null
    if ! cmake --build --preset "$preset" --target gembench >&2; then
      say "the build failed; if only a new compiler's warnings did it, the same without them as errors:"
      say "  cmake --preset $preset -DGEMBENCH_WERROR=OFF && cmake --build --preset $preset"
      exit 1
    fi
  )
  say "built build/release/gembench (${SECONDS} s)"
fi
find_gembench
find_python || exit 3
# How to call them from where this was called, which may be the top of the tree.
program=${program#"$PWD/"}
report=$top/jobs/report.sh
report=${report#"$PWD/"}

SECONDS=0
say "running on 4 ranks until every difference is known to 2 points, 150 s at most${2:+, but ${*:2}}"
"$top/jobs/local.sh" -n 4 run \
  --model gpt-oss-20b --scale 4 --layers 8 --tokens 1024 \
  --routing synthetic --preset serving \
  --placements linear,eplb,gem,gem+ --variability high \
  --overwrite --output "$output" "${@:2}"
say "ran in ${SECONDS} s; the raw data of every step, layer and rank is in $output"
page=${output%.h5}.html
"$top/jobs/report.sh" "$output" -o "$page" -q
say "the report is $page: open it in a browser"
say "next:"
say "  $program compare $output --format json"
say "  $report $output --format md"
say "  h5dump -n $output"
say "  $python -c 'import xarray; print(xarray.open_dataset(\"$output\", engine=\"h5netcdf\"))'"
