# What dsv4-verify opens while it checks, as the kernel sees it: after the libraries the folder that was named, and
# below it plain names, through no link. Also where manifests are hostile. Prints "ok   name", or SKIP without strace.
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
verify=$B/dsv4-verify
"$B/dsv4-convert" run tests/golden/tiny-flash -o "$tmp/set" --target marlin-mxfp4 --ranks 2 --pp 2 -q >/dev/null || exit 2

export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # it cannot, traced
if ! strace -f -o "$tmp/probe" true 2>/dev/null; then
	echo "SKIP opens: no strace, or it may not trace"
	exit 0
fi

# trace FOLDER STATUS: the opens of files, without those of libraries and /proc, /sys, /dev
trace() {
	status=0
	strace -f -e trace=open,openat,openat2,creat -o "$tmp/log" "$verify" check "$1" -q -j 1 >/dev/null 2>&1 ||
		status=$?
	[ $status = "$2" ] || echo "status $status, expected $2"
	# the first open of the folder itself; what comes before is the loader's
	sed -n "\\|openat(AT_FDCWD, \"$1\"|,\$p" "$tmp/log" | grep -E 'open|creat' |
		grep -vE "openat\(AT_FDCWD, \"($1|/(proc|sys|dev|etc/localtime|usr|lib)[^\"]*)\"" |
		grep -vE 'openat\([0-9]+, "[^"/]+", O_RDONLY\|.*O_NOFOLLOW' |
		grep -vE 'openat\([0-9]+, "\.", O_RDONLY\|' # the folder once more, to list it
}
check() { # check NAME LINES
	if [ -n "$2" ]; then
		echo "FAIL $1"
		printf '%s\n' "$2" | head -n 5 | sed 's/^/     /'
	else
		echo "ok   $1"
	fi
}
check opens_whole "$(trace "$tmp/set" 0)"
[ "$(grep -c 'openat([0-9]*, "' "$tmp/log")" -gt 50 ] || echo "FAIL opens_seen"

# names that lead elsewhere, links in the place of folders and files
(cd "$tmp/set/pp-0-of-2/rank-0-of-2" && for f in *.safetensors; do rm "$f" && ln -s /etc/passwd "$f"; done)
check opens_links "$(trace "$tmp/set" 1)"
mv "$tmp/set/pp-1-of-2" "$tmp/elsewhere" && ln -s "$tmp/elsewhere" "$tmp/set/pp-1-of-2"
check opens_folder_link "$(trace "$tmp/set" 1)"
cp "$tmp/set/manifest.json" "$tmp/orig"
for name in ../../etc/passwd /etc/passwd .. . a/b; do
	sed -e "s|\"name\": \"rank|\"name\": \"$name|" -e "s|\"name\": \"pp-0-of-2/rank-0-of-2|\"name\": \"$name|" \
		-e '/xxh3_128/d' -e 's/\("tool": "[^"]*"\),/\1/' "$tmp/orig" >"$tmp/set/manifest.json"
	grep -q "\"name\": \"$name" "$tmp/set/manifest.json" || echo "FAIL opens_name_$name: not edited"
	check "opens_name_$name" "$(trace "$tmp/set" 1)"
done
