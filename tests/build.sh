# The Makefile: flags of the caller are used, switching CUDA links the kernels that were asked for, a missing package
# is named and not installed. B= names the build folder. Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
tmp=$(mktemp -d)
b=$B.switched
trap 'rm -rf "$tmp" "$b"' EXIT
MAKEFLAGS='' MAKELEVEL=0
export MAKEFLAGS MAKELEVEL
check() { # check NAME STATUS [FILE]
	if [ "$2" = 0 ]; then
		echo "ok   $1"
	else
		echo "FAIL $1"
		[ -z "${3:-}" ] || tail -n 20 "$3" | sed 's/^/     /'
	fi
}

# what the environment and the command line ask for stands in the commands, before what fixes the bits
for how in environment command_line; do
	set -- CC="$CC -g0" CPPFLAGS="-I$tmp/foreign" CFLAGS="-O1 -ffast-math" LDFLAGS="-L$tmp/foreign"
	if [ $how = environment ]; then
		env "$@" make -n V=1 CUDA=0 SAN=0 B="$tmp/b" >"$tmp/$how" 2>&1
	else
		make -n V=1 CUDA=0 SAN=0 B="$tmp/b" "$@" >"$tmp/$how" 2>&1
	fi
	grep -q -- "^$CC -g0 .* -I$tmp/foreign -O1 -ffast-math -ffp-contract=off -fno-fast-math .*core/err\.c" "$tmp/$how" &&
		grep -q -- "^$CC -g0 .* -L$tmp/foreign -o $tmp/b/dsv4-convert" "$tmp/$how"
	check "build_flags_of_$how" $? "$tmp/$how"
done

# A variable of one target must not reach what it depends on: the files that say which flags were used would have others
# for each goal, and everything would be built again.
! grep -nE '^[^#	]*: *(CF|LF|LIBS|CXF) *[+:]?=' Makefile | grep -v 'private' >"$tmp/leaks"
grep -nE '\$\(eval [^=]*: *(CF|LF|LIBS|CXF) *[+:]?=' Makefile | grep -v 'private' >>"$tmp/leaks"
[ ! -s "$tmp/leaks" ]
check build_flags_of_one_target "$?" "$tmp/leaks"

# Where a command that fails ends a script, one in its EXIT trap gives the whole script its status, after all was done: what
# may fail there (kill, of what has ended already) stands before "||".
git ls-files -z 2>/dev/null | xargs -0r grep -lZE '^[[:space:]]*set -[a-z]*e' -- 2>/dev/null |
	xargs -0r grep -nE "^[[:space:]]*trap .*EXIT" -- /dev/null |
	sed "s/\(:[^']*\)'\(.*\)'[^']*$/\1;\2/" | awk -F'[;]' '{
		for (i = 2; i <= NF; i++)
			if ($i !~ /^ *rm -r?f / && $i !~ /\|\| (true|:) *$/)
				print $0
	}' >"$tmp/traps"
[ ! -s "$tmp/traps" ]
check build_traps_keep_status $? "$tmp/traps"

# a compiler to which jansson.h is not there, and an apt-get that only says it was called
mkdir "$tmp/bin"
printf '#!/bin/sh\ncase "$*" in *-E*) ! grep -q jansson ;; *) exec %s "$@" ;; esac\n' "$CC" >"$tmp/bin/cc-without"
printf '#!/bin/sh\necho "$*" >>%s/called\n' "$tmp" >"$tmp/bin/apt-get"
chmod +x "$tmp/bin/cc-without" "$tmp/bin/apt-get"
PATH=$tmp/bin:$PATH make -s CUDA=0 CC=cc-without B="$tmp/b" "$tmp/b/dsv4-convert" >"$tmp/out" 2>&1
[ $? != 0 ] && grep -q 'missing.* libjansson-dev' "$tmp/out" && ! [ -e "$tmp/called" ]
check build_names_packages $? "$tmp/out"
PATH=$tmp/bin:$PATH make -s CUDA=0 CC=cc-without setup >"$tmp/out" 2>&1
grep -q 'libjansson-dev' "$tmp/called" 2>/dev/null || grep -q 'please run.*libjansson-dev' "$tmp/out"
check setup_installs_or_prints $? "$tmp/out"

# An nvcc of our own, whose kernels are those of the file that says there is no GPU, with a mark.
mkdir -p "$tmp/nv/bin" "$tmp/nv/lib64"
: >"$tmp/empty.c"
$CC -c -o "$tmp/empty.o" "$tmp/empty.c" && ar rc "$tmp/nv/lib64/libcudart_static.a" "$tmp/empty.o"
cat >"$tmp/nv/bin/nvcc" <<EOF
#!/bin/sh
[ "\$1" != --list-gpu-arch ] || { echo compute_80; exit; }
while [ "\$1" != -o ]; do shift; done
printf '#include "kernels/cuda/cuda_none.c"\nextern const int mark_of_nvcc; const int mark_of_nvcc = 1;\n' >$tmp/nv.c
exec $CC -std=c11 -D_GNU_SOURCE -I. -fPIE -c -o "\$2" $tmp/nv.c
EOF
chmod +x "$tmp/nv/bin/nvcc"
# Hard links of what was built: objects and libraries are replaced and never written to; stamps are copied, and files
# of dependencies, which a compiler would write to, are left out.
make -s CC="$CC" CUDA=0 B="$tmp/b" "$tmp/b/flags" >/dev/null 2>&1
if ! cmp -s "$B/flags" "$tmp/b/flags"; then
	echo "SKIP build_cuda_switches: $B was built with other flags than the environment has"
elif cp -rl "$B" "$b" 2>/dev/null; then
	find "$b" -name '*.d' -type f -exec rm {} +
	for f in flags linked checked; do
		cp "$b/$f" "$tmp/stamp" && rm "$b/$f" && cp -p "$tmp/stamp" "$b/$f" && touch -r "$B/$f" "$b/$f"
	done
	build() { make CC="$CC" B="$b" NVDIR="$tmp/nvcc" "$b/dsv4-verify" "$@" >"$tmp/out" 2>&1; }
	marked() { grep -q mark_of_nvcc "$b/dsv4-verify"; }
	build CUDA=0 && ! marked && build CUDA=1 NVCC="$tmp/nv/bin/nvcc" && marked && build CUDA=0 && ! marked
	check build_cuda_switches $? "$tmp/out"
	! grep -q '^  CC ' "$tmp/out"
	check build_cuda_compiles_nothing_anew $? "$tmp/out"
else
	echo "SKIP build_cuda_switches: no hard links here"
fi
