#!/usr/bin/env bash
# Installs the Debian packages that gembench is built with; with --report also those that the report
# is written with, with --tests also those of its tests (a browser and Slurm among them). Does nothing,
# quickly, when all are there. Needs root or sudo.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config git
  libopenmpi-dev openmpi-bin libhdf5-dev hdf5-tools libboost-program-options-dev libdnnl-dev
  libhwloc-dev nlohmann-json3-dev libfmt-dev libarchive-dev libzip-dev libyaml-dev zlib1g-dev
  libgtest-dev)
report=(python3 python3-h5py python3-xarray python3-h5netcdf)
tests=(python3-matplotlib python3-venv python3-setuptools mypy
  python3-selenium chromium chromium-driver fonts-dejavu-core
  slurmctld slurmd slurm-client munge iproute2 util-linux procps shellcheck doxygen
  clang libclang-rt-14-dev)
case "$*" in
  "") ;;
  --report) packages+=("${report[@]}") ;;
  --tests) packages+=("${report[@]}" "${tests[@]}") ;;
  -h | --help)
    echo "usage: jobs/install.sh [--report | --tests]"
    exit 0
    ;;
  *)
    echo "usage: jobs/install.sh [--report | --tests]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install.sh: no apt-get here; install the equivalents of: ${packages[*]}" >&2
  exit 3
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install.sh: run as root or with sudo to install: ${missing[*]}" >&2
    exit 3
  fi
  as_root=(sudo)
fi
echo "install.sh: installing ${missing[*]}" >&2
apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
"${as_root[@]}" "${apt[@]}" update >&2
"${as_root[@]}" "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2
