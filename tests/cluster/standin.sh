#!/bin/sh
# Stands in for Slurm where there is none: sbatch, squeue, scancel and scontrol as far as tests/cluster/slurm.sh and
# contrib/slurm use them, by the name it is called with. Two tasks run at a time; a task that ends with 75 or was requeued
# begins again. Its state lies in STANDIN_DIR.
set -u
d=$STANDIN_DIR
# ID_TASK.state: JobState, Restarts, ExitCode
put() { echo "JobState=$2 Restarts=$3 ExitCode=$4" >"$d/$1.new" && mv "$d/$1.new" "$d/$1.state"; }
is_over() { ! grep -qE 'JobState=(PENDING|RUNNING)' "$@"; }

runner() { # runner NAME DEPENDENCY OUTPUT SCRIPT ARGS...: one task, until it is over
	name=$1 after=$2 output=$3 restarts=0
	shift 3
	before=${name%_*}_$((${name#*_} - 1)) # tasks begin in order
	[ "${name#*_}" = 0 ] || until [ -e "$d/$before.pid" ]; do sleep 0.1; done
	while [ -n "$after" ] && ! is_over "$d/${after}"_*.state; do sleep 0.2; done
	while :; do
		until mkdir "$d/slot1" 2>/dev/null && slot=1 || mkdir "$d/slot2" 2>/dev/null && slot=2; do sleep 0.1; done
		sh "$@" >>"$output" 2>&1 &
		echo $! >"$d/$name.pid"
		put "$name" RUNNING $restarts 0:0
		wait $!
		rc=$?
		rmdir "$d/slot$slot"
		if [ -e "$d/$name.requeue" ] || [ $rc = 75 ]; then
			rm -f "$d/$name.requeue"
			restarts=$((restarts + 1))
			put "$name" PENDING $restarts 0:0
			sleep 1
			continue
		fi
		if [ $rc = 0 ]; then put "$name" COMPLETED $restarts 0:0; else put "$name" FAILED $restarts $rc:0; fi
		return
	done
}

submit() {
	parsable='' last='' after=''
	while :; do
		case $1 in
		--parsable) parsable=1 ;;
		--array=0-*) last=${1#--array=0-} ;;
		--dependency=afterany:*) after=${1#*:} ;;
		-c) shift ;;
		*) break ;;
		esac
		shift
	done
	id=1
	until mkdir "$d/job-$id" 2>/dev/null; do id=$((id + 1)); done
	for t in $(seq 0 "${last:-0}"); do put "${id}_$t" PENDING 0 0:0; done
	# Called anew, so that nobody waits for what a runner holds open.
	for t in $(seq 0 "${last:-0}"); do
		if [ -n "$last" ]; then
			SLURM_ARRAY_JOB_ID=$id SLURM_ARRAY_TASK_ID=$t SLURM_ARRAY_TASK_COUNT=$((last + 1)) SLURM_ARRAY_TASK_MIN=0 \
				SLURM_ARRAY_TASK_STEP=1 SLURM_NTASKS=1 SLURM_PROCID=0 \
				sh "$0" --runner "${id}_$t" "$after" "slurm-${id}_$t.out" "$@" >/dev/null 2>&1 &
		else
			sh "$0" --runner "${id}_$t" "$after" "slurm-$id.out" "$@" >/dev/null 2>&1 &
		fi
	done
	[ -n "$parsable" ] && echo "$id" || echo "Submitted batch job $id"
}

case ${0##*/} in
sbatch)
	if [ "$1" = --runner ]; then
		shift
		runner "$@"
	else
		submit "$@"
	fi
	;;
squeue) # squeue -h [-o %F]
	for f in "$d"/*_*.state; do
		f=${f##*/}
		is_over "$d/$f" || echo "${f%%_*}"
	done
	;;
scancel) kill -s "${1#--signal=}" "$(cat "$d/$3.pid")" ;; # scancel --signal=S --batch ID_TASK
scontrol) # scontrol requeue ID_TASK | scontrol -o show job ID_TASK
	if [ "$1" = requeue ]; then
		touch "$d/$2.requeue"
		kill "$(cat "$d/$2.pid")"
	else
		cat "$d/$4.state"
	fi
	;;
esac
