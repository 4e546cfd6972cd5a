# make install into an empty folder: the tools run from there, every verb and option of their help stands in the
# man page and in the completions, and those are sound to the programs that read them, where such are here. make
# uninstall removes all of it; make dist packs the committed tree.
# B= names the build folder. Prints "ok   name", "FAIL name" or "SKIP name: reason".
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/dest/opt/x
check() { # check NAME FILE: fails if the file has lines
	if [ -s "$2" ]; then
		echo "FAIL $1"
		sed 's/^/     /' "$2" | head -n 20
	else
		echo "ok   $1"
	fi
}

# -o all: what make test built is installed as it is
MAKEFLAGS='' make -s -o all install CC="$CC" B="$B" DESTDIR="$tmp/dest" PREFIX=/opt/x >"$tmp/log" 2>&1 || {
	echo "FAIL install"
	cat "$tmp/log"
}
for f in README.md docs/rules.md docs/schema; do
	[ -e "$root/share/doc/dsv4-tools/$f" ] || echo "FAIL install_docs: no $f"
done
for t in dsv4-convert dsv4-verify dsv4-quant; do
	"$root/bin/$t" version >/dev/null 2>"$tmp/bad" || echo "it does not run" >>"$tmp/bad"
	check "install_runs_$t" "$tmp/bad"

	: >"$tmp/bad"
	for f in "$root/share/man/man1/$t.1" "$root/share/bash-completion/completions/$t" \
		"$root/share/zsh/site-functions/_$t" "$root/share/fish/vendor_completions.d/$t.fish"; do
		tr -d '\\' <"$f" >"$tmp/plain" # of roff
		for verb in $("$B/$t" help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'); do
			grep -qw -- "$verb" "$tmp/plain" || echo "$f: no $verb" >>"$tmp/bad"
			for o in $("$B/$t" help "$verb" 2>/dev/null | sed -n 's/^  [ -][ a-z][, ] \(-@, \)\{0,1\}--\([a-z0-9-]*\).*/\2/p'); do
				grep -qE -- "(--|-l )$o([^a-z0-9-]|\$)" "$tmp/plain" || echo "$f: no $o" >>"$tmp/bad"
			done
		done
	done
	check "install_complete_$t" "$tmp/bad"

	if command -v groff >/dev/null; then
		for section in NAME SYNOPSIS COMMANDS OPTIONS EXAMPLES ENVIRONMENT FILES "EXIT STATUS" "SEE ALSO"; do
			grep -qx ".SH $section" "$root/share/man/man1/$t.1" || echo "FAIL install_man_$t: no $section"
		done
		groff -man -Tutf8 -ww -z "$root/share/man/man1/$t.1" 2>"$tmp/bad"
		check "install_man_$t" "$tmp/bad"
	else
		echo "SKIP install_man_$t: no groff here"
	fi
done

if command -v bash >/dev/null; then
	cat >"$tmp/try.bash" <<'EOF'
source "$1"
try() { # try WANT WORD...: the completion of the last word has WANT
	local want=$1
	shift
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_dsv4_convert
	case " ${COMPREPLY[*]} " in *" $want "*) ;; *) echo "no $want after: $*: ${COMPREPLY[*]}" ;; esac
}
try restore dsv4-convert re
try plan dsv4-convert ''
try plan dsv4-convert help p
try --target dsv4-convert run --ta
try fp8 dsv4-convert run --experts fp
try fp8 dsv4-convert run --experts = fp
try fp4 dsv4-convert run --experts =
try marlin-mxfp4 dsv4-convert run --target mar
try official dsv4-convert plan -t off
cd "$2" && touch 'a name' a$'\t'b
COMP_WORDS=(dsv4-convert inspect a) COMP_CWORD=2 COMPREPLY=()
_dsv4_convert
[ "${#COMPREPLY[@]} ${COMPREPLY[0]}|${COMPREPLY[1]}" = "2 a name|a"$'\t'b ] ||
	[ "${#COMPREPLY[@]} ${COMPREPLY[1]}|${COMPREPLY[0]}" = "2 a name|a"$'\t'b ] || echo "names with blanks: ${COMPREPLY[*]}"
EOF
	mkdir "$tmp/names"
	bash "$tmp/try.bash" "$root/share/bash-completion/completions/dsv4-convert" "$tmp/names" >"$tmp/bad" 2>&1
	check install_bash_completes "$tmp/bad"
else
	echo "SKIP install_bash_completes: no bash here"
fi
for s in zsh fish; do
	f=$root/share/zsh/site-functions/_dsv4-convert
	[ $s = fish ] && f=$root/share/fish/vendor_completions.d/dsv4-convert.fish
	if command -v $s >/dev/null; then
		$s -n "$f" >"$tmp/bad" 2>&1
		check "install_${s}_parses" "$tmp/bad"
	else
		echo "SKIP install_${s}_parses: no $s here"
	fi
done

# packagers write it in small letters
: >"$tmp/bad"
MAKEFLAGS='' make -s -n -o all install CC="$CC" B="$B" DESTDIR="$tmp/dest" prefix=/opt/y 2>&1 |
	grep -q "$tmp/dest/opt/y/bin\|$tmp/dest\"*/opt/y/bin" || echo "prefix= is not taken" >"$tmp/bad"
check install_prefix "$tmp/bad"

MAKEFLAGS='' make -s uninstall DESTDIR="$tmp/dest" PREFIX=/opt/x >"$tmp/bad" 2>&1
find "$tmp/dest" ! -type d >>"$tmp/bad"
check uninstall_leaves_nothing "$tmp/bad"

if git rev-parse HEAD >/dev/null 2>&1; then
	MAKEFLAGS='' make -s dist DIST="$tmp/dist.tar.gz" >"$tmp/bad" 2>&1
	tar -tzf "$tmp/dist.tar.gz" >"$tmp/list" 2>>"$tmp/bad"
	grep -qx 'dsv4-tools-[0-9.]*/Makefile' "$tmp/list" || echo "no Makefile" >>"$tmp/bad"
	check dist "$tmp/bad"
else
	echo "SKIP dist: not a git checkout"
fi
