# Sourced by the .sbatch scripts, which set $top: `launch WORDS ...` runs gembench on all of the job's
# tasks and ends the script with its exit code. DRY_RUN=1 prints the command instead.
# shellcheck shell=bash

# shellcheck source=jobs/site.sh
source "${GEMBENCH_SITE:-$top/jobs/site.sh}"
for module in "${modules[@]}"; do module load "$module"; done
# shellcheck source=jobs/find.sh
source "$top/jobs/find.sh"
find_gembench

# Settings of Open MPI and NCCL. With them mpirun notices a node that died silently after 14 s
# instead of eight minutes; srun has no such settings (README.md).
set_environment() {
  if [[ -n $interfaces ]]; then
    export OMPI_MCA_btl_tcp_if_include=$interfaces OMPI_MCA_oob_tcp_if_include=$interfaces
    # NCCL accepts only names of interfaces.
    if [[ $interfaces != */* ]]; then export NCCL_SOCKET_IFNAME=$interfaces; fi
  fi
  export OMPI_MCA_oob_tcp_keepalive_time=5 OMPI_MCA_oob_tcp_keepalive_intvl=3
  export OMPI_MCA_oob_tcp_keepalive_probes=3
}

# Sets `command`, the launcher's part of the command line.
choose_launcher() {
  case $launcher in
    srun)
      # A failing rank ends all ranks; so does a rank that still runs long after the first has
      # ended.
      command=(srun --mpi=pmix --kill-on-bad-exit=1 --wait=60)
      if [[ $gpu_binding == one ]]; then command+=(--gpus-per-task=1); fi
      # srun does not inherit the number of CPUs per task.
      if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then
        command+=("--cpus-per-task=$SLURM_CPUS_PER_TASK")
      fi
      ;;
    mpirun)
      command=(mpirun)
      # Few ranks would be bound to a core each, which NCCL's threads need too; gembench itself keeps
      # to the CPUs near its GPU.
      if ((gpus_per_node)) && [[ " ${launcher_options[*]} " != *" --bind-to "* ]]; then
        command+=(--bind-to none)
      fi
      ;;
    *)
      echo "launch.sh: launcher '$launcher' is neither srun nor mpirun: correct jobs/site.sh" >&2
      exit 3
      ;;
  esac
  command+=("${launcher_options[@]}")
}

# Slurm's TERM before the time limit reaches only this script. gembench ends normally when one of
# its ranks gets TERM; srun and mpirun themselves would kill their ranks.
pass_on() {
  trap '' TERM
  stopped=1
  if [[ $launcher == srun ]]; then
    scancel --signal=TERM "$SLURM_JOB_ID" || true  # to its steps
  else
    pkill -TERM -P "$child" -x "$(basename "$program" | cut -c -15)" || true
  fi
}

# Once: sets `code`.
start() {
  code=0
  "${command[@]}" &
  child=$!
  wait "$child" || code=$?
  if ((stopped)); then  # the signal ended `wait`, not the program
    code=0
    wait "$child" || code=$?
  fi
}

launch() {
  local command code stopped=0 child
  set_environment
  choose_launcher
  command+=("$program")
  # The command to continue that an interrupted run prints, in this allocation.
  GEMBENCH_STARTED_BY=$(printf '%q ' "${command[@]}")
  export GEMBENCH_STARTED_BY=${GEMBENCH_STARTED_BY% }
  command+=("$@")
  if [[ ${DRY_RUN:-0} == 1 ]]; then
    printf '%q ' "${command[@]}"
    echo
    exit 0
  fi
  if [[ ! -x $program ]]; then
    echo "launch.sh: $program is not built: build it (README.md), or set GEMBENCH" >&2
    exit 3
  fi
  trap pass_on TERM
  start
  # Open MPI 4.1 sometimes crashes in MPI_Init (README.md): SEGV of a rank, TERM of the others.
  if (((code == 139 || code == 143) && !stopped && SECONDS < 30)); then
    echo "launch.sh: a rank crashed while starting (exit code $code): once more" >&2
    start
  fi
  # After losing a node, mpirun leaves behind the srun that started its daemons.
  if [[ $launcher == mpirun ]]; then pkill -KILL -s 0 -x srun || true; fi
  if ((stopped && code != 0 || code >= 5)); then  # else gembench has said what to do
    echo "launch.sh: gembench was cut off (exit code $code): what it finished is kept, and the" \
      "same submitted again continues there" >&2
  fi
  if ((stopped && code != 0)) && [[ $requeue == yes ]]; then
    # --resume needs the nodes whose speeds it has measured.
    scontrol requeue "$SLURM_JOB_ID"
    scontrol update JobId="$SLURM_JOB_ID" ReqNodeList="$SLURM_JOB_NODELIST"
  fi
  exit "$code"
}
