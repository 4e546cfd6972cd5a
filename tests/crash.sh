# Ends the built dsv4-convert in the middle of its work and makes its system calls fail: kill -9 at
# exact calls (strace) and at random times, SIGTERM, I/O errors, a full disk, a stdout that takes
# nothing. Afterwards no file under a final name is wrong, and the same call made again gives what an
# undisturbed run gives, without touching what was finished.
# Called by make test (tests/run.sh) from the root of the project with B= (build folder).
set -u
B=${B:-build/gcc-opt}
tool=$PWD/$B/dsv4-convert
tmp=$(mktemp -d "${TMPDIR:-/tmp}/dsv4-crash-XXXXXX") || exit 2
# shellcheck disable=SC2317 # called by trap
clean_up() {
	umount "$tmp/disk" "$tmp/memory" 2>/dev/null
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 2' HUP INT TERM

big=$tmp/big       # 30 MB, so that a run takes a while
middle=$tmp/middle # 10 MB
small=tests/golden/tiny-pro

# --- reporting: a group of points is one line ---

group() {
	group=$1 points=0 bad=0
}
fail() { # says so, five times
	[ $bad -ge 5 ] || echo "FAIL $group: $1"
	bad=$((bad + 1))
}
end() {
	[ $bad != 0 ] || echo "ok   $group ($points points)"
}

# --- running ---

# use MODEL NAME OPTIONS...: what the next runs convert, with a clean run to compare with
use() {
	src=$1 clean=$at/clean-$2
	shift 2
	opts=$*
	if [ ! -d "$clean" ] && ! plain "$clean" >"$tmp/log" 2>&1; then
		fail "the undisturbed run: $(cat "$tmp/log")"
		exit 1
	fi
}
plain() { # plain OUT [COMMAND...]: converts, under that command
	o=$1
	shift
	# shellcheck disable=SC2086 # several options
	"$@" "$tool" run "$src" -o "$o" -q $opts
}
# traced CALL INJECTION: under strace; -j 1 because it counts calls by thread
traced() {
	plain "$out" strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:$2" >"$tmp/log" 2>&1
}
# count CALL: how often an undisturbed run makes it
count() {
	rm -rf "$out"
	plain "$out" strace -f -qq -o "$tmp/calls" -e "trace=$1" >/dev/null 2>&1
	grep -c "$1(" "$tmp/calls"
}

# --- what must hold ---

# Data files that are there with their sidecars, each with its inode.
finished() {
	for f in "$out"/*.safetensors; do
		[ ! -f "$f.manifest.json" ] || stat -c '%i %n' "$f"
	done
}
# look WHAT: after a run that was broken off
look() {
	(cd "$out" 2>/dev/null && find . -type f ! -name '.*') >"$tmp/there"
	while read -r f; do
		cmp -s "$out/$f" "$clean/$f" || fail "$1: $f is wrong"
	done <"$tmp/there"
	[ ! -f "$out/manifest.json" ] || diff -r "$clean" "$out" >/dev/null ||
		fail "$1: manifest.json is there before its time"
	finished >"$tmp/before"
}
# kept WHAT: files that look found finished are still the same
kept() {
	finished >"$tmp/after"
	sort "$tmp/after" "$tmp/after" "$tmp/before" | uniq -u >"$tmp/gone"
	[ ! -s "$tmp/gone" ] || fail "$1: made again: $(cat "$tmp/gone")"
}
no_parts() {
	[ -z "$(find "$out" -name '*.part' 2>/dev/null)" ] || fail "$1: leaves $(ls -A "$out")"
}
# in_pairs WHAT: what is left of unfinished files has a record each
in_pairs() {
	find "$out" -name '.*.manifest.json.*.part' 2>/dev/null >"$tmp/records"
	[ "$(find "$out" -name '*.part' 2>/dev/null | wc -l)" = $((2 * $(wc -l <"$tmp/records"))) ] ||
		fail "$1: leaves $(ls -A "$out")"
	while read -r record; do
		[ -f "$(echo "$record" | sed 's/\.manifest\.json\(\.[0-9a-f]*\.part\)$/\1/')" ] ||
			fail "$1: leaves $record alone"
	done <"$tmp/records"
}
# again WHAT: the same call, now undisturbed
again() {
	plain "$out" >"$tmp/log" 2>&1 || fail "$1: then $(cat "$tmp/log")"
	diff -r "$clean" "$out" >"$tmp/log" || fail "$1: then $(head -n 1 "$tmp/log")"
}

# --- kill -9 ---

# kill_at CALL HOW_MANY: at so many of its calls
kill_at() {
	all=$(count "$1")
	k=1
	while [ $k -le "$2" ]; do
		n=$((1 + (all - 1) * k / $2))
		k=$((k + 1)) points=$((points + 1))
		rm -rf "$out"
		traced "$1" "signal=KILL:when=$n"
		status=$?
		[ $status = 137 ] || fail "$1 $n: status $status instead of 137"
		look "$1 $n"
		again "$1 $n"
		kept "$1 $n"
	done
}

kill_at_calls() {
	group "crash: kill -9 at a call"
	use "$middle" hf-1 --target hf -j 1
	kill_at pwrite64 5
	kill_at fsync 5
	kill_at renameat2 6
	use "$middle" official-1 --target official --mp 2 -j 1
	kill_at unlinkat 2
	kill_at fallocate 2
	kill_at renameat2 4
	end
}

milliseconds() {
	echo $(($(date +%s%N) / 1000000))
}

# Chains: each run starts from what the killed ones before it left.
kill_at_times() {
	group "crash: kill -9 at a time"
	hits=0
	for target in "hf --target hf -j 2" "official --target official --mp 2 -j 2"; do
		# shellcheck disable=SC2086
		use "$big" $target
		rm -rf "$out"
		t=$(milliseconds)
		plain "$out" >/dev/null 2>&1
		t=$(($(milliseconds) - t + 1))
		for chain in 1 2 3; do
			rm -rf "$out"
			: >"$tmp/before"
			for link in 1 2 3; do
				ms=$(($(od -An -N2 -tu2 /dev/urandom) * t / 65536))
				points=$((points + 1))
				plain "$out" timeout --foreground -s KILL \
					"$((ms / 1000)).$(printf %03d $((ms % 1000)))" >/dev/null 2>&1
				[ $? != 137 ] || hits=$((hits + 1))
				what="$opts, chain $chain, kill $link, after $ms of $t ms"
				kept "$what"
				look "$what"
			done
			again "$what"
			kept "$what"
		done
	done
	[ $hits -ge 4 ] || fail "only $hits of $points runs were killed"
	end
}

# --- SIGTERM and SIGINT: in good order ---

terminate() {
	group "crash: SIGTERM and SIGINT"
	use "$middle" hf-1 --target hf -j 1
	all=$(count pwrite64)
	for k in 1 2 3 4 5 6; do
		n=$((1 + (all - 1) * k / 8)) points=$((points + 1))
		rm -rf "$out"
		traced pwrite64 "signal=$([ $((k % 2)) = 0 ] && echo INT || echo TERM):when=$n"
		status=$?
		[ $status = 2 ] || fail "write $n: status $status instead of 2"
		grep -q interrupted "$tmp/log" || fail "write $n: says $(cat "$tmp/log")"
		in_pairs "write $n"
		look "write $n"
		again "write $n"
		no_parts "write $n, then"
		kept "write $n"
	done
	end
}

# --- errors ---

# errors_at CALL FIRST BY: its every BY-th call fails, from the FIRST on
errors_at() {
	all=$(count "$1") n=$2
	while [ "$n" -le "$all" ]; do
		for error in EIO ENOSPC; do
			points=$((points + 1))
			what="$1 $n $error"
			rm -rf "$out"
			traced "$1" "error=$error:when=$n"
			status=$?
			# What it opens besides may be missing.
			if [ $status = 0 ] && [ "$1" = openat ]; then
				diff -r "$clean" "$out" >/dev/null || fail "$what: wrong files"
				continue
			fi
			[ $status = 2 ] || fail "$what: status $status: $(cat "$tmp/log")"
			[ -s "$tmp/log" ] || fail "$what: no word"
			[ "$1" = unlinkat ] || no_parts "$what"
			look "$what"
			[ $((points % 4)) != 0 ] || again "$what"
		done
		n=$((n + $3))
	done
}

errors() {
	group "crash: errors"
	use "$small" small --target hf -j 1
	errors_at pwrite64 1 2
	errors_at fsync 1 3
	errors_at renameat2 1 2
	errors_at fallocate 1 4
	errors_at unlinkat 1 6
	# Not those of the loader.
	count openat >/dev/null
	first=$(grep 'openat(' "$tmp/calls" | grep -n "\"$small\"" | head -n 1 | cut -d : -f 1)
	errors_at openat "$first" 4
	[ $points -ge 90 ] || fail "only $points points"
	end
}

# --- a stdout that takes nothing, or is not there ---

full() {
	group "crash: /dev/full"
	use "$small" small --target hf -j 1
	rm -rf "$out"
	plain "$out" >/dev/full 2>"$tmp/log"
	[ $? = 2 ] || fail "run: not status 2"
	[ -s "$tmp/log" ] || fail "run: no word"
	look run
	again run
	for cmd in "inspect $small" "inspect $small --json" "plan $small -o $out --target hf" \
		rules roles --help --version "run --help"; do
		points=$((points + 1))
		# shellcheck disable=SC2086
		"$tool" $cmd >/dev/full 2>/dev/null
		[ $? = 2 ] || fail "$cmd: not status 2"
	done
	end
}

# Descriptors 0 to 2 that are free must not become files that are written to.
closed() {
	group "crash: closed streams"
	use "$small" small --target hf -j 1
	for how in '>&-' '2>&-' '<&-' '>&- 2>&-' '<&- >&- 2>&-'; do
		points=$((points + 1))
		rm -rf "$out"
		eval "\"\$tool\" run \"\$src\" -o \"\$out\" $opts $how" >/dev/null 2>&1
		status=$?
		case $status,$how in
		0,*) diff -r "$clean" "$out" >/dev/null || fail "$how: status 0, wrong files" ;;
		2,*) look "$how" ;;
		*) fail "$how: status $status" ;;
		esac
		again "$how"
	done
	end
}

# --- a disk that is too small ---

small_disk() {
	group "crash: full disk"
	mkdir "$tmp/disk"
	if ! mount -t tmpfs -o size=1m none "$tmp/disk" 2>/dev/null; then
		echo "SKIP $group: may not mount a tmpfs"
		return
	fi
	use "$small" small --target hf -j 1
	out=$tmp/disk/out
	need=$(du -sk --apparent-size "$clean" | cut -f 1)
	data=$(($(cat "$clean"/*.safetensors | wc -c) / 1024))
	for kb in 4 64 $((need / 4)) $((need / 2)) $((data - 8)) $((data + 4)) $((data + 12)) \
		$((data + 24)) $((data + 48)) $((data + 64)) $((data + 96)) $((data + 128)) \
		$((need + 16)) $((need + 64)) $((need + 400)); do
		points=$((points + 1))
		rm -rf "$out"
		mount -o "remount,size=${kb}k" "$tmp/disk" || fail "remount"
		plain "$out" >"$tmp/log" 2>&1
		status=$?
		if [ $status = 0 ]; then
			diff -r "$clean" "$out" >/dev/null || fail "$kb KB: status 0, wrong files"
			continue
		fi
		[ $status = 2 ] || fail "$kb KB: status $status: $(cat "$tmp/log")"
		grep -Eq 'No space left|too few' "$tmp/log" || fail "$kb KB: says $(cat "$tmp/log")"
		no_parts "$kb KB"
		look "$kb KB"
		mount -o remount,size=100m "$tmp/disk" || fail "remount"
		again "$kb KB"
		kept "$kb KB"
	done
	[ "$status" = 0 ] || fail "does not fit into $kb KB"
	out=$at/out
	end
}

# Outputs go to AT.
write_to() {
	at=$1 out=$1/out
}

"$B/mkmodel" "$middle" --config tests/configs/small4.json --seed 3 || exit 2
"$B/mkmodel" "$big" --config tests/configs/small4.json --set n_routed_experts=64 --seed 3 || exit 2
write_to "$tmp"
kill_at_times
# What follows does not depend on the disk, only waits for it; memory is quicker.
mkdir "$tmp/memory"
mount -t tmpfs -o size=200m none "$tmp/memory" 2>/dev/null
write_to "$tmp/memory"
full
closed
small_disk
if ! command -v strace >/dev/null; then
	why="no strace"
elif ! strace -f -qq -o /dev/null -e inject=close:error=EIO:when=999 true 2>/dev/null; then
	why="strace may not trace here"
else
	why=
	export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # it cannot, traced
fi
for t in kill_at_calls:"kill -9 at a call" terminate:"SIGTERM and SIGINT" errors:errors; do
	if [ -n "$why" ]; then
		echo "SKIP crash: ${t#*:}: $why"
	else
		"${t%%:*}"
	fi
done
