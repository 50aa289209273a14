#!/usr/bin/env bash
# The report of one or several results.h5, without installing the package:
# jobs/report.sh FILE... [options of gembench-report]; --help lists them.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Debian's h5py and xarray belong to /usr/bin/python3, even if another python3 comes first on the
# PATH.
python=/usr/bin/python3
if ! "$python" -c 'import h5py, h5netcdf, xarray' 2>/dev/null; then
  echo "report.sh: h5py, h5netcdf or xarray is missing: run jobs/install.sh --report" >&2
  exit 3
fi
# The program that makes the summary of a file without one.
if [ -z "${GEMBENCH:-}" ] && [ -x "$top/build/release/gembench" ]; then
  export GEMBENCH="$top/build/release/gembench"
fi
PYTHONPATH="$top/analysis${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 \
  exec "$python" -m gembench_analysis "$@"
