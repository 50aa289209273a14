#!/usr/bin/env bash
# In a bundle: starts the program that it is named after, with the bundle's libraries and, if
# GEMBENCH_OWN_LIBC is set, its glibc too. The environment is this program's alone: what else is
# started keeps the machine's libraries.
real=$(cd "$(dirname "${BASH_SOURCE[0]}")/../real" && pwd)
if [[ -n ${GEMBENCH_OWN_LIBC:-} ]]; then
  # The program then finds its plugin beside the loader, which is the process.
  exec "$real"/ld-linux*.so.* --library-path "$GEMBENCH_LIBRARIES" "$real/${0##*/}" "$@"
fi
LD_LIBRARY_PATH=$GEMBENCH_LIBRARIES exec "$real/${0##*/}" "$@"
