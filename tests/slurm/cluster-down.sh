#!/bin/bash
# Stops exactly what cluster-up.sh started, by its pid files; waits for each to be gone.
set -uo pipefail
dir=${SLURM_TEST_DIR:-$(dirname "$(mktemp -u)")/nst-slurm}
[ -d "$dir/run" ] || exit 0
export SLURM_CONF=$dir/slurm.conf
running() {   # pid $1 is a running daemon of ours: neither a zombie nor another program under a reused pid
    local st
    st=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    case $st in *"(munged"*|*"(slurm"*|*"(mariadbd"*) ;; *) return 1 ;; esac
    case ${st##*) } in [ZX]*) return 1 ;; esac
}
alive() { local pid; pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && running "$pid"; }
# jobs first: slurmstepd processes outlive slurmd
if alive "$dir/run/slurmctld.pid"; then
    timeout 10 scancel --quiet --state=PENDING --user=root 2>/dev/null
    timeout 10 scancel --quiet --signal=KILL --full --user=root 2>/dev/null
    timeout 10 scancel --quiet --user=root 2>/dev/null
    for _ in $(seq 50); do [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break; sleep .2; done
fi
stop() {   # TERM to all of these pid files' processes at once, then wait for each (they remove their pid file early)
    local f pid pids=()
    for f; do
        pid=$(cat "$f" 2>/dev/null) && [ -n "$pid" ] && running "$pid" && { kill "$pid" 2>/dev/null; pids+=("$pid"); }
        rm -f "$f"
    done
    for pid in ${pids[@]+"${pids[@]}"}; do
        for _ in $(seq 150); do running "$pid" || break; sleep .1; done
        running "$pid" && { echo "cluster-down: $pid did not stop; killing it" >&2; kill -9 "$pid"; }
    done
}
stop "$dir"/run/slurmd.*.pid "$dir/run/slurmctld.pid"
# left-over job processes (slurmd was killed by a test): those that carry this cluster's SLURM_CONF
# in their environment and are a slurmstepd, or run under one (SLURM_JOB_ID)
orphans() {
    local e p
    for e in /proc/[0-9]*/environ; do
        p=${e#/proc/}; p=${p%/environ}
        [ "$p" = $$ ] && continue
        tr '\0' '\n' 2>/dev/null <"$e" | grep -qxF "SLURM_CONF=$SLURM_CONF" || continue
        if [ "$(cat "/proc/$p/comm" 2>/dev/null)" = slurmstepd ] || tr '\0' '\n' 2>/dev/null <"$e" | grep -q '^SLURM_JOB_ID='; then echo "$p"; fi
    done
}
[ -n "${SLURM_JOB_ID:-}" ] || for p in $(orphans); do kill -9 "$p" 2>/dev/null; done
stop "$dir/run/slurmdbd.pid"
stop "$dir/run/mariadbd.pid" "$dir/run/munged.pid"
exit 0
