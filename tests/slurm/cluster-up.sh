#!/bin/bash
# Brings up a private, real Slurm cluster (one slurmctld, N slurmd) on this machine.
# Idempotent; touches nothing outside $SLURM_TEST_DIR except installed packages
# (and one /etc/hosts line when the machine's own name or a node's does not resolve).
# Prints `export SLURM_CONF=...` as its last line on stdout: eval it.
set -euo pipefail
dir=${SLURM_TEST_DIR:-$(dirname "$(mktemp -u)")/nst-slurm}
nodes=${SLURM_TEST_NODES:-2}
cpus=${SLURM_TEST_CPUS:-2}
gpus=${SLURM_TEST_GPUS:-2}
acct=${SLURM_TEST_ACCT:-0}            # 1: slurmdbd + mariadb, so that sacct answers
port=${SLURM_TEST_PORT:-17000}        # port: slurmctld, +1..N: slurmd, +90: slurmdbd, +91: mariadb
log() { echo "cluster-up: $*" >&2; }

# --- packages -------------------------------------------------------------
pkgs="slurmctld slurmd slurm-client munge"
[ "$acct" = 1 ] && pkgs="$pkgs slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core"
missing=$(for p in $pkgs; do dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || echo "$p"; done)
if [ -n "$missing" ]; then
    log "installing" $missing
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update >&2
    apt-get -q install -y --no-install-recommends $missing >&2
fi

# --- already up? ----------------------------------------------------------
mkdir -p "$dir"
export SLURM_CONF=$dir/slurm.conf
running() {   # pid $1 is a running daemon of ours: neither a zombie nor another program under a reused pid
    local st
    st=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    case $st in *"(munged"*|*"(slurm"*|*"(mariadbd"*) ;; *) return 1 ;; esac
    case ${st##*) } in [ZX]*) return 1 ;; esac
}
alive() { local pid; pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && running "$pid"; }
ready() { [ -s "$SLURM_CONF" ] && [ "$(timeout 10 sinfo -h -N -p main -o '%T' 2>/dev/null | grep -cE '^(idle|mixed|allocated)$')" -ge "$nodes" ]; }
want="nodes=$nodes cpus=$cpus gpus=$gpus acct=$acct port=$port"
up=1
for n in $(seq "$nodes"); do alive "$dir/run/slurmd.nst$n.pid" || up=0; done
alive "$dir/run/slurmctld.pid" && alive "$dir/run/munged.pid" || up=0
if [ $up = 1 ] && [ "$(cat "$dir/want" 2>/dev/null)" = "$want" ] && ready; then
    log "already up"
    echo "export SLURM_CONF=$SLURM_CONF"
    exit 0
fi
# half up, or another shape: take down what is there, then start clean
SLURM_TEST_DIR=$dir "$(dirname "$(readlink -f "$0")")/cluster-down.sh" >&2
rm -rf "$dir"
mkdir -p "$dir"/{run,log,state,spool,dev}
chmod 755 "$dir" "$dir"/*

# --- names ----------------------------------------------------------------
host=$(hostname -s)
for h in "$host" $(seq -f nst%g "$nodes"); do
    getent hosts "$h" >/dev/null || echo "127.0.0.1 $h" >>/etc/hosts
done

# --- munge ----------------------------------------------------------------
(umask 077; dd if=/dev/urandom of="$dir/munge.key" bs=128 count=1 status=none)
munged --key-file="$dir/munge.key" --socket="$dir/run/munge.sock" \
       --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" --seed-file="$dir/run/munged.seed"

# --- accounting (optional) --------------------------------------------------
acct_conf="AccountingStorageType=accounting_storage/none"
if [ "$acct" = 1 ]; then
    mkdir -p "$dir/mysql"
    mariadb-install-db --no-defaults --user=root --datadir="$dir/mysql" --auth-root-authentication-method=normal \
        --skip-test-db >"$dir/log/mariadb-install.log" 2>&1
    mysqld_bin=$(command -v mariadbd)
    setsid "$mysqld_bin" --no-defaults --user=root --datadir="$dir/mysql" --socket="$dir/mysql/sock" \
        --bind-address=127.0.0.1 --port=$((port + 91)) --pid-file="$dir/mysql/mariadbd.pid" \
        --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
        </dev/null >"$dir/log/mariadbd.log" 2>&1 &
    echo $! >"$dir/run/mariadbd.pid"
    SECONDS=0; until mariadb --no-defaults -S "$dir/mysql/sock" -u root -e 'select 1' >/dev/null 2>&1; do [ $SECONDS -lt 30 ] || { tail "$dir/log/mariadbd.log" >&2; exit 1; }; sleep .2; done
    mariadb --no-defaults -S "$dir/mysql/sock" -u root -e "create database slurm_acct_db; create user 'slurm'@'127.0.0.1' identified by 'nst'; create user 'slurm'@'localhost' identified by 'nst'; grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1'; grant all on slurm_acct_db.* to 'slurm'@'localhost'"
    cat >"$dir/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 90))
SlurmUser=root
LogFile=$dir/log/slurmdbd.log
PidFile=$dir/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 91))
StorageUser=slurm
StoragePass=nst
StorageLoc=slurm_acct_db
END
    chmod 600 "$dir/slurmdbd.conf"
    acct_conf="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 90))
AccountingStoragePass=$dir/run/munge.sock
AccountingStorageTRES=gres/gpu"
fi

# --- slurm.conf -----------------------------------------------------------
# cred_expire also is how long a requeued job is held back before it may start again (default 120 s)
{
cat <<END
ClusterName=nst
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.sock,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
SlurmctldDebug=verbose
SlurmdDebug=verbose
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=5
ReturnToService=1
MinJobAge=3600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
GresTypes=gpu
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/log/jobcomp.txt
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
$acct_conf
END
for n in $(seq "$nodes"); do
    echo "NodeName=nst$n NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + n)) CPUs=$cpus RealMemory=4000 Gres=gpu:$gpus State=UNKNOWN"
done
echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=${SLURM_TEST_GRACE:-10}"
echo "PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF"
} >"$SLURM_CONF"
: >"$dir/gres.conf"
for n in $(seq "$nodes"); do
    for g in $(seq 0 $((gpus - 1))); do
        [ -e "$dir/dev/gpu$g" ] || mknod "$dir/dev/gpu$g" c 1 3
        echo "NodeName=nst$n Name=gpu File=$dir/dev/gpu$g" >>"$dir/gres.conf"
    done
done

# --- start ----------------------------------------------------------------
if [ "$acct" = 1 ]; then
    slurmdbd
    SECONDS=0; until timeout 5 sacctmgr -n list cluster >/dev/null 2>&1; do [ $SECONDS -lt 30 ] || { tail "$dir/log/slurmdbd.log" >&2; exit 1; }; sleep .2; done
    sacctmgr -i add cluster nst >/dev/null 2>&1 || true
fi
slurmctld -f "$SLURM_CONF"
for n in $(seq "$nodes"); do slurmd -f "$SLURM_CONF" -N "nst$n"; done
echo "$want" >"$dir/want"

SECONDS=0
while [ $SECONDS -lt 30 ] && alive "$dir/run/slurmctld.pid"; do
    if ready; then
        log "up: $(sinfo -h -o '%P %T %N' | paste -sd';')"
        echo "export SLURM_CONF=$SLURM_CONF"
        exit 0
    fi
    sleep .2
done
log "no idle nodes after $SECONDS s, or slurmctld died"
timeout 5 sinfo -N -l >&2 || true
tail -n 20 "$dir"/log/*.log >&2
exit 1
