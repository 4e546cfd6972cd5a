# Files and offsets beyond 4 GiB, at the real shapes of V4-Flash: two layers of a header-exact
# checkpoint whose payload is a hole (zeros) go into one rank file of 7 GB; its SHA-256 is compared with
# OpenSSL's, its bounds with ls, its memory with --max-memory 128M. Needs 8 GB of disk in ${TMPDIR:-/tmp};
# says so and ends with 0 where there is less.
set -eu
B=${B:-build/gcc-opt}
top=${TMPDIR:-/tmp}
if [ "$(df -Pk "$top" | awk 'NR == 2 { print $4 }')" -lt 9000000 ]; then
	echo "SKIP big: less than 9 GB free in $top"
	exit 0
fi
d=$(mktemp -d "$top/dsv4-big.XXXXXX")
trap 'rm -rf "$d"' EXIT
"$B/mkmodel" "$d/flash" --config tests/configs/flash.json --sparse
"$B/dsv4-convert" run "$d/flash" -o "$d/out" --target official --mp 1 --layers 3-4 --max-memory 128M -q >"$d/sums"
size=$(stat -c %s "$d/out/model0-mp1.safetensors")
[ "$size" -gt 7000000000 ]
want=$(openssl dgst -sha256 -r "$d/out/model0-mp1.safetensors" | cut -d' ' -f1)
if [ "$(cut -d' ' -f1 "$d/sums")" = "$want" ]; then
	echo "ok   big: $size bytes, SHA-256 as OpenSSL says"
else
	echo "FAIL big: SHA-256 differs from OpenSSL's"
	exit 1
fi
