#!/usr/bin/env bash
# The report of one or several results.h5, without installing the package:
# jobs/report.sh FILE... [options of gembench-report]; --help lists them. GEMBENCH_PYTHON names another
# Python than the first that has h5py; GEMBENCH another executable.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=jobs/find.sh
source "$top/jobs/find.sh"
find_python || exit 3
if [[ " $* " != *" -q "* && " $* " != *" --quiet "* ]]; then
  echo "report.sh: Python is $python" >&2
fi
# Makes the summary of a file that holds none.
find_gembench
if [[ -x $program ]]; then export GEMBENCH=$program; fi
PYTHONPATH="$top/analysis${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 \
  exec "$python" -m gembench_analysis "$@"
