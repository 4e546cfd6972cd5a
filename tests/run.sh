# Runs the test programs named as arguments and the scripts of this folder through tests/runner.c, which ends with
# "N passed, M failed, K skipped". Called by make test with B= (build folder), CC=, and perhaps J= (how many at a
# time), T= (only tests whose name has this text), JUNIT= (a file for JUnit's XML).
set -u
export B CC
# What tests write is small and synced often: in memory, where there is enough of it.
shm=/dev/shm
if [ -z "${TMPDIR:-}" ] && [ -w $shm ] && [ "$(df -Pk $shm | awk 'NR == 2 { print int($4 / 1048576) }')" -ge 4 ]; then
	TMPDIR=$(mktemp -d $shm/dsv4-tests-XXXXXX) || exit 2
	export TMPDIR
	trap 'rm -rf "$TMPDIR"' EXIT
	trap 'exit 130' INT TERM HUP
fi
scripts=
for s in tests/*.sh; do
	case $s in # these are no tests, or tests of CI
	tests/run.sh | tests/emulate.sh | tests/setup.sh | tests/demo.sh | tests/bench.sh | tests/big.sh | tests/cuda.sh | tests/gpu.sh | tests/engine_gpu.sh | tests/all_gpu.sh) ;;
	*) scripts="$scripts $s" ;;
	esac
done
case " $* " in
*" test_cuda "*) ;;
*)
	echo 'echo "SKIP test_cuda: no C++ compiler to run the .cu files with"' >"$B/test_cuda.sh"
	scripts="$scripts $B/test_cuda.sh"
	;;
esac
programs=
for t in "$@"; do
	programs="$programs $B/$t"
done
# Before there is a first run, those that are known to take longest begin it.
[ -e "$B/test.times" ] || cp tests/longest.txt "$B/test.times" || exit 2
# Which test produces which rule: the last column of core/rule.def.
sed -n 's/^RULE([A-Z0-9_]*, *"\([a-z0-9.-]*\)".*, *"\([^"]*\)")$/\1	\2/p' core/rule.def >"$B/test.rules"
# shellcheck disable=SC2086 # words
"$B/runner" -p "$B/test.rules" -r "$B/test.times" ${J:+-j "$J"} ${T:+-f "$T"} ${JUNIT:+-x "$JUNIT"} $programs $scripts
