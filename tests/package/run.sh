# Packages: Debian's, twice and equal, held to lintian; static tools in an empty root; the build for 64-bit ARM under
# qemu. Called by .ci/run in the top folder of the sources, after make test; B= names the build folder whose objects
# the static tools are linked from. Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
B=${B:-build/gcc-opt}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
check() { # check NAME STATUS [FILE]
	if [ "$2" = 0 ]; then
		echo "ok   $1"
	else
		echo "FAIL $1"
		[ -z "${3:-}" ] || tail -n 20 "$3" | sed 's/^/     /'
		bad=1
	fi
}

debs() {
	missing=
	command -v dh >/dev/null 2>&1 || missing="$missing debhelper"
	command -v lintian >/dev/null 2>&1 || missing="$missing lintian"
	command -v dpkg-buildpackage >/dev/null 2>&1 || missing="$missing dpkg-dev"
	# shellcheck disable=SC2086 # several packages
	[ -z "$missing" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
		echo "SKIP debs: apt-get cannot install$missing"
		return
	}
	make deb >"$tmp/deb.log" 2>&1
	check deb_builds_lintian_clean $? "$tmp/deb.log"
	DEB_OUT=$tmp/again sh contrib/deb.sh >"$tmp/again.log" 2>&1
	check deb_builds_again $? "$tmp/again.log"
	for f in build/deb/*.deb; do cmp "$f" "$tmp/again/${f##*/}"; done >"$tmp/cmp" 2>&1
	[ ! -s "$tmp/cmp" ] && [ "$(ls build/deb/*.deb | wc -l)" -ge 3 ]
	check deb_reproducible $? "$tmp/cmp"
	for p in dsv4-tools_ libdsv4-0_ libdsv4-dev_; do dpkg -x build/deb/$p*.deb "$tmp/installed" || exit 1; done
	lib=$(dirname "$tmp"/installed/usr/lib/*/libdsv4.so)
	{ "$tmp/installed/usr/bin/dsv4-verify" version &&
		gcc -I"$tmp/installed/usr/include" -o "$tmp/read" examples/read.c -L"$lib" -ldsv4 &&
		LD_LIBRARY_PATH=$lib ldd "$tmp/read" | grep -q "libdsv4.so.0 => $lib"; } >"$tmp/log" 2>&1
	check deb_usable $? "$tmp/log"
}

static() {
	command -v xz >/dev/null 2>&1 || apt-get install -y -q --no-install-recommends xz-utils >/dev/null 2>&1
	make B="$B" static >"$tmp/static.log" 2>&1
	check static_builds $? "$tmp/static.log"
	f=$(ls build/dsv4-tools-*.tar.xz)
	cp "$f" "$tmp/first.tar.xz"
	rm -rf "$B/static"
	make B="$B" static >"$tmp/static.log" 2>&1 && cmp "$f" "$tmp/first.tar.xz" >>"$tmp/static.log" 2>&1
	check static_reproducible $? "$tmp/static.log"
	[ "$(stat -c %s "$f")" -lt 8388608 ]
	check static_below_8_mb $?
	mkdir "$tmp/empty" && tar -C "$tmp/empty" --strip-components=1 -xf "$f"
	cp -R tests/golden/tiny-flash "$tmp/empty/model"
	# An empty root: no library, no /proc, no /dev, no /etc.
	if [ "$(id -u)" = 0 ]; then in="chroot $tmp/empty"; else in="unshare -r chroot $tmp/empty"; fi
	$in /bin/dsv4-convert version >/dev/null 2>&1 || $in /bin/dsv4-convert version 2>&1 | grep -q dsv4 || {
		echo "SKIP static_in_an_empty_root: no chroot here"
		return
	}
	{ for t in convert quant verify; do $in /bin/dsv4-$t version || exit 1; done &&
		$in /bin/dsv4-convert run /model -o /out --target official -q &&
		$in /bin/dsv4-verify check /out && $in /bin/dsv4-verify compare /model /out &&
		$in /bin/dsv4-convert run /model -o /hf --target hf -q && $in /bin/dsv4-convert restore /hf -o /back -q && cmp "$tmp/empty/model/model-00001-of-00007.safetensors" "$tmp/empty/back/model-00001-of-00007.safetensors"; } >"$tmp/log" 2>&1
	check static_in_an_empty_root $? "$tmp/log"
}

static
debs
sh tests/package/arm64.sh || bad=1
exit $bad
