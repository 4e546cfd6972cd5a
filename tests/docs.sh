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

for t in dsv4-convert dsv4-verify dsv4-quant; do
	for verb in $($B/$t help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'); do $B/$t help "$verb" 2>/dev/null; done
done >"$tmp/help"
bad=
for o in $(grep -hvE "mkmodel|pkg-config|hf download" README.md docs/*.md | grep -oE '(^|[^-a-z])--[a-z][a-z0-9-]+' | grep -oE -- '--[a-z][a-z0-9-]+' | sort -u); do
	case $o in # of vLLM and SGLang
	--load-format | --tensor-parallel-size | --enable-expert-parallel | --model-loader-extra-config | --model-path | --tp | --moe-runner-backend | --moe-backend | --dtype) continue ;;
	--disable-shared-experts-fusion | --enforce-shared-experts-fusion | --engine-args) continue ;;
	# of Slurm, kubectl and aws (docs/batch.md)
	--array | --parsable | --dependency | --job-name | --requeue | --open-mode | --time | --signal) continue ;;
	--timeout | --cli-input-json | --parameters | --array-properties | --depends-on | --container-overrides) continue ;;
	esac
	grep -qE -- "$o( |\$)" "$tmp/help" || bad="$bad $o"
done
[ -z "$bad" ] && echo "ok   docs_options" || echo "FAIL docs_options:$bad"

bad=
for t in $(grep -oE 'make [a-z-]+' README.md | sort -u | cut -d' ' -f2); do
	grep -qE "^([a-z-]+ )*$t( [a-z-]+)*:" Makefile || bad="$bad $t"
done
[ -z "$bad" ] && echo "ok   docs_targets" || echo "FAIL docs_targets:$bad"

# every layout, order of rows and target is described
bad=
for name in $(sed -n 's/^\t{ "\([a-z0-9-]*\)", .*/\1/p' formats/layout/tile.c formats/layout/rowmap.c formats/layout/engine.c); do
	grep -q "\`$name\`" docs/layouts.md || bad="$bad $name"
done
[ -z "$bad" ] && echo "ok   docs_layouts" || echo "FAIL docs_layouts:$bad"

# The table of docs/cases.md that says which test holds what: `FILE`: `test`, `test`; ... Each is there.
bad=$(awk -F'|' '/^## / { inside = /which test holds each/ } inside && NF == 4 { print $3 }' docs/cases.md |
	tr ';' '\n' | grep -o '`[^`]*`\(:\)\{0,1\}' | tr -d '`' | while read -r word; do
	case $word in
	test_*:) file=tests/${word%:}.c like='{ "%s", ' ;;
	*:) file=${word%:} like=%s ;;
	# shellcheck disable=SC2059 # the form depends on the file
	*) grep -qF -- "$(printf "$like" "$word")" "$file" || printf ' %s:%s' "$file" "$word" ;;
	esac
done)
n=$(grep -c '| `test_[a-z_]*`: ' docs/cases.md)
[ -z "$bad" ] && [ "$n" -gt 40 ] && echo "ok   docs_tests_there" || echo "FAIL docs_tests_there: $n rows;$bad"

# paths of a machine or of a person have no business here
bad=$(grep -rnIE '/(home|root|work|Users)/[A-Za-z]' README.md NEWS.md docs core formats quant convert tests examples \
	--include=*.md --include=*.c --include=*.h --include=*.sh --include=*.py | grep -v 'tests/docs.sh')
[ -z "$bad" ] && echo "ok   docs_no_paths" || echo "FAIL docs_no_paths: $bad"

# Names of files in comments and documents are there: whole paths, or the end of one. Foreign files are listed.
foreign='ggml.h jansson.h t.c cufile.h'
find .ci core formats quant kernels convert verify contrib tests docs examples loaders Makefile ./*.md -type f | sed 's,^\./,,' >"$tmp/files"
comments() { # comments FILE: its comments, a line of the file each, with its number
	case $1 in
	*.md) awk '{ print NR ":" $0 }' "$1" ;;
	*.sh) awk '/^[ \t]*#/ { print NR ":" $0 }' "$1" ;;
	*) awk '{
			line = $0; text = ""
			while (line != "") {
				if (inside) {
					n = index(line, "*/")
					text = text " " (n ? substr(line, 1, n - 1) : line)
					line = n ? substr(line, n + 2) : ""
					inside = !n
				} else if ((n = index(line, "/*"))) {
					line = substr(line, n + 2)
					inside = 1
				} else {
					line = ""
				}
			}
			if (text != "") print NR ":" text
		}' "$1" ;;
	esac
}
for f in $(grep -E '\.(c|h|cu|cuh|cc|sh|md)$' "$tmp/files"); do
	comments "$f" | grep -oE '^[0-9]+:|(^|[^A-Za-z0-9_./<-])(\./)?[a-z0-9_][a-z0-9_/.-]*\.(c|h|cu|cuh|sh|md)($|[^A-Za-z0-9_./-]|\.?$|\.[^a-z])' |
		awk -v f="$f" '/^[0-9]+:$/ { at = $0; next }
			{ gsub(/^[^A-Za-z0-9_.\/]|[^a-z]+$/, ""); sub(/^\.\//, ""); print $0 "\t" f ":" at }'
done | sort -u >"$tmp/named"
# Of other kinds of files, whose ends foreign ones have too, those that are said to lie in a folder of ours.
grep -E '\.(c|h|cu|sh|md|py)$|^Makefile$' "$tmp/files" |
	xargs grep -noE '(^|[^A-Za-z0-9_/.$}-])(tests|loaders|contrib|examples)/[A-Za-z0-9_/.-]+\.(py|sbatch|yaml)' |
	sed 's,^\([^:]*:[0-9]*:\)[^a-z]\{0\,1\}\(.*\),\2	\1,' >>"$tmp/named"
bad=$(cut -f1 "$tmp/named" | grep -vF .. | sort -u | awk -v foreign="$foreign" 'NR == FNR {
		n = split($0, part, "/")
		end = part[n]; known[end] = 1
		for (i = n - 1; i > 0; i--) { end = part[i] "/" end; known[end] = 1 }
		next
	}
	!($0 in known) && index(" " foreign " ", " " $0 " ") == 0' "$tmp/files" - |
	while read -r name; do grep -F "$name	" "$tmp/named" | awk -F'\t' -v n="$name" '$1 == n { print "     " $2 " " n }'; done)
if [ -z "$bad" ]; then
	echo "ok   docs_files_there"
else
	echo "FAIL docs_files_there: names of files that do not exist"
	printf '%s\n' "$bad"
fi
