# The kernels on the GPU of this machine, against plain C, bit for bit; then once more under compute-sanitizer
# (memcheck, racecheck, synccheck, initcheck) where that is installed. Ends with a summary to paste into an
# issue (docs/gpu.md). Without a GPU, or in a program built without CUDA, prints one SKIP line; with
# REQUIRE_GPU=1 that is a failure.
# Called by make test-gpu with B=, CUDA=, NVCC=, ARCHS=, CUTESTS=.
set -u
none() {
	if [ "${REQUIRE_GPU:-0}" = 1 ]; then
		echo "FAIL gpu: $1"
		exit 1
	fi
	echo "SKIP gpu: $1"
	exit 0
}
[ "$CUDA" = 1 ] || none "built without CUDA (there is no nvcc, or CUDA=0)"
export B
first=$("$B/gpu/test_device" complete 2>&1)
case $first in
*"SKIP device"* | *"FAIL device"*) none "${first#*device: }" ;;
esac

log=$B/gpu/log
: >"$log"
one() { # one NAME COMMAND...
	name=$1
	shift
	echo "== $name"
	"$@" 2>&1 | tee "$log.one"
	grep -E '^(ok  |FAIL|SKIP)' "$log.one" | sed "s/^\\(ok  \\|FAIL\\|SKIP\\) */\\1 $name: /" >>"$log"
	if grep -qE 'ERROR SUMMARY: [1-9]|[1-9][0-9]* hazards? displayed|Error: process' "$log.one"; then
		echo "FAIL $name: compute-sanitizer found something" | tee -a "$log"
	fi
	grep -qE '^(ok  |FAIL)' "$log.one" || echo "FAIL $name: printed no result" | tee -a "$log"
}
for t in $CUTESTS; do
	one "$t" "$B/gpu/$t"
done
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
if [ -n "$sanitizer" ]; then
	for tool in memcheck racecheck synccheck initcheck; do
		for t in test_device test_devlinear; do
			one "$t $tool" "$sanitizer" --tool $tool --error-exitcode 9 "$B/gpu/$t"
		done
	done
fi
failed=$(grep -c '^FAIL' "$log")
echo
echo "--- paste from here ---"
echo "dsv4-tools make test-gpu, $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv,noheader 2>/dev/null ||
	echo "nvidia-smi: not there"
"$NVCC" --version | tail -n 2 | head -n 1
echo "built for sm: $ARCHS; compute-sanitizer: ${sanitizer:-not installed}"
echo "$(grep -c '^ok  ' "$log") passed, $failed failed"
grep '^FAIL' "$log"
echo "--- to here ---"
[ "$failed" = 0 ]
