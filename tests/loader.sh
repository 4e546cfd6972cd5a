# What loaders/vllm decides before vLLM has a model: which sets it takes, and everything that it refuses, with the sentence. Without
# vLLM and PyTorch; make oracle-vllm runs the same loader in vLLM. B= names the build folder.
# Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
if ! python3 -c 'import ctypes, sys; ctypes.CDLL("libxxhash.so.0"); sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
	echo "SKIP loader: no python3 from 3.10 on with libxxhash here"
	exit
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PYTHONPATH=loaders/vllm:tests/probe PYTHONDONTWRITEBYTECODE=1
golden=tests/golden/tiny-flash
try() { # try TARGET RANKS ep|tp [damages | layers OPTION...]
	target=$1 ranks=$2 by=$3 what=${4:-}
	shift $(($# > 4 ? 4 : $#))
	"$B/dsv4-convert" run "$golden" -o "$tmp/set" --target "$target" --ranks "$ranks" --experts-by "$by" "$@" -q >/dev/null 2>"$tmp/log" ||
		{ echo "FAIL loader: no set for $target, $ranks ranks by $by"; cat "$tmp/log"; }
	python3 tests/loader/refuse.py "$target" "$ranks" "$by" "$tmp/set" ${what:+"$what"} 2>"$tmp/log" || sed 's/^/     /' "$tmp/log"
	grep -q Traceback "$tmp/log" && echo "FAIL loader: $target, $ranks ranks by $by"
	rm -rf "$tmp/set"
}
try marlin-mxfp4 1 ep damages
try marlin-mxfp4 1 ep layers --layers 0
try marlin-mxfp4 2 ep
try trtllm-mxfp4 2 ep
try deepgemm-sm100 2 ep
try kmajor-sf128 1 ep
# Wide enough for two ranks to cut experts.
"$B/mkmodel" "$tmp/wide" --config tests/configs/small4.json --seed 3
golden=$tmp/wide
try marlin-mxfp4 2 tp
try trtllm-mxfp4 2 tp
try deepgemm-sm100 2 tp
try kmajor-sf128 2 tp
try vllm-sharded 2 tp
