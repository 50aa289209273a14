#!/usr/bin/env bash
# Tries gembench on another Debian from nothing: a minimal chroot, a clean clone of HEAD, real apt and
# the README's two commands. Prints a row for the table in README.md; what happens goes to standard
# error. Exit 0 when all of it passed, 1 when something did not, 2 usage, 3 where it cannot run.
set -euo pipefail

usage="usage: tests/systems/try.sh SUITE [--mpi openmpi | --mpi mpich] [--quick] [--ccache]
  SUITE    what debootstrap calls it: bookworm, trixie, forky, sid
  --mpi    which MPI to install (default: openmpi)
  --quick  the program, a small run and the tests that differ from system to system, without CUDA
  --ccache takes what an earlier try compiled from ccache; the times say less then. With --quick too
GEMBENCH_SYSTEMS: where chroots and packages lie (default: \${XDG_CACHE_HOME:-~/.cache}/gembench/systems)
GEMBENCH_MIRROR: Debian's packages, old ones too (default: http://deb.debian.org/debian)"

suite='' mpi=openmpi quick=0 ccache=0
while (($#)); do
  case $1 in
    --mpi)
      mpi=${2:-}
      if (($# > 1)); then shift; fi
      ;;
    --quick) quick=1 ccache=1 ;;
    --ccache) ccache=1 ;;
    -h | --help)
      echo "$usage"
      exit 0
      ;;
    -*)
      suite=''
      break
      ;;
    *) suite=$1 ;;
  esac
  shift
done
if [[ ! $suite =~ ^[a-z]+$ || ! $mpi =~ ^(openmpi|mpich)$ || $# -gt 0 ]]; then
  echo "$usage" >&2
  exit 2
fi
if ((EUID != 0)) || ! command -v debootstrap >/dev/null; then
  echo "try.sh: needs root, debootstrap (apt-get install debootstrap) and a Debian mirror in reach" >&2
  exit 3
fi
# Mounts and processes of a namespace of its own are gone when it ends, however that happens.
if [[ -z ${GEMBENCH_INSIDE:-} ]]; then
  words=("$suite" --mpi "$mpi")
  if ((quick)); then words+=(--quick); fi
  if ((ccache)); then words+=(--ccache); fi
  GEMBENCH_INSIDE=1 exec unshare --mount --pid --fork --kill-child "${BASH_SOURCE[0]}" "${words[@]}"
fi

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${GEMBENCH_SYSTEMS:-${XDG_CACHE_HOME:-$HOME/.cache}/gembench/systems}
mirror=${GEMBENCH_MIRROR:-http://deb.debian.org/debian}
root=$cache/$suite-$mpi
compiler=()
if ((ccache)); then
  compiler=(CCACHE_DIR=/ccache "CCACHE_SLOPPINESS=pch_defines,time_macros"
    CMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
script=()  # a debootstrap older than the suite has none for it; all Debians of today share one
if [[ ! -e /usr/share/debootstrap/scripts/$suite ]]; then script=(/usr/share/debootstrap/scripts/sid); fi
trap 'exit 130' INT
say() { echo "try.sh: $*" >&2; }

inside() {  # WORDS...: in the chroot's clone, with nothing of this machine's environment
  chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "${compiler[@]}" bash -c 'cd /gembench && "$@"' bash "$@"
}

times='' failed=''
step() {  # NAME WORDS...: its time, and its name where it fails; nothing after a failure
  local name=$1 code=0
  shift
  if [[ -n $failed ]]; then return; fi
  say "$name"
  SECONDS=0
  "$@" >&2 || code=$?
  times+="${times:+, }$name $SECONDS s"
  if ((code)); then failed=$name; fi
}

bootstrap() {
  rm -rf --one-file-system "$root" &&
    mkdir -p "$cache/packages/partial" "$cache/ccache" &&
    debootstrap --variant=minbase --cache-dir="$cache/packages" "$suite" "$root" "$mirror" \
      "${script[@]}" &&
    mount -t proc proc "$root/proc" &&
    mount --rbind /sys "$root/sys" &&
    mount --rbind /dev "$root/dev" &&
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" &&
    mount --bind "$cache/packages" "$root/var/cache/apt/archives" &&
    mkdir "$root/ccache" &&
    mount --bind "$cache/ccache" "$root/ccache" &&
    echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90gembench" &&
    git clone -q "$top" "$root/gembench" &&
    git -C "$root/gembench" checkout -q --detach "$commit"
}

install_packages() {
  local first=()
  if [[ $mpi == mpich ]]; then first+=(mpich libmpich-dev); fi  # install.sh leaves it there
  if ((ccache)); then first+=(ccache); fi
  if ((quick)); then first+=(python3-netcdf4); fi
  if ((${#first[@]})); then
    inside apt-get -q update &&
      inside apt-get -q install -y --no-install-recommends "${first[@]}" || return
  fi
  inside jobs/install.sh "$@"
}

small_run() {
  inside jobs/local.sh -n 4 run --model gpt-oss-20b --scale 16 --layers 2 --tokens 256 \
    --steps 16 --placements linear,gem -q -o small.h5 &&
    inside build/release/gembench compare small.h5 &&
    inside jobs/report.sh small.h5 -o small.html -q
}

# Tests of what differs: MPI, HDF5, oneDNN, and the program started by mpirun.
quick_targets=(gembench moe_layer.mpi harness.mpi results_run_file results_unfinished
  results_other_files results_resume results_hostile results_write_example results_read_corpus)
quick_tests='^(results_|moe_layer\.mpi|harness\.mpi|end_to_end\.(run|mistakes)$|systems\.)'

# Versions, as the system's own tools and the program tell them; nothing where they cannot.
version_of() {  # WORDS...
  { inside "$@" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; } || true
}
of_program() { grep -oE "($1) v?[0-9][0-9a-z.]*" <<<"$about" | head -n 1 || true; }
row() {
  local about system
  about=$(inside build/release/gembench --version 2>/dev/null || true)
  system=$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' "$root/etc/os-release" 2>/dev/null || true)
  echo "| ${system:-$suite} | $(date -u +%F), ${commit:0:7} | GCC $(version_of g++ -dumpfullversion)" \
    "| $(version_of cmake --version) | $(of_program 'Open MPI|MPICH') | $(of_program HDF5)" \
    "| $(of_program oneDNN) | $times | ${failed:+failed: }${failed:-passed} |"
}

main() {  # read whole before it starts: this file may change meanwhile
  step chroot bootstrap
  if ((quick)); then
    step packages install_packages --report
    step configure inside cmake --preset release -DGEMBENCH_CUDA=OFF
    step build inside cmake --build --preset release --target "${quick_targets[@]}"
    step run small_run
    step tests inside ctest --preset release -R "$quick_tests"
  else
    step packages install_packages --tests
    step quickstart inside jobs/quickstart.sh
    step tests inside tests/run.sh
  fi
  row
  say "the chroot stays for a look, until the next try: $root"
  [[ -z $failed ]]
}
commit=$(git -C "$top" rev-parse HEAD)
main
