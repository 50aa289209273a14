# Sourced by the scripts here, which set $top: finds the program and Python, and build folders that
# belong elsewhere.
# shellcheck shell=bash disable=SC2034,SC2154  # used by those who source it, and set by them

# Sets `program`: GEMBENCH, else the checkout's own build, else the installed one: below the prefix
# that these scripts are installed in, or on the PATH.
find_gembench() {
  program=${GEMBENCH:-$top/build/release/gembench}
  if [[ -n ${GEMBENCH:-} || -x $program ]]; then return; fi
  local installed=$top/../../bin/gembench
  if [[ -f $top/CMakeLists.txt || ! -x $installed ]]; then
    installed=$(command -v gembench) || return 0
  fi
  program=$(realpath "$installed")
}

# Sets `python` to one that can read results: GEMBENCH_PYTHON, which is then the only one looked at,
# else the first of: an active venv's, conda's, python3 on the PATH, the system's. False, with a
# sentence, where none can.
find_python() {
  local candidate reads='import importlib.util as i, h5py; assert i.find_spec("h5netcdf") and i.find_spec("xarray")'
  local candidates=("${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python3}" "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python3}"
    "$(command -v python3 || true)" /usr/bin/python3)
  if [[ -n ${GEMBENCH_PYTHON:-} ]]; then candidates=("$GEMBENCH_PYTHON"); fi
  for candidate in "${candidates[@]}"; do
    if [[ -n $candidate ]] && "$candidate" -c "$reads" 2>/dev/null; then
      python=$candidate
      return
    fi
  done
  echo "${0##*/}: h5py, h5netcdf or xarray is missing from ${GEMBENCH_PYTHON:-every python3 here}:" \
    "install them (Debian: python3-h5py python3-h5netcdf python3-xarray), or set GEMBENCH_PYTHON to a" \
    "Python that has them" >&2
  return 1
}

# CMake refuses a build folder that was copied or moved along with its sources.
require_own_build() { # FOLDER
  local made_for
  made_for=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$1/CMakeCache.txt" 2>/dev/null || true)
  if [[ -z $made_for || $made_for -ef $top ]]; then return; fi
  echo "${0##*/}: $1 was made for the sources in $made_for: delete it (rm -r $1) and start again" >&2
  exit 3
}

# Sets `preset`: that of the build there is, else by Ninja where there is one.
choose_preset() {
  local cache=$top/build/release/CMakeCache.txt
  preset=release
  if [[ ! -f $cache ]]; then
    if ! command -v ninja >/dev/null; then preset=release-make; fi
  elif grep -q '^CMAKE_GENERATOR:INTERNAL=Unix Makefiles' "$cache"; then
    preset=release-make
  fi
}
