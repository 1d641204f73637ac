#!/usr/bin/env bash
# Starts a Slurm cluster of one node, this machine, in a folder of its own and on ports of its own, for tests.
#   tests/slurm/start.sh FOLDER    needs root and Debian's packages slurm-wlm and munge
# What it starts writes its process id into FOLDER/*.pid; FOLDER/slurm.conf is the cluster's SLURM_CONF.
set -euo pipefail
folder=$(realpath -m "$1")
mkdir -p "$folder"/{state,spool,log}
host=$(hostname -s)
read -r controller_port node_port < <(python3 - <<'PYTHON'
import socket

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(bound.getsockname()[1] for bound in sockets))
PYTHON
)

cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$controller_port
SlurmdPort=$node_port
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2
KillWait=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF

head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 600 "$folder/munge.key"
chmod 711 "$folder"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/log/munged.log" --seed-file="$folder/munge.seed"
export SLURM_CONF=$folder/slurm.conf
slurmctld -c
slurmd
for _ in $(seq 60); do
  if [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; then exit 0; fi
  sleep 0.5
done
tail -n 20 "$folder"/log/*.log >&2
exit 1
