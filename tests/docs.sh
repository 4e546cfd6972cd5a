# Holds the documents to the program: the generated pages are what it prints, files that are linked are
# there, commands and options that are named exist. "sh tests/docs.sh write" rewrites the pages.
set -u
tool=$B/dsv4-convert
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

page() { # page FILE TITLE COMMAND: the page on stdout
	printf '# %s\n\nGenerated: `dsv4-convert %s`. tests/docs.sh compares.\n\n```\n' "$2" "$3"
	$tool "$3"
	printf '```\n'
}
page docs/rules.md "Rules" rules >"$tmp/rules.md"
page docs/model.md "Tensors, and how the official ranks share them" roles >"$tmp/model.md"
page docs/kinds.md "What a folder can be, and which verbs take it" kinds >"$tmp/kinds.md"
if [ "${1:-}" = write ]; then
	cp "$tmp/rules.md" "$tmp/model.md" "$tmp/kinds.md" docs/
	exit 0
fi
for p in rules model kinds; do
	if cmp -s docs/$p.md "$tmp/$p.md"; then
		echo "ok   docs_$p"
	else
		echo "FAIL docs_$p: sh tests/docs.sh write"
	fi
done

bad=
for f in README.md docs/*.md; do
	for link in $(grep -oE '\]\([a-z/_.]+\)' "$f" | tr -d ']()'); do
		[ -e "$link" ] || [ -e "$(dirname "$f")/$link" ] || bad="$bad $f:$link"
	done
done
[ -z "$bad" ] && echo "ok   docs_links" || echo "FAIL docs_links:$bad"

for t in dsv4-convert dsv4-verify; do
	for verb in $($B/$t help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'); do $B/$t help "$verb" 2>/dev/null; done
done >"$tmp/help"
bad=
for o in $(grep -hv mkmodel README.md docs/*.md | grep -oE '(^|[^-a-z])--[a-z][a-z0-9-]+' | grep -oE -- '--[a-z][a-z0-9-]+' | sort -u); do
	grep -qE -- "$o( |\$)" "$tmp/help" || bad="$bad $o"
done
[ -z "$bad" ] && echo "ok   docs_options" || echo "FAIL docs_options:$bad"

bad=
for t in $(grep -oE 'make [a-z]+' README.md | sort -u | cut -d' ' -f2); do
	grep -qE "^([a-z-]+ )*$t( [a-z-]+)*:" Makefile || bad="$bad $t"
done
[ -z "$bad" ] && echo "ok   docs_targets" || echo "FAIL docs_targets:$bad"

# every layout, order of rows and target is described
bad=
for name in $(sed -n 's/^\t{ "\([a-z0-9-]*\)", .*/\1/p' formats/layout/tile.c formats/layout/rowmap.c formats/layout/engine.c); do
	grep -q "\`$name\`" docs/layouts.md || bad="$bad $name"
done
[ -z "$bad" ] && echo "ok   docs_layouts" || echo "FAIL docs_layouts:$bad"

# paths of a machine or of a person have no business here
bad=$(grep -rnIE '/(home|root|work|Users)/[A-Za-z]' README.md NEWS.md docs core formats quant convert tests \
	--include=*.md --include=*.c --include=*.h --include=*.sh --include=*.py | grep -v 'tests/docs.sh')
[ -z "$bad" ] && echo "ok   docs_no_paths" || echo "FAIL docs_no_paths: $bad"
