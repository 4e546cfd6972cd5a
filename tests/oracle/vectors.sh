# Writes what make test compares with where there is no Python:
#	tests/vectors/official.txt	the SHA-256 of every file that the Python twins make of the golden
#					checkpoints
#	tests/vectors/layouts.txt	the SHA-256 of fixed matrices in every layout and order of rows
#	tests/vectors/records.txt	the same of tables as records, and the rows that ranks have of them
# Usage, from the project root, after "make oracle" has made the virtualenv:
#	sh tests/oracle/vectors.sh > tests/vectors/official.txt
#	sh tests/oracle/vectors.sh layouts > tests/vectors/layouts.txt
#	sh tests/oracle/vectors.sh records > tests/vectors/records.txt
set -eu
py=${PY:-build/oracle-venv/bin/python}
if [ "${1:-}" = layouts ]; then
	exec $py tests/oracle/layouts.py
fi
if [ "${1:-}" = records ]; then
	exec $py tests/oracle/records.py
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
row() { # row MODEL TARGET RANKS EXPERTS: the lines of what lies in $tmp/o
	for f in "$tmp"/o/*.safetensors "$tmp"/o/*.index.json; do
		[ -f "$f" ] || continue
		echo "$1 $2 $3 $4 ${f##*/} $(sha256sum <"$f" | cut -d' ' -f1)"
	done
	rm -rf "$tmp/o"
}
for model in tiny-flash tiny-pro; do
	for experts in fp4 fp8; do
		for mp in 1 2; do
			$py tests/oracle/official.py tests/golden/$model "$tmp/o" --mp $mp --experts $experts >&2
			row $model official $mp $experts
		done
	done
	$py tests/oracle/hf.py tests/golden/$model "$tmp/o" --experts fp8 --scale-dtype e8m0 >&2
	row $model hf 1 fp8-e8m0
	$py tests/oracle/hf.py tests/golden/$model "$tmp/o" --experts fp8 >&2
	row $model hf 1 fp8
done
