# The table of rules (formats/rule.c), the sources that report them and the tests that provoke them
# name the same ids. Prints "ok   name" or "FAIL name".
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

sed -n 's/^	{ "\([a-z0-9.-]*\)".*/\1/p' formats/rule.c | sort >"$tmp/table"
id='"('$(cut -d. -f1 "$tmp/table" | sort -u | paste -sd'|')')\.[a-z0-9-]+"'
grep -rhoE "$id" core formats quant $(ls -d kernels verify 2>/dev/null) convert --include=*.c --exclude=rule.c | tr -d '"' |
	grep -vxE 'config\.json|model\.(safetensors|sig)' | sort -u >"$tmp/used"
grep -rhoE "$id" tests --include=*.c --include=*.h --include=*.sh | tr -d '"' | sort -u >"$tmp/tested"

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
comm -13 "$tmp/table" "$tmp/used" >"$tmp/x"
check rules_in_table "$tmp/x"
comm -23 "$tmp/table" "$tmp/used" >"$tmp/x"
check rules_in_use "$tmp/x"
comm -23 "$tmp/table" "$tmp/tested" >"$tmp/x"
check rules_tested "$tmp/x"
