# libdsv4 from an installed tree: examples/ are built with what pkg-config says, shared and static, and run on a
# conversion of a small model; what is wrong with it, they say. The loaders run on a stand-in for CUDA (tests/cudart).
# B= names the build folder, CC= the compiler. Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
CC=${CC:-gcc}
if [ ! -e "$B/libdsv4.a" ]; then
	echo "SKIP library: there is no libdsv4 under sanitizers"
	exit
fi
if ! command -v pkg-config >/dev/null; then
	echo "SKIP library: no pkg-config here"
	exit
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
: >"$tmp/bad"
check() { # check NAME: fails if $tmp/bad has lines, and empties it
	if [ -s "$tmp/bad" ]; then
		echo "FAIL $1"
		sed 's/^/     /' "$tmp/bad" | head -n 20
	else
		echo "ok   $1"
	fi
	: >"$tmp/bad"
}
bad() { echo "$*" >>"$tmp/bad"; }

MAKEFLAGS='' make -s -o all -o "$B/libdsv4.a" -o "$(ls "$B"/libdsv4.so.*.*.*)" install-lib CC="$CC" B="$B" DESTDIR= \
	PREFIX="$tmp/inst" LIBDIR="$tmp/inst/lib" INCLUDEDIR="$tmp/inst/include" >"$tmp/log" 2>&1 || cat "$tmp/log" >>"$tmp/bad"
for f in include/dsv4.h lib/libdsv4.a lib/libdsv4.so lib/pkgconfig/dsv4.pc share/man/man3/dsv4.3; do
	[ -e "$tmp/inst/$f" ] || bad "no $f"
done
export PKG_CONFIG_PATH="$tmp/inst/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}" LD_LIBRARY_PATH="$tmp/inst/lib"
[ "$(pkg-config --modversion dsv4)" = "$(sed -n 's/.*DSV4_LIB_VERSION "\(.*\)"/\1/p' quant/lib/dsv4.h)" ] || bad "pkg-config says another version"
grep -q . "$tmp/inst/lib/pkgconfig/dsv4.pc" && grep -n '@' "$tmp/inst/lib/pkgconfig/dsv4.pc" >>"$tmp/bad"
check library_installs

# A page of each function, in form.
for f in $(sed -n 's/^\t\(dsv4_[a-z_0-9]*\);$/\1/p' quant/lib/dsv4.map); do
	tr -d '\\' <"$tmp/inst/share/man/man3/dsv4.3" | grep -q "$f(" || bad "dsv4(3) has no $f"
done
if command -v groff >/dev/null; then
	groff -man -Tutf8 -ww -z "$tmp/inst/share/man/man3/dsv4.3" 2>>"$tmp/bad"
fi
check library_manual

warn='-std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Wshadow -Wconversion -Werror'
# shellcheck disable=SC2046,SC2086 # flags
build() { # build OUT FILES...: against the shared library
	out=$1
	shift
	$CC $warn $(pkg-config --cflags dsv4) -o "$out" "$@" $(pkg-config --libs dsv4) -lpthread 2>>"$tmp/bad" || bad "$* does not build"
}
build "$tmp/read" examples/read.c
build "$tmp/load_cuda" -I. -Itests/cudart examples/load_cuda.c tests/cudart/cudart.c
build "$tmp/load_cufile" -I. -Itests/cudart examples/load_cufile.c tests/cudart/cudart.c -ldl
# the static one, where there is no other
mkdir -p "$tmp/static"
cp -r "$tmp/inst/." "$tmp/static"
rm "$tmp"/static/lib/libdsv4.so*
# shellcheck disable=SC2046,SC2086
$CC $warn $(pkg-config --define-variable=prefix="$tmp/static" --cflags dsv4) -o "$tmp/read_static" examples/read.c \
	$(pkg-config --define-variable=prefix="$tmp/static" --static --libs dsv4) 2>>"$tmp/bad" || bad "read.c does not build, static"
readelf -d "$tmp/read" | grep -q 'NEEDED.*libdsv4\.so\.0' || bad "read does not need libdsv4.so.0"
readelf -d "$tmp/read_static" 2>/dev/null | grep 'NEEDED.*libdsv4' >>"$tmp/bad"
printf '#include <dsv4.h>\nint main() { return dsv4_version() ? 0 : 1; }\n' >"$tmp/x.cc"
if command -v c++ >/dev/null; then
	# shellcheck disable=SC2046
	c++ -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags dsv4) -o "$tmp/x" "$tmp/x.cc" $(pkg-config --libs dsv4) 2>>"$tmp/bad" &&
		"$tmp/x" || bad "a program in C++ does not build or run"
