# contrib/slurm on a Slurm of one machine: an array of 8, of which one task is killed, one is told to stop, one is requeued by
# hand, and the job that finishes. The result is compared with that of one process. Called by tests/cluster/run.sh with B=
# and WORK=, an empty folder. Where no Slurm can be installed or started, tests/cluster/standin.sh takes its place, and what is
# printed says so. Prints "ok   name" or "FAIL name".
set -u
top=$PWD
case $B in /*) ;; *) B=$top/$B ;; esac
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true' EXIT

# --- a Slurm of its own: keys, ports, state and logs lie in WORK; nothing of the machine's is used ---

installed() {
	command -v slurmctld >/dev/null 2>&1 && command -v slurmd >/dev/null 2>&1 && command -v munged >/dev/null 2>&1
}
daemon() { # daemon NAME COMMAND...
	name=$1
	shift
	"$@" >"$WORK/$name.log" 2>&1 &
	pids="$! $pids"
}
configure() {
	host=$(hostname -s)
	port=$((20000 + $$ % 20000))
	mkdir -p "$WORK/state" "$WORK/spool"
	# A requeued job begins when its credential has expired: soon.
	cat >"$WORK/slurm.conf" <<-END
		ClusterName=t
		SlurmctldHost=$host(127.0.0.1)
		SlurmctldPort=$port
		SlurmdPort=$((port + 1))
		AuthType=auth/munge
		AuthInfo=socket=$WORK/munge.sock,cred_expire=5
		SlurmUser=root
		StateSaveLocation=$WORK/state
		SlurmdSpoolDir=$WORK/spool
		SlurmctldPidFile=$WORK/ctld.pid
		SlurmdPidFile=$WORK/d.pid
		SelectType=select/cons_tres
		SelectTypeParameters=CR_Core
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		MpiDefault=none
		ReturnToService=2
		KillWait=5
		SchedulerParameters=sched_interval=2
		RequeueExit=75
		NodeName=$host NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) State=UNKNOWN
		PartitionName=debug Nodes=ALL Default=YES State=UP
	END
	echo CgroupAutomount=no >"$WORK/cgroup.conf"
	(umask 077 && dd if=/dev/urandom of="$WORK/munge.key" bs=1024 count=1 2>/dev/null)
}
start() {
	installed || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge; } \
		>/dev/null 2>&1
	installed || { why="slurm-wlm and munge are not to be had" && return 1; }
	[ "$(id -u)" = 0 ] || { why="its daemons want root" && return 1; }
	configure
	export SLURM_CONF=$WORK/slurm.conf
	daemon munge munged --foreground --force --key-file="$WORK/munge.key" --socket="$WORK/munge.sock" --pid-file="$WORK/munge.pid" \
		--log-file="$WORK/munged.log" --seed-file="$WORK/munge.seed"
	for i in 1 2 3 4 5 6 7 8 9 10; do [ -S "$WORK/munge.sock" ] || sleep 0.3; done
	daemon slurmctld slurmctld -D
	daemon slurmd slurmd -D
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		sinfo -h -o %T 2>/dev/null | grep -q idle && return 0
		sleep 1
	done
	why="its daemons do not come up: $(tail -n 1 "$WORK/slurmctld.log") $(tail -n 1 "$WORK/slurmd.log")"
	return 1
}
mkdir -p "$WORK/bin"
if [ -z "${STANDIN:-}" ] && start; then
	by=slurm
	echo "this is $(sbatch --version)"
else
	by=standin
	for c in sbatch scancel scontrol squeue; do ln -sf "$top/tests/cluster/standin.sh" "$WORK/bin/$c"; done
	export STANDIN_DIR="$WORK/queue"
	mkdir -p "$STANDIN_DIR"
	echo "NO SLURM HERE: ${why:-a stand-in was asked for}; tests/cluster/standin.sh runs the scripts in its place"
fi

# --- the job ---

bad=0
check() { # check NAME STATUS
	if [ "$2" = 0 ]; then
		echo "ok   ${by}_$1"
	else
		echo "FAIL ${by}_$1"
		bad=1
	fi
}
# Syncs that take a moment make a task of this small model last for seconds.
cat >"$WORK/bin/dsv4-convert" <<END
#!/bin/sh
SHAREDFS=$WORK SHAREDFS_FAULT=slow=150 LD_PRELOAD=$B/sharedfs.so exec $B/dsv4-convert "\$@"
END
chmod +x "$WORK/bin/dsv4-convert"
PATH=$WORK/bin:$PATH
export PATH
cp -R tests/golden/tiny-flash "$WORK/model"
cd "$WORK" || exit 2
options="-t hf --shard-size 150000"
# shellcheck disable=SC2086 # words
"$B/dsv4-convert" run model -o one $options -q >/dev/null || exit 2
# shellcheck disable=SC2086
TASKS=8 CPUS=1 sh "$top/contrib/slurm/submit.sh" model "$WORK/out" "$WORK/job" $options >submit.log 2>&1
check submit $?
id=$(squeue -h -o %F | sort -n | head -n 1)
grep -a 'Submitted' submit.log

say() { echo "$(($(date +%s) - at)) s: $1"; }
at=$(date +%s)
begun() { # begun FILE: waits until it is there
	for i in $(seq 300); do
		[ -e "$1" ] && return 0
		sleep 0.1
	done
	echo "there is no $1"
	return 1
}
begun job/leases/task-0.1
check begins $?
sleep 0.5
say "scancel --signal=KILL --batch ${id}_0"
scancel --signal=KILL --batch "${id}_0"
begun job/leases/task-1.1 && sleep 0.5
say "scancel --signal=USR1 --batch ${id}_1"
scancel --signal=USR1 --batch "${id}_1" & # it signals at once, and goes on to signal for half a minute what runs by then
cancel=$!
begun job/leases/task-2.1 && sleep 0.5
say "scontrol requeue ${id}_2"
scontrol requeue "${id}_2"
"$B/dsv4-convert" finalize job >early.log 2>&1
[ $? = 75 ] && grep -q job.unfinished early.log
check finalize_refused_while_tasks_run $?

# The task that was stopped ends within moments; what runs in its place is not to be signalled while its script begins.
for i in $(seq 100); do
	grep -qs job.stopped "slurm-${id}_1.out" && break
	sleep 0.1
done
kill $cancel 2>/dev/null
wait $cancel 2>/dev/null
for i in $(seq 280); do
	[ -n "$(squeue -h)" ] || break
	sleep 0.5
done
[ -z "$(squeue -h)" ]
check queue_runs_empty $?
say "the queue is empty"
for t in 0 1 2; do
	echo "task $t: $(scontrol -o show job "${id}_$t" | grep -oE '(JobState|Restarts|ExitCode)=[^ ]*' | tr '\n' ' ')"
	grep -vE '^[0-9a-f]{64} ' "slurm-${id}_$t.out" | sed 's/^/   | /' # but for the digests of files
done
scontrol -o show job "${id}_0" | grep -q 'JobState=FAILED'
check one_task_was_killed $?
grep -q job.stopped "slurm-${id}_1.out" && scontrol -o show job "${id}_1" | grep -q 'JobState=COMPLETED.*Restarts=[1-9]'
check one_task_was_stopped_and_ran_again $?
scontrol -o show job "${id}_2" | grep -q 'JobState=COMPLETED.*Restarts=[1-9]' && [ "$(grep -c '^task 2 of 8' "slurm-${id}_2.out")" = 2 ]
check one_task_was_requeued $?
diff -r one out >diff.log 2>&1
check finished_as_one_process $?
head -n 5 diff.log
"$B/dsv4-verify" check out >/dev/null
check verified $?
"$B/dsv4-convert" status job | head -n 2
exit $bad
