# Runs the test programs named as arguments, then the scripts, and adds up what they print: a line
# "ok   name", "FAIL name" or "SKIP name: reason" for each test. Ends with
# "N passed, M failed, K skipped"; status 1 if anything failed, or a program died.
# Called by make test with B= (build folder) and CC=.
set -u
export B CC
log=$B/test.log
: >"$log"

one() { # one NAME COMMAND...: runs it; a status that no FAIL line explains is a failure too
	name=$1
	shift
	echo "== $name"
	{ "$@" 2>&1; echo "status $?"; } | tee "$log.one" | grep -v '^status [0-9]*$'
	status=$(sed -n 's/^status //p' "$log.one" | tail -n 1)
	grep -v '^status [0-9]*$' "$log.one" >>"$log"
	if [ "$status" != 0 ] && ! grep -q '^FAIL' "$log.one"; then
		echo "FAIL $name: ended with status $status" | tee -a "$log"
	fi
}

for t in "$@"; do
	one "$t" "$B/$t"
done
case " $* " in
*" test_cuda "*) ;;
*) echo "SKIP test_cuda: no C++ compiler to run the .cu files with" | tee -a "$log" ;;
esac
for s in tests/*.sh tests/cli/*.sh; do
	case $s in
	tests/run.sh | tests/emulate.sh | tests/setup.sh | tests/demo.sh | tests/bench.sh | tests/big.sh | tests/cuda.sh | tests/gpu.sh) continue ;;
	esac
	[ -f "$s" ] && one "$s" sh "$s"
done
passed=$(grep -c '^ok  ' "$log")
failed=$(grep -c '^FAIL' "$log")
skipped=$(grep -c '^SKIP' "$log")
if [ "$failed" != 0 ]; then
	echo
	grep '^FAIL' "$log"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