else
	echo "SKIP library_in_cxx: no C++ compiler here"
fi
check library_builds

golden=tests/golden/tiny-flash
"$B/dsv4-convert" run "$golden" -o "$tmp/set" --target marlin-mxfp4 --ranks 2 -q >/dev/null 2>>"$tmp/bad"
for r in read read_static; do
	for o in "" "-j 3" "-u" "-d -j 2" "-s"; do
		# shellcheck disable=SC2086
		"$tmp/$r" $o "$tmp/set" >"$tmp/out" 2>>"$tmp/bad" || bad "$r $o ends with $?"
		grep -q '^set for marlin-mxfp4: 14 files, 414 tensors' "$tmp/out" || cat "$tmp/out" >>"$tmp/bad"
	done
done
"$tmp/read" -l "$tmp/set/rank-0-of-2" >"$tmp/out" || bad "read -l ends with $?"
grep -q '^layers.0.ffn.experts.w13.weight I32 \[4,16,512\] 131072 bytes marlin4-a16/1, rows gate-up$' "$tmp/out" || bad "no w13 in the list"
[ "$(grep -c ' bytes' "$tmp/out")" = 208 ] || bad "$(grep -c ' bytes' "$tmp/out") lines"
check library_read

for o in "-c -j 1" "-c -j 5"; do
	# shellcheck disable=SC2086
	"$tmp/load_cuda" $o "$tmp/set/rank-1-of-2" >"$tmp/out" 2>>"$tmp/bad" || bad "load_cuda $o ends with $?"
	grep -q '^all 207 tensors equal$' "$tmp/out" || cat "$tmp/out" >>"$tmp/bad"
done
STAND_IN_MEMORY=1000000 "$tmp/load_cuda" "$tmp/set/rank-1-of-2" >/dev/null 2>"$tmp/out" && bad "it takes more memory than there is"
grep -q 'cudaMalloc: out of memory' "$tmp/out" || cat "$tmp/out" >>"$tmp/bad"
check library_load_cuda

$CC -shared -fPIC -o "$tmp/libcufile.so.0" tests/cudart/cufile.c 2>>"$tmp/bad"
try() { # try STATUS WORD VARIABLE=VALUE...: load_cufile -c
	status=$1 word=$2
	shift 2
	env "$@" "$tmp/load_cufile" -c "$tmp/set/rank-0-of-2" >"$tmp/out" 2>&1
	[ $? = "$status" ] && grep -q "$word" "$tmp/out" || { bad "$*: not $status with $word"; cat "$tmp/out" >>"$tmp/bad"; }
}
if ! ldconfig -p 2>/dev/null | grep -q libcufile; then
	try 0 'there is no libcufile: through the host' A=b
fi
try 0 'tensors placed, and equal' A=b
with=LD_LIBRARY_PATH="$tmp/inst/lib:$tmp"
try 0 'by cuFile' "$with"
try 0 'tensors placed, and equal' "$with"
try 0 'does not open: through the host' "$with" STAND_IN_CUFILE=closed
try 1 'cuFileRead' "$with" STAND_IN_CUFILE=broken
"$tmp/load_cufile" "$tmp/set" >/dev/null 2>"$tmp/out" && bad "it takes a set"
check library_load_cufile

# A byte that is another: all of them say so, and where.
f=$tmp/set/rank-0-of-2/model-00003-of-00007.safetensors
printf '\377' | dd of="$f" bs=1 seek=500000 conv=notrunc 2>/dev/null
for call in "read" "read -j 4" "read -d" "read_static" "load_cuda" "load_cufile"; do
	# shellcheck disable=SC2086
	set -- $call
	program=$1
	shift
	"$tmp/$program" "$@" "$tmp/set/rank-0-of-2" >/dev/null 2>"$tmp/out"
	[ $? = 1 ] && grep -q 'model-00003' "$tmp/out" && grep -q 'XXH3-128' "$tmp/out" || { bad "$call"; cat "$tmp/out" >>"$tmp/bad"; }
done
"$tmp/read" -u "$tmp/set/rank-0-of-2" >/dev/null 2>>"$tmp/bad" || bad "read -u ends with $?"
"$tmp/read" "$golden" >/dev/null 2>"$tmp/out"
[ $? = 1 ] && grep -q 'kind.download' "$tmp/out" && grep -q 'what to do' "$tmp/out" || { bad "a download"; cat "$tmp/out" >>"$tmp/bad"; }
check library_finds_damage
