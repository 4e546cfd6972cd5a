# Builds everything for 64-bit ARM with Debian's cross compiler, and runs tests of the lower rooms, of models and of
# conversions under qemu. Called by tests/package/run.sh in the top folder of the sources; says SKIP and why where the
# packages are not to be had. The libraries of the other machine are unpacked into build/arm64; nothing of them is
# installed.
set -u
at=$PWD/build/arm64
root=$at/root
tests='test_core test_st test_hash test_json test_model test_codec test_index test_convert test_restore'
# Under qemu a test takes ten times as long: of conversions, those that make and restore one.
only() {
	case $1 in
	test_convert) echo oracle_vectors ;;
	test_restore) echo "restore: reshard" ;;
	esac
}
skip() {
	echo "SKIP arm64: $1"
	exit 0
}
missing=
command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 || missing="$missing gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
command -v qemu-aarch64-static >/dev/null 2>&1 || missing="$missing qemu-user-static"
# shellcheck disable=SC2086 # several packages
[ -z "$missing" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 ||
	skip "apt-get cannot install$missing"
if [ ! -e "$root/complete" ]; then
	rm -rf "$root"
	mkdir -p "$root/lists/partial" "$root/debs/partial"
	: >"$root/status"
	set -- -q -o APT::Architectures::=arm64 -o APT::Architecture=arm64 -o Dir::State::lists="$root/lists" \
		-o Dir::State::status="$root/status" -o Dir::Cache="$root" -o Dir::Cache::archives="$root/debs"
	apt-get "$@" update >/dev/null 2>&1 # one source of several may be out of reach
	(cd "$root/debs" && apt-get "$@" download libjansson-dev libjansson4 libssl-dev libssl3 libxxhash-dev libxxhash0 libzstd-dev \
		libzstd1 zlib1g >/dev/null 2>&1) || skip "Debian's libraries for arm64 cannot be fetched"
	for f in "$root"/debs/*.deb; do dpkg -x "$f" "$root" || exit 1; done
	touch "$root/complete"
fi
lib=$root/usr/lib/aarch64-linux-gnu
# shellcheck disable=SC2086 # several tests
nice make CUDA=0 CROSS=aarch64-linux-gnu- B=build/arm64/b CFLAGS=-O1 LDFLAGS="-L$lib -Wl,-rpath-link,$lib" \
	CPPFLAGS="-isystem $root/usr/include -isystem $root/usr/include/aarch64-linux-gnu" \
	$(for t in convert quant verify; do echo build/arm64/b/dsv4-$t; done) build/arm64/b/mkmodel \
	$(for t in $tests; do echo build/arm64/b/$t; done) >"$at/log" 2>&1 || {
	tail -n 30 "$at/log"
	echo "FAIL arm64_builds"
	exit 1
}
echo "ok   arm64_builds"

# Tests call the tools by name: each name becomes a script that calls the program under qemu.
run="qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=$lib"
mkdir -p build/arm64/run
for p in dsv4-convert dsv4-quant dsv4-verify mkmodel; do
	printf '#!/bin/sh\nexec %s %s/b/%s "$@"\n' "$run" "$at" "$p" >"build/arm64/run/$p"
	chmod +x "build/arm64/run/$p"
done
bad=0
for t in $tests; do
	# shellcheck disable=SC2086 # words
	only=$(only "$t")
	B=build/arm64/run timeout 250 $run "$at/b/$t" ${only:+"$only"} >"$at/$t.log" 2>&1
	s=$?
	if [ $s = 0 ]; then
		echo "ok   arm64_$t ($(grep -c '^ok' "$at/$t.log") tests under qemu)"
	else
		echo "FAIL arm64_$t (status $s)"
		grep -A6 '^FAIL' "$at/$t.log" | head -n 20
		bad=1
	fi
done
exit $bad
