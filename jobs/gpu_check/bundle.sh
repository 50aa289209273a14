# Sourced by gpu_check.sh: makes the file that runs on a bare machine with a GPU. README.md here says
# what it holds.
# shellcheck shell=bash disable=SC2154  # top, benches: set by gpu_check.sh

# What comes with every Linux that has a shell: glibc's own, which only all together fit.
glibc='^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util|anl|nsl|mvec|BrokenLocale|thread_db|nss_.*)\.so.*)$'
# Hundreds of megabytes, or the driver's: found on the machine by find_cuda.sh.
foreign='^lib(cublas|cublasLt|nccl|cuda|cudart|nvidia-.*|nvrtc|nvJitLink)\.so'
# Open MPI's plugins for launchers, networks and devices that a bundle, which runs on one machine,
# does not use: they would bring libraries, and look for what is not there.
unused='_(slurm|tm|lsf|alps|ucx|ofi|psm|psm2|openib|usnic|portals4|gdr|yalla|mxm|fca|hcoll|cuda)\.so$'

# libraries FILE...: what they need, "NAME PATH" a line; PATH is "not" where there is none.
libraries() {
  # Libraries without other libraries make ldd fail.
  { ldd "$@" 2>/dev/null || true; } |
    awk '$2 == "=>" {print $1, $3} $1 ~ /^\/.*ld-linux/ {print "ld-linux", $1}' | sort -u
}

# made_with FOLDER NEEDS: of what device cuda in this build folder was made, and which driver that asks
# for, a line. NEEDS: the file with the libraries that it needs.
made_with() {
  local compiler version='' major driver='' headers cutlass=no
  compiler=$(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' "$1/CMakeCache.txt" 2>/dev/null || true)
  if [[ -x $compiler ]]; then version=$("$compiler" --version | sed -n 's/.* release \([0-9.]*\),.*/\1/p'); fi
  major=$(sed -n 's/^libcublas\.so\.//p' "$2")
  case $major in  # NVIDIA's "CUDA Compatibility", minor versions
    11) driver=", driver 450 or later" ;;
    12) driver=", driver 525 or later" ;;
    13) driver=", driver 580 or later" ;;
  esac
  if grep -aq _ZN7cutlass "$1/libgembench_cuda.so"; then
    headers=$(sed -n 's/^GEMBENCH_CUTLASS_FOLDER:[A-Z]*=//p' "$1/CMakeCache.txt" 2>/dev/null || true)
    cutlass=$(sed -n 's/^#define CUTLASS_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\).*/\2/p' "$headers/cutlass/version.h" \
      2>/dev/null | head -n 3 | tr '\n' '.' || true)
    cutlass=${cutlass%.}
  fi
  echo "device cuda: CUDA ${version:-${major:-none}}$driver; needs $(paste -sd ' ' "$2"); CUTLASS: ${cutlass:-yes}"
}

make_bundle() { # FILE
  local file=$1 scratch root plugins name path from packer
  from=$(cd "$(dirname "$GEMBENCH")" && pwd)
  case $file in
    *.tar.xz) packer=(xz -6 -T 0) ;;
    *.tar.zst) packer=(zstd -q -19 -T0) ;;
    *.tar.gz) packer=(gzip -9) ;;
    *.tar) packer=(cat) ;;
    *) echo "gpu_check.sh: --bundle $file: the name ends in .tar.xz, .tar.zst, .tar.gz or .tar" >&2; exit 2 ;;
  esac
  if ! ompi_info --version 2>/dev/null | grep -q '^Open MPI v4'; then
    echo "gpu_check.sh: a bundle carries Open MPI 4, whose ompi_info is not here: install it, or build there" >&2
    exit 3
  fi
  scratch=$(mktemp -d)
  # shellcheck disable=SC2064  # as it is now
  trap "rm -rf '$scratch'" EXIT
  root=$scratch/gembench-gpu-check
  mkdir -p "$root"/{bin,lib,libc,real,jobs,share}

  for name in gembench libgembench_cuda.so "${benches[@]/#/bench_cuda_}"; do
    if [[ ! -f $from/$name ]]; then
      echo "gpu_check.sh: there is no $from/$name: build it, or leave GEMBENCH empty to have it built" >&2
      exit 3
    fi
    cp -L "$from/$name" "$root/real/"
  done
  cp -L "$(command -v mpirun)" "$root/real/mpirun"
  cp -L "$(command -v orted)" "$root/real/orted"
  plugins=$(ompi_info --parsable --path pkglibdir | sed -n 's/^path:pkglibdir://p')
  mkdir -p "$root/lib/openmpi"
  for path in "$plugins"/*.so; do
    if [[ ! $path =~ $unused ]]; then cp -L "$path" "$root/lib/openmpi/"; fi
  done
  cp -rL "$(ompi_info --parsable --path pkgdatadir | sed -n 's/^path:pkgdatadir://p')" "$root/share/openmpi"

  while read -r name path; do
    if [[ $name == ld-linux ]]; then
      cp -L "$path" "$root/real/"
    elif [[ $name =~ $foreign ]]; then
      echo "$name" >>"$scratch/foreign"
    elif [[ $path != /* ]]; then
      echo "gpu_check.sh: $name, which the bundle needs, is not here: install it" >&2
      exit 3
    elif [[ $name =~ $glibc ]]; then
      cp -L "$path" "$root/libc/$name"
    else
      cp -L "$path" "$root/lib/$name"
    fi
  done < <(libraries "$root"/real/* "$root"/lib/openmpi/*.so)
  # What the device itself names: others come with these.
  readelf -d "$root/real/libgembench_cuda.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
    { grep -E "$foreign" || true; } >"$root/needs.txt"
  if command -v strip >/dev/null; then
    find "$root/real" "$root/lib" -type f ! -name '*.txt' -exec strip --strip-unneeded {} + 2>/dev/null || true
  fi

  cp "$top/jobs/gpu_check/run.sh" "$root/run"
  cp "$top/jobs/gpu_check/start.sh" "$root/bin/"
  for name in gembench mpirun orted "${benches[@]/#/bench_cuda_}"; do
    ln -s start.sh "$root/bin/$name"
  done
  cp -r "$top"/jobs/{gpu_check.sh,gpu_check,local.sh,find.sh,mpirun_words.sh} "$root/jobs/"
  echo "bundle of $(date -u +%Y-%m-%d): $(mpirun --version | sed -n 1p)," \
    "$(ldd --version | sed -n '1s/.* /glibc /p')" >"$root/made.txt"
  made_with "$from" "$root/needs.txt" | tee -a "$root/made.txt"
  (cd "$root" && find . -type f ! -name sums.txt -print0 | sort -z | xargs -0 sha256sum) >"$scratch/sums"
  mv "$scratch/sums" "$root/sums.txt"
  tar -C "$scratch" --owner=0 --group=0 --numeric-owner -cf - gembench-gpu-check | "${packer[@]}" >"$file.partial"
  mv "$file.partial" "$file"
  echo "$file: $(stat -c %s "$file" | awk '{printf "%.1f MB", $1 / 1e6}'); there:" \
    "tar xf ${file##*/} && ./gembench-gpu-check/run -o FOLDER"
}
