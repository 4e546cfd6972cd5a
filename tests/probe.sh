# loaders/probe.py and dsv4-verify parity, from a conversion through an engine to the verdict. The engine is tests/probe:
# what probe.py uses of torch, on plain bytes. B= names the build folder.
# Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
if ! python3 -c 'import ctypes, sys; ctypes.CDLL("libxxhash.so.0"); sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
	echo "SKIP probe: no python3 from 3.9 on with libxxhash here"
	exit
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PYTHONPATH=loaders:tests/probe PYTHONDONTWRITEBYTECODE=1
"$B/dsv4-convert" run tests/golden/tiny-flash -o "$tmp/set" --target marlin-mxfp4 --ranks 2 -q >/dev/null
try() { # try DAMAGE STATUS TEXT: what parity says of an engine that was damaged so
	python3 tests/probe/load.py "$tmp/set/rank-0-of-2" "$tmp/state.json" "$1" 2>"$tmp/log" || {
		echo "FAIL probe_$1"
		tail -n 5 "$tmp/log"
		return
	}
	"$B/dsv4-verify" parity "$tmp/set" "$tmp/state.json" --junit "$tmp/x.xml" >"$tmp/out" 2>&1
	if [ $? = "$2" ] && grep -q "$3" "$tmp/out" && [ -s "$tmp/x.xml" ]; then
		echo "ok   probe_$1"
	else
		echo "FAIL probe_$1"
		sed 's/^/     /' "$tmp/out" | head -n 20
	fi
}
try none 0 'true'
try view 0 'true'
try bit 1 'parity.bytes'
try gone 1 'parity.missing'
rm -f "$tmp/state.json"
if python3 tests/probe/load.py "$tmp/set/rank-0-of-2" "$tmp/state.json" meta 2>"$tmp/log" || [ -e "$tmp/state.json" ] ||
	! grep -q 'on the meta device' "$tmp/log"; then
	echo "FAIL probe_meta"
	tail -n 5 "$tmp/log"
else
	echo "ok   probe_meta"
fi
