# The library as programs see it, held to lists that are committed: what it exports (quant/lib/dsv4.map), sizes of
# structs, places of members, values of constants (quant/lib/dsv4.abi). A change that a program which was built before
# would notice shows here; "sh tests/abi.sh write" rewrites dsv4.abi, and the soname is then to be thought of.
# B= names the build folder, CC= the compiler. Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
CC=${CC:-gcc}
header=quant/lib/dsv4.h
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
check() { # check NAME FILE: fails if the file has lines
	if [ -s "$2" ]; then
		echo "FAIL $1"
		sed 's/^/     /' "$2" | head -n 30
	else
		echo "ok   $1"
	fi
}

# A program that prints every struct with its members, every constant and macro of the header.
sed 's,/\*.*\*/,,' "$header" | awk '
	BEGIN { print "#include \"quant/lib/dsv4.h\"\n#include <stdio.h>\nint main(void)\n{" }
	/^#define DSV4_[A-Z]+ / && !/"/ { printf "\tprintf(\"constant %s %%llu\\n\", (unsigned long long)%s);\n", $2, $2 }
	/^struct [a-z0-9_]+ \{/ { s = $2; printf "\tprintf(\"struct %s %%zu\\n\", sizeof(struct %s));\n", s, s; next }
	/^enum [a-z0-9_]+ \{/ { e = 1; next }
	/^\};/ { s = ""; e = 0 }
	e && /DSV4_/ { gsub(/[ \t,]|=.*/, ""); printf "\tprintf(\"constant %s %%d\\n\", %s);\n", $0, $0 }
	s != "" && /;/ {
		sub(/;.*/, "")
		n = split($0, part, ",")
		for (i = 1; i <= n; i++) {
			m = part[i]
			sub(/\[[^]]*\]/, "", m)
			sub(/[ \t]+$/, "", m)
			sub(/.*[ \t*]/, "", m)
			printf "\tprintf(\"member %s.%s %%zu %%zu\\n\", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));\n", s, m, s, m, s, m
		}
	}
	END { print "\treturn 0;\n}" }' >"$tmp/abi.c"
if ! $CC -std=c11 -I. -Wall -Wextra -Werror -o "$tmp/abi" "$tmp/abi.c" 2>"$tmp/bad"; then
	check abi_of_header "$tmp/bad"
	exit
fi
"$tmp/abi" >"$tmp/is"
if [ "${1:-}" = write ]; then
	cp "$tmp/is" quant/lib/dsv4.abi
	exit
fi
case $(uname -m) in
x86_64 | aarch64)
	diff quant/lib/dsv4.abi "$tmp/is" >"$tmp/bad"
	check abi_of_header "$tmp/bad"
	;;
*) echo "SKIP abi_of_header: the list is of 64-bit processors of the kinds x86-64 and aarch64" ;;
esac

# What is declared, what is listed and what is exported are the same.
grep -oE '\bdsv4_[a-z_0-9]+\(' "$header" | tr -d '(' | sort -u >"$tmp/declared"
sed -n 's/^\t\(dsv4_[a-z_0-9]*\);$/\1/p' quant/lib/dsv4.map | sort >"$tmp/listed"
diff "$tmp/declared" "$tmp/listed" >"$tmp/bad"
check abi_map_is_header "$tmp/bad"
so=$(ls "$B"/libdsv4.so.*.*.* 2>/dev/null)
if [ -z "$so" ]; then
	echo "SKIP abi_exports: there is no libdsv4 under sanitizers"
	exit
fi
nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$tmp/exported"
diff "$tmp/listed" "$tmp/exported" >"$tmp/bad"
check abi_exports "$tmp/bad"
nm -g --defined-only "$B/libdsv4.a" | awk 'NF == 3 { print $3 }' | sort >"$tmp/exported"
diff "$tmp/listed" "$tmp/exported" >"$tmp/bad"
check abi_static_exports "$tmp/bad"
readelf -d "$so" | grep -q "SONAME.*\[libdsv4\.so\.[0-9]*\]" || echo "no soname" >"$tmp/bad"
nm -D --defined-only "$so" | awk '$2 != "A" && $3 !~ /@@DSV4_[0-9]+$/ { print $3 " has no version" }' >>"$tmp/bad"
check abi_soname "$tmp/bad"
# It never prints and never ends the process: no function that does is even linked. (What ends it is a broken
# invariant of its own, by assert.)
nm -D --undefined-only "$so" | grep -wE '(exit|_exit|_Exit|abort|printf|puts|putchar|perror|fprintf|fwrite|fputs|stdout|stderr|signal|sigaction|setenv|putenv|atexit|on_exit)(@.*)?$' >"$tmp/bad"
check abi_calls "$tmp/bad"
# and it has nothing that can be written to but what the compiler puts there
objdump -t "$so" | awk '$4 == ".data" || $4 == ".bss" || $3 == ".data" || $3 == ".bss" { print $NF, $(NF - 1) }' |
	grep -vE '^(\.data|\.bss|__cpu_model|__cpu_features2|__dso_handle|completed\.[0-9]+|__TMC_END__|_edata|_end|__bss_start) ' >"$tmp/bad"
check abi_no_globals "$tmp/bad"
