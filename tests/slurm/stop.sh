#!/usr/bin/env bash
# Stops what start.sh started in FOLDER, and the jobs that still run.
#   tests/slurm/stop.sh FOLDER
folder=$(realpath "$1")
SLURM_CONF=$folder/slurm.conf scancel --user=root --quiet
for name in slurmd slurmctld munged; do
  if [ -s "$folder/$name.pid" ]; then kill "$(cat "$folder/$name.pid")"; fi
done
