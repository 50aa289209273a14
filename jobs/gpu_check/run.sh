#!/usr/bin/env bash
# The entry of a bundle: ./gembench-gpu-check/run [-o FOLDER] [--minutes M] [-n GPUS] [-t]
# Nothing is installed, nothing is written but FOLDER (gpu-check) and temporary files; without network
# but for the loopback interface.
# Needs bash, coreutils, grep, sed, awk, and cuBLAS and NCCL somewhere on the machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! (cd "$here" && sha256sum --check --quiet sums.txt) >&2; then
  echo "gpu_check: the bundle in $here is not complete: unpack it again, tar xf FILE" >&2
  exit 3
fi
# shellcheck source=jobs/gpu_check/find_cuda.sh
source "$here/jobs/gpu_check/find_cuda.sh"
mapfile -t needs <"$here/needs.txt"
find_cuda "${needs[@]}" || exit 3

export GEMBENCH_LIBRARIES=$here/lib${cuda_path:+:$cuda_path}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export GEMBENCH=$here/bin/gembench GEMBENCH_FOUND=${cuda_found%$'\n'}
# LD_LIBRARY_PATH stays for the machine's programs: nvidia-smi may find the driver only by it.
if [[ -z ${GEMBENCH_OWN_LIBC:-} ]] && ! "$GEMBENCH" --version >/dev/null 2>&1; then
  export GEMBENCH_OWN_LIBC=1
fi
if [[ -n ${GEMBENCH_OWN_LIBC:-} ]]; then
  GEMBENCH_LIBRARIES=$here/libc:$GEMBENCH_LIBRARIES
  GEMBENCH_FOUND+=${GEMBENCH_FOUND:+$'\n'}"with the bundle's own glibc"
fi
if ! "$GEMBENCH" --version >/dev/null; then
  echo "gpu_check: the program does not start here, for the reason above: make a bundle on a machine like" \
    "this one ($(uname -m), Linux $(uname -r))" >&2
  exit 3
fi

# Open MPI where it lies now; one machine only, and nothing of a batch system's.
export OPAL_PREFIX=$here OPAL_BINDIR=$here/bin OPAL_LIBDIR=$here/lib OPAL_PKGLIBDIR=$here/lib/openmpi
export OPAL_DATADIR=$here/share OPAL_PKGDATADIR=$here/share/openmpi OPAL_SYSCONFDIR=$here/share
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_plm=isolated OMPI_MCA_btl_vader_single_copy_mechanism=none
unset "${!SLURM_@}"
# PMIx crashes without a home where the user has no name, and says at length that it cannot compress.
export HOME=${HOME:-/tmp} PMIX_MCA_pcompress_base_silence_warning=1
export PATH=$here/bin:$PATH:/usr/local/cuda/bin:/opt/nvidia/nsight-compute
exec "$here/jobs/gpu_check.sh" "$@"
