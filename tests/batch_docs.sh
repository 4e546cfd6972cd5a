# Holds docs/batch.md to the files of contrib/ that CI runs (tests/cluster/run.sh): a block of code after a line that names a file
# has lines of that file as they stand there; of a script with a line "# begin", all that follow it. Prints "ok   name" or
# "FAIL name".
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
page=docs/batch.md
n=0
awk -v dir="$tmp" '
	/^`contrib\/[^`]*`:$/ { gsub(/[`:]/, ""); name = $0; next }
	/^```/ && name != "" && !inside { inside = 1; file = dir "/" ++n; print name >(file ".name"); printf "" >file; next }
	/^```/ && inside { inside = 0; name = ""; next }
	inside { print >file }
	/^[^`]/ && !inside { name = "" }' $page
for f in "$tmp"/*.name; do
	name=$(cat "$f")
	block=${f%.name}
	n=$((n + 1))
	if grep -q '^# begin$' "$name"; then
		sed '1,/^# begin$/d' "$name" >"$tmp/part"
	else # lines of it in a row
		first=$(grep -nxF "$(head -n 1 "$block")" "$name" | head -n 1 | cut -d: -f1)
		sed -n "${first:-1},\$p" "$name" | head -n "$(wc -l <"$block")" >"$tmp/part"
	fi
	if diff "$tmp/part" "$block" >"$tmp/diff"; then
		echo "ok   shown_as_run: $name"
	else
		echo "FAIL shown_as_run: $name"
		sed 's/^/     /' "$tmp/diff"
	fi
done
# Each script is shown, and each way has at most ten lines of code, but for blanks.
for f in contrib/*/*.sh contrib/*/*.sbatch; do
	grep -qx "$f" "$tmp"/*.name || echo "FAIL shown: $f is not in $page"
done
for way in slurm k8s aws-batch ssh; do
	lines=$(for f in "$tmp"/*.name; do grep -q "^contrib/$way/" "$f" && cat "${f%.name}"; done | grep -c .)
	[ "$lines" -le 10 ] && echo "ok   ten_lines: $way ($lines)" || echo "FAIL ten_lines: $way has $lines"
done
