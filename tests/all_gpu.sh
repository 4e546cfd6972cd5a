# All that needs a GPU, one behind the other, and a summary: the kernels (tests/gpu.sh), then engines that load what the tools
# write and are asked what they hold (tests/engine_gpu.sh). Called by make test-all-gpu with what these two are called with.
#
#	MODEL       a checkpoint that the engines can load on the GPUs of this machine
#	HALF        seconds after which either half is ended (280, so that both stay below ten minutes); 0: never
#
# Exit status: 0 both are true; 1 something is false, or was not at its end in time; 2 a wrong call; 3 no GPU; 4 a GPU and no
# engine: the kernels are true.
set -u
if ! nvidia-smi -L 2>/dev/null | grep -q .; then
	echo "all-gpu: no GPU (nvidia-smi names none): nothing was run"
	exit 3
fi
if [ -z "${MODEL:-}" ]; then
	echo "all-gpu: say MODEL=DOWNLOAD, a checkpoint that the engines can load here (make test-gpu runs the kernels alone)" >&2
	exit 2
fi
say() { # say STATUS: what it means
	case $1 in
	0) echo "true" ;;
	4) echo "not run (no engine)" ;;
	124) echo "not at its end after ${HALF:-280} s" ;;
	*) echo "false (status $1)" ;;
	esac
}
began=$(date +%s)
REQUIRE_GPU=1 timeout "${HALF:-280}" sh tests/gpu.sh
kernels=$?
timeout "${HALF:-280}" sh tests/engine_gpu.sh
engines=$?
echo
echo "all-gpu: kernels: $(say $kernels); engines: $(say $engines); $(($(date +%s) - began)) s"
[ $kernels = 0 ] || exit 1
[ $engines != 124 ] || exit 1
exit $engines
