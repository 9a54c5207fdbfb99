#!/usr/bin/env bash
#SBATCH --job-name=selfplay
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
# A run on the nodes of one Slurm job:   sbatch examples/cluster/slurm.sh
# Start the same script again to go on: what is done is in $DATA, on a disk that the first node sees.
# SELFPLAY_ENV is an environment that all nodes see, with `pip install --constraint constraints.txt '.[ray]'` in it.
set -euo pipefail

SELFPLAY_ENV=${SELFPLAY_ENV:-$SLURM_SUBMIT_DIR/.venv}
DATA=${DATA:-$SLURM_SUBMIT_DIR/data}
export PATH="$SELFPLAY_ENV/bin:$PATH"
port=$((10000 + SLURM_JOB_ID % 20000))
head=$(hostname --ip-address | cut -d' ' -f1)

ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false
if ((SLURM_NNODES > 1)); then
    srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$(hostname)" \
        ray start --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi
# Two cores of the first node are left to the coordinator and the trainer. TERM, which Slurm sends two minutes before the
# end, finishes what is in hand.
selfplay train "${GAME:-connect4}" --engine ray --address "$head:$port" --data "$DATA" --model "$DATA/model.pt" \
    --workers $((SLURM_NNODES * SLURM_CPUS_PER_TASK - 2)) --set selfplay.lag=1 --rounds "${ROUNDS:-100}" &
trap 'kill -TERM $!' TERM
wait $! || wait $!
ray stop
