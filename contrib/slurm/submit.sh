#!/bin/sh
# A conversion as a job array of Slurm: submit.sh MODEL OUT JOB OPTIONS...
# CPUS says how many processors a task has, TASKS how many tasks there are. SPDX-License-Identifier: MIT
set -eu
model=$1 out=$2 job=$3 n=${TASKS:-8} cpus=${CPUS:-8} here=$(dirname "$0")
shift 3
# begin
dsv4-convert plan "$model" -o "$out" "$@" --job "$job" --tasks "$n"
id=$(sbatch --parsable --array=0-$((n - 1)) -c "$cpus" "$here/task.sbatch" "$job")
sbatch --dependency=afterany:"$id" -c "$cpus" "$here/finalize.sbatch" "$job" "$n"
