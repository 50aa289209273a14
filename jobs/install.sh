#!/usr/bin/env bash
# Installs the Debian packages that gembench is built with; with --report also those that the report
# is written with, with --tests also those of its tests (a browser and Slurm among them). Does nothing,
# quickly, when all are there; leaves MPICH where that is installed. Needs root or sudo.
set -euo pipefail

# A name|another: the first that this system knows, unless one of them is installed already. A name?:
# only where there is one; what needs it says so, and its tests skip themselves.
packages=(g++ cmake ninja-build pkg-config git
  libhdf5-dev 'hdf5-tools?' libboost-program-options-dev libdnnl-dev
  libhwloc-dev nlohmann-json3-dev libfmt-dev libarchive-dev libzip-dev libyaml-dev zlib1g-dev
  libgtest-dev)
report=(python3 python3-h5py python3-xarray python3-h5netcdf)
tests=(python3-matplotlib 'python3-netcdf4?' python3-venv python3-setuptools 'mypy?'
  'python3-selenium?' 'chromium?' 'chromium-driver?' fonts-dejavu-core
  'slurmctld?' 'slurmd?' 'slurm-client?' 'munge?' iproute2 util-linux procps 'shellcheck?' 'doxygen?'
  'clang?' 'libclang-rt-dev|libclang-rt-14-dev?')
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

is_installed() {
  [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null || true) == "install ok installed" ]]
}
is_known() { [[ $(apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]; }

if is_installed libmpich-dev && ! is_installed libopenmpi-dev; then
  packages+=(libmpich-dev mpich)
else
  packages+=(libopenmpi-dev openmpi-bin)
fi

missing=()
for package in "${packages[@]}"; do
  IFS='|' read -ra names <<<"${package//\?/}"
  there=0
  for name in "${names[@]}"; do
    if is_installed "$name"; then there=1; fi
  done
  if ((!there)); then missing+=("$package"); fi
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
apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
"${as_root[@]}" "${apt[@]}" update >&2

# By now apt knows what this system calls them.
install=() absent=() refused=()
for package in "${missing[@]}"; do
  IFS='|' read -ra names <<<"${package//\?/}"
  chosen=''
  for name in "${names[@]}"; do
    if [[ -z $chosen ]] && is_known "$name"; then chosen=$name; fi
  done
  if [[ -n $chosen ]]; then
    install+=("$chosen")
  elif [[ $package == *\? ]]; then
    absent+=("${names[*]}")
  else
    refused+=("${names[*]}")
  fi
done
if ((${#refused[@]})); then
  echo "install.sh: apt knows no $(printf "'%s' " "${refused[@]}"): install their equivalents" >&2
  exit 3
fi
if ((${#absent[@]})); then
  echo "install.sh: not to be had here, so what needs them is skipped: ${absent[*]}" >&2
fi
if ((${#install[@]} == 0)); then
  exit 0
fi
echo "install.sh: installing ${install[*]}" >&2
"${as_root[@]}" "${apt[@]}" install -y --no-install-recommends "${install[@]}" >&2
