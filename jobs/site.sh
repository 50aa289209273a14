# The settings of your site: the only file to edit (or a copy that GEMBENCH_SITE names). submit.sh
# reads it where you submit, and the .sbatch scripts read it on the job's first node.
# shellcheck shell=bash disable=SC2034  # used by those who source it

modules=()               # to load before gembench starts: (gcc/12 openmpi/4.1 hdf5 cuda)
partition=               # sbatch --partition; empty = the cluster's default
account=                 # sbatch --account
sbatch_options=(--exclusive)  # further options of sbatch: no other jobs on the measured nodes

ranks_per_node=1         # one for every GPU, or one for every CPU that is not shared
cpus_per_rank=           # sbatch --cpus-per-task; empty = 4 where there are GPUs (the rank polls on
                         # one, NCCL's threads need others), else the cluster's default. A
                         # node needs as many for each of its ranks, or the job never starts
gpus_per_node=0
gpu_binding=all          # all: a rank sees its node's GPUs and takes the one of its local rank
                         # one: Slurm shows every rank its own only (launcher srun)

launcher=srun            # or mpirun, where Slurm was built without PMIx
launcher_options=()      # more for it: (--cpu-bind=cores), (--bind-to core)
interfaces=              # networks for Open MPI's TCP: eth0 or 10.0.0.0/8; empty = it chooses
probe_options=(--max-seconds 30)  # of probe_prolog.sh: (--slower-than 5% --tokens 16K)
probe_timeout=120        # seconds after which it gives up
probe_history=           # folder on each node for its last 100 probes; empty = none are kept
requeue=no               # yes: a run that meets its time limit is queued again and continues
