# contrib/slurm, contrib/k8s, contrib/aws-batch and contrib/ssh, as docs/batch.md shows them. Called by .ci/run in the top folder
# of the sources; B= names a build folder with tools and helpers. Where it has static tools (make static), the commands of
# the containers run in an empty root. Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
B=${B:-build/gcc-opt}
case $B in /*) ;; *) B=$PWD/$B ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
check() { # check NAME STATUS [LOG]
	if [ "$2" = 0 ]; then
		echo "ok   $1"
	else
		echo "FAIL $1"
		[ -z "${3:-}" ] || tail -n 20 "$3" | sed 's/^/     /'
		bad=1
	fi
}

mkdir "$tmp/slurm"
B=$B WORK=$tmp/slurm sh tests/cluster/slurm.sh || bad=1

# --- what containers run: the same words, with the variables that the service sets ---

cp -R tests/golden/tiny-flash "$tmp/model"
"$B/dsv4-convert" run "$tmp/model" -o "$tmp/one" -t hf -q >/dev/null || exit 2
root=$tmp/root
# Empty but for the tools: what contrib/Containerfile leaves in the image.
image() {
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/data"
	cp -R "$tmp/model" "$root/data/model"
	if [ "$(id -u)" = 0 ] && [ -x "$B/static/dsv4-convert" ]; then
		cp "$B/static/dsv4-convert" "$root/bin/"
		in="$(command -v chroot) $root"
	else
		in=
	fi
}
# contained WORDS...: the command of a container; /data is the volume
contained() {
	if [ -n "$in" ]; then
		# shellcheck disable=SC2086 # words
		env -i PATH=/bin $vars $in "$@"
	else
		shift
		# shellcheck disable=SC2046,SC2086 # words
		env -i PATH=/bin $vars "$B/dsv4-convert" $(printf '%s\n' "$@" | sed "s,^/data,$root/data,")
	fi
}
run_commands() { # run_commands NAME VARIABLE COMMAND_OF_TASK COMMANDS_OF_END: VARIABLE is the last of NAME=VALUE NAME=VALUE NAME
	name=$1 variable=$2 task=$3 end=$4 pids='' rc=0
	image
	vars=
	contained dsv4-convert plan /data/model -o /data/out -t hf --job /data/job --tasks 8 -q >/dev/null || rc=1
	for i in 0 1 2 3 4 5 6; do # of index 7 no container begins
		vars="$variable=$i"
		# shellcheck disable=SC2086 # words
		contained $task >"$tmp/task-$i.log" 2>&1 &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || rc=1; done
	grep -q "^task 3 of 8 (${variable##* } 3" "$tmp/task-3.log" || rc=1
	check "${name}_tasks_by_their_index" $rc "$tmp/task-3.log"
	vars=
	rc=0
	while read -r command; do
		# shellcheck disable=SC2086 # words
		contained $command >"$tmp/end.log" 2>&1 </dev/null || rc=1
	done <<END
$end
END
	diff -r "$tmp/one" "$root/data/out" >>"$tmp/end.log" 2>&1 || rc=1
	check "${name}_finished_as_one_process" $rc "$tmp/end.log"
}
# The words of a manifest, read without a library: command: [a, b].
words() { sed -n 's/^ *command: \[\(.*\)\]$/\1/p' "$1" | sed 's/, / /g'; }
run_commands k8s JOB_COMPLETION_INDEX "$(words contrib/k8s/run.yaml)" "$(words contrib/k8s/finalize.yaml)"
aws=$(sed -n 's/^ *"command": \[\(.*\)\],$/\1/p' contrib/aws-batch/job-definition.json | sed 's/"//g; s/, / /g; s,Ref::job,/data/job,')
ends=$(sed -n 's/.*--container-overrides "command=\([^"]*\)".*/\1/p' contrib/aws-batch/submit.sh | sed 's,\$job,/data/job,; s/,/ /g')
run_commands aws "AWS_BATCH_JOB_ARRAY_SIZE=8 AWS_BATCH_JOB_ARRAY_INDEX" "$aws" "$ends"
[ -n "$in" ] || echo "SKIP containers_in_an_empty_root: no static tools here, or not root; the same words ran outside"

# --- schemas ---

venv=build/cluster-venv
if cmp -s tests/cluster/requirements.txt $venv/requirements.txt ||
	{ rm -rf $venv && python3 -m venv $venv && $venv/bin/pip install -q --disable-pip-version-check -r tests/cluster/requirements.txt &&
		cp tests/cluster/requirements.txt $venv/; } >"$tmp/log" 2>&1; then
	$venv/bin/python tests/cluster/manifests.py check || check manifests 1
	# The words that ran are those of the manifest.
	[ "$($venv/bin/python tests/cluster/manifests.py commands contrib/k8s/run.yaml | cut -f2)" = "$(words contrib/k8s/run.yaml)" ]
	check k8s_words $?
else
	echo "SKIP manifests: no virtualenv with tests/cluster/requirements.txt: $(tail -n 1 "$tmp/log")"
fi

# --- machines by ssh: three shells, since none of them has a server ---

mkdir "$tmp/bin"
printf '#!/bin/sh\n[ "$1" = -n ] && shift\nshift\nexec "$@"\n' >"$tmp/bin/ssh"
chmod +x "$tmp/bin/ssh"
PATH=$tmp/bin:$B:$PATH HOSTS="a b c" sh contrib/ssh/convert.sh "$tmp/model" "$tmp/ssh" "$tmp/ssh-job" -t hf >"$tmp/log" 2>&1 &&
	diff -r "$tmp/one" "$tmp/ssh" >>"$tmp/log" 2>&1
check ssh_finished_as_one_process $? "$tmp/log"
exit $bad
