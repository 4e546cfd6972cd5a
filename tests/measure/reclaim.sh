# run --reclaim at the real shapes of V4-Flash: as many of its layers as LAYERS says (2), with embedding and head of the real vocabulary, become
# TARGET (marlin-mxfp4) while shards of the source go. The disk that both folders take is looked at all the time and held to what plan
# forecasts; every shard is restored, one after the other, and held to its SHA-256. Of two layers source and output have 9 GB, and the disk
# needs twice that in ${TMPDIR:-/tmp}; says so and ends with 0 where there is less. It is no part of make test.
set -eu
B=${B:-build/gcc-opt} LAYERS=${LAYERS:-2} TARGET=${TARGET:-marlin-mxfp4} THREADS=${THREADS:-2}
top=${TMPDIR:-/tmp}
if [ "$(df -Pk "$top" | awk 'NR == 2 { print $4 }')" -lt $((4000000 + LAYERS * 7500000)) ]; then
	echo "SKIP reclaim: too little free in $top for $LAYERS layers"
	exit 0
fi
d=$(mktemp -d "$top/dsv4-reclaim.XXXXXX")
trap 'rm -rf "$d"' EXIT
"$B/mkmodel" "$d/src" --config tests/configs/flash.json --set num_hidden_layers="$LAYERS" --set num_nextn_predict_layers=0 --set num_hash_layers=1 \
	--set "compress_ratios=[$(yes 4,128 | head -n $(((LAYERS + 1) / 2)) | paste -sd, | cut -d, -f1-"$LAYERS")]"
(cd "$d/src" && sha256sum ./*.safetensors | sed 's, \./, ,' >../sums)
"$B/dsv4-convert" plan "$d/src" -o "$d/out" -t "$TARGET" -j "$THREADS" --json >"$d/plan"
say() { python3 -c 'import json, sys
d = json.load(open(sys.argv[1])); r = d["disk"]["reclaim"]; print(eval(sys.argv[2]))' "$d/plan" "$1"; }
plan=$(say 'd["plan"]') forecast=$(say 'r["peak"]') each=$(say 'r["per_thread"]') shard=$(say 'r["shard"]') source=$(say 'r["source"]')
used() { du -sB1 "$d/src" "$d/out" 2>/dev/null | awk '{ n += $1 } END { printf "%.0f\n", n }'; }
before=$(used) peak=0
"$B/dsv4-convert" run "$d/src" -o "$d/out" -t "$TARGET" -j "$THREADS" --source-sha256 "$d/sums" --reclaim "$plan" >/dev/null &
pid=$!
while kill -0 $pid 2>/dev/null; do
	now=$(($(used) - before))
	[ "$now" -le "$peak" ] || peak=$now
	sleep 0.1
done
wait $pid
[ -z "$(ls "$d/src" | grep safetensors$)" ]
echo "     source $source, largest shard $shard; forecast $forecast ($each for each of $THREADS threads), seen $peak more than before"
bad=
[ "$peak" -le "$forecast" ] || bad="$bad more-than-forecast"
[ "$each" -lt $((2 * shard)) ] || bad="$bad two-shards"
while read -r want name; do
	"$B/dsv4-convert" restore "$d/out" -o "$d/back" --shard "$name" -q >"$d/restored"
	[ "$(cut -d' ' -f1 "$d/restored")" = "$want" ] || bad="$bad $name"
	rm -rf "$d/back"
done <"$d/sums"
[ -z "$bad" ] && echo "ok   reclaim: $TARGET of $LAYERS layers" || echo "FAIL reclaim:$bad"
[ -z "$bad" ]
