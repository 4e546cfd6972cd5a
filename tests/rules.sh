# The table of rules (core/rule.def), the sources that report them and the tests that provoke them
# name the same ids. Prints "ok   name" or "FAIL name".
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

sed -n 's/^RULE([A-Z0-9_]*, *"\([a-z0-9.-]*\)".*/\1/p' core/rule.def | sort >"$tmp/table"
id='"('$(cut -d. -f1 "$tmp/table" | sort -u | paste -sd'|')')\.[a-z0-9-]+"'
sed -n 's/^RULE(\([A-Z0-9_]*\), *"\([a-z0-9.-]*\)".*/\1 \2/p' core/rule.def |
	while read -r name id_of; do
		[ "$name" = "$(echo "$id_of" | tr 'a-z.-' 'A-Z__')" ] || echo "RULE_$name is $id_of"
	done >"$tmp/names"
# A row that no source names is dead; an id spelled out in a source gets round its row.
grep -rhoE '\bRULE_[A-Z0-9_]+' core formats quant kernels convert verify --include=*.c | sed 's/^RULE_//' | sort -u >"$tmp/x"
sed -n 's/^RULE(\([A-Z0-9_]*\), *"\([a-z0-9.-]*\)".*/\1 \2/p' core/rule.def | sort |
	join - "$tmp/x" | cut -d' ' -f2 | sort >"$tmp/used"
grep -rnoE "$id" core formats quant kernels convert verify --include=*.c |
	grep -vE '"(atlas\.jsonl|config\.json|model\.(safetensors|sig))"' >"$tmp/literal"
# The test of a row spells the id out: that it is produced is seen when tests run (tests/produced.c).
sed -n 's/^RULE([A-Z0-9_]*, *"\([a-z0-9.-]*\)".*, *"\(test_[a-z_]*\): [^"]*")$/\1 \2/p' core/rule.def |
	while read -r id_of program; do
		grep -qF "\"$id_of\"" "tests/$program.c" tests/*.h tests/*/*.h && echo "$id_of"
	done | sort -u >"$tmp/tested"

check() { # check NAME FILE: fails if the file has lines
	if [ -s "$2" ]; then
		echo "FAIL $1"
		sed 's/^/     /' "$2"
	else
		echo "ok   $1"
	fi
}
uniq -d "$tmp/table" >"$tmp/x"
check rules_unique "$tmp/x"
check rules_named_as_they_are "$tmp/names"
check rules_by_name_only "$tmp/literal"
comm -23 "$tmp/table" "$tmp/used" >"$tmp/x"
check rules_in_use "$tmp/x"
comm -23 "$tmp/table" "$tmp/tested" >"$tmp/x"
check rules_tested "$tmp/x"
