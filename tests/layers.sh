# Holds the sources to the house rules that grep and a compiler can see: who may include whom, every
# header alone, and that no library prints, exits, maps, or opens files behind the table of io.h.
# Prints "ok   name" or "FAIL name" with the offending lines.
set -u
CC=${CC:-gcc}

check() { # check NAME LINES: fails if there are any
	if [ -n "$2" ]; then
		echo "FAIL $1"
		printf '%s\n' "$2" | sed 's/^/     /'
	else
		echo "ok   $1"
	fi
}

# The rooms, lowest first. Files of a room may include their own room and rooms of earlier lines; rooms of
# one line do not include each other. Folders follow from it: core <- formats <- quant <- kernels <- {convert,
# verify}, and no room of convert and verify includes the other folder.
rooms='core
core/hash core/cli
formats/json
formats
formats/tokenizer formats/st
formats/gguf
formats/model
formats/layout
formats/conversion
formats/archive
formats/folder
quant
quant/lib quant/graft
kernels
kernels/ref kernels/linear kernels/cuda
kernels/cpu
kernels/forward
convert/plan verify/report
convert/make verify/check verify/compare verify/doctor verify/sign verify/run verify/parity verify/atlas
convert/out
convert/run convert/pack
convert/batch
convert/follow
convert/cli
convert verify
quant/cli'
sources=$(find core formats quant kernels convert verify -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh')
line_of() { printf '%s\n' "$rooms" | grep -nE "(^| )$1( |\$)" | cut -d: -f1; }
# quant/main.c is a leaf above everything, as the other mains are: it counts as a file of quant/cli.
files_of() {
	case $1 in
	quant) ls quant/*.[ch] | grep -v '/main\.c$' ;;
	quant/cli) ls quant/cli/*.[ch] quant/main.c ;;
	*) ls "$1"/*.[ch] "$1"/*.cu "$1"/*.cuh 2>/dev/null ;;
	esac
}
bad=
for from in $(for f in $sources; do dirname "$f"; done | sort -u); do
	at=$(line_of "$from")
	[ -n "$at" ] || bad="$bad$from is no room of the table in tests/layers.sh
"
	for to in $(grep -hoE '^#include "[a-z0-9_/]+\.' $(files_of "$from") | sed 's/.*"//; s,/[^/]*$,,' | sort -u); do
		[ "$to" = "$from" ] && continue
		below=$(line_of "$to")
		case $from:$to in convert*:verify* | verify*:convert*) below= ;; esac
		[ -n "$below" ] && [ "$below" -lt "${at:-0}" ] && continue
		bad="$bad$(grep -nE "^#include \"$to/[a-z0-9_]+\." $(files_of "$from"))
"
	done
done
check include_direction "$bad"

# Each folder says what it is in a README of at most 15 lines that names each of its rooms.
bad=
for room in $rooms; do
	page=${room%%/*}/README.md
	[ -f "$page" ] && grep -q "\`$room\`" "$page" || [ "$room" = convert ] || [ "$room" = verify ] || bad="$bad$page does not name $room
"
done
for page in core formats quant kernels convert verify; do
	[ "$(wc -l <$page/README.md)" -le 15 ] || bad="$bad$page/README.md is longer than 15 lines
"
done
check rooms_described "$bad"

# Files form no cycles, a .c and its .h taken as one: tsort names the files of a cycle.
check no_cycles "$(for f in $sources; do
	grep -oE '^#include "[a-z0-9_/]+\.' "$f" | sed 's/.*include "//; s/\.$//' | sed "s|^|${f%.*} |"
done | awk '$1 != $2' | tsort 2>&1 >/dev/null)"

# mains are leaves: nothing includes one, and they are not in the library
check mains_are_leaves "$(grep -rn '#include ".*main\.' core formats quant kernels convert verify 2>/dev/null)"

# Each header stands alone. In C, a file that includes its own header before anything else has shown that, since it is
# built; the others are compiled by themselves. C++ takes the headers of each room, in one file.
headers=$(printf '%s\n' $sources | grep '\.h$')
bad=
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
alone() { # alone HEADER...: those that no file of their name includes first
	for h in "$@"; do
		[ "$(grep -m 1 '^#include' "${h%.h}.c" 2>/dev/null)" = "#include \"$h\"" ] || echo "$h"
	done
}
for h in $(alone $headers); do
	echo "#include \"$h\"" >"$tmp/x.c"
	$CC -std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only "$tmp/x.c" 2>"$tmp/log" ||
		bad="$bad$h alone as C: $(head -n 1 "$tmp/log")
"
done
if command -v c++ >/dev/null 2>&1; then
	for room in $(printf '%s\n' $headers | sed 's,/[^/]*$,,' | sort -u); do
		printf '%s\n' $headers | grep "^$room/[^/]*\$" | sed 's/.*/#include "&"/' >"$tmp/x.cc"
		c++ -std=c++17 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only "$tmp/x.cc" 2>"$tmp/log" ||
			bad="$bad$room as C++: $(grep -m 1 error "$tmp/log")
"
	done
else
	echo "SKIP headers_as_cxx: no C++ compiler here"
fi
check headers_alone "$bad"

lib=$(printf '%s\n' $sources | grep '\.c$' | grep -v '/main\.c')
# comments are no code: a crude but sufficient filter
code() { grep -nE "$1" $2 /dev/null | grep -vE ':[0-9]+:[[:space:]]*(/?\*|//)'; }
check only_main_prints "$(code '\b(printf|puts|putchar|perror|fputs)\(|\bstd(out|err)\b' \
	"$(echo "$lib" | grep -vE 'core/(cli/cli|progress).c')")"
check only_main_exits "$(code '\b(exit|_exit|abort)\(' "$(echo "$lib" | grep -v _none.c)")"
check inputs_not_mapped "$(code '\bmmap\(' "$lib")"
check files_through_the_table "$(code '\b(open|openat|fopen|creat|rename|renameat|unlink|unlinkat|mkdir|pread|pwrite|fsync|read|write)\(' \
	"$(echo "$lib" | grep -v core/io.c)" | grep -vE -- '(->|\.)(open|rename|unlink|mkdir|pread|pwrite|fsync|read|write)\(')"
check environment_only_for_tests "$(code '\bgetenv\(' "$(echo "$lib" | grep -v core/cpu.c)")"
check no_unbounded_numbers "$(code '\b(atoi|atol|atoll|strtol|sprintf|strcpy|strcat|gets|alloca)\(' "$lib")"
# a global that can be written to: a definition at the left margin that is neither const nor a function
check no_globals "$(code '^(static )?(struct |unsigned |_Atomic )*[a-z_0-9]+ \*?[a-z_0-9]+(\[[^]]*\])?( = .*)?;$' "$lib")"
check ifdef_at_the_top "$(for f in $lib; do
	awk -v f="$f" '/^#if/ && !/__cplusplus|_H$/ { if (NR > 40) print f ":" NR ": " $0 }' "$f"
done)"
# The name of a format stands in one place, and once there; tests and documents spell it as others read it.
check format_ids_once "$(grep -nE '"dsv4-[a-z-]+-[0-9]+' $sources | grep -v '^formats/format_id\.h:')$(grep -ohE '"dsv4-[a-z-]+-[0-9]+"' formats/format_id.h | sort | uniq -d)"
# A family is a row: which one a checkpoint is of stands in its config.
check families_are_rows "$(code '\bfamily_v4\b|"deepseek_v4"' \
	"$(printf '%s\n' $sources | grep -v '^formats/model/')")"
long=$(wc -l $(printf '%s\n' $sources | grep '\.[ch]$') | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }')
check files_of_one_noun "$long"

# No two places say the same in more than 12 lines, or the same but for names; tables may (tests/twins.awk).
templates=$(find core formats quant kernels convert verify -name '*.inc' ! -name '*_grids.inc' ! -name '*_ranges.inc') # those are tables
check no_twins "$(for shape in 0 1; do
	awk -v LINES=12 -v SHAPE=$shape -f tests/twins.awk $sources $templates
done | sort -u)"
