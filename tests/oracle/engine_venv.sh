# Sourced by the oracles that need an engine's own Python in a virtualenv (sglang.sh, vllm.sh), in the root of the project.
#
# The caller sets NAME (oracle-NAME in messages, build/NAME-venv, tests/oracle/NAME/packages.txt), tools (programs of $B that
# it runs), import (what Python must import) and covers (what is skipped where it cannot). It gets: python, venv, here, work (a
# folder that goes away; KEEP=1 leaves it), verdicts, and the functions below.
set -u
: "$NAME" "$tools" "$import" "$covers"

B=${B:-build/gcc-opt}
here=tests/oracle/$NAME
venv=$PWD/build/$NAME-venv
python=$venv/bin/python
began=$(date +%s)
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here PYTHONWARNINGS=ignore

for tool in $tools; do
    [ -x "$B/$tool" ] && continue
    echo "oracle-$NAME: $B/$tool is missing; run make all helpers" >&2
    exit 1
done
mkdir -p build
work=$(mktemp -d "$PWD/build/$NAME-work.XXXXXX") || exit 1
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
verdicts=$work/verdicts
: >"$verdicts"

# say LINE: a verdict ("ok", "FAIL" or "SKIP" and what of), printed and counted
say() { echo "$*" | tee -a "$verdicts"; }

# finish: prints the sums and ends the script; exit status 1 where something failed
finish() {
    echo "oracle-$NAME took $(($(date +%s) - began)) s; $venv holds $(du -sm "$venv" 2>/dev/null | cut -f1) MB"
    awk '/^ok/ { p++ } /^FAIL/ { f++ } /^SKIP/ { s++ } END {
        print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 }' "$verdicts"
    exit
}

# must COMMAND...: a step without which the others mean nothing
must() {
    "$@" >"$work/log" 2>&1 && return
    say "FAIL $*"
    sed 's/^/     /' "$work/log"
    finish
}

# The virtualenv stays until packages.txt changes. Packages come without dependencies, PyTorch's libraries for GPUs are stubs.
if ! cmp -s $here/packages.txt "$venv/packages.txt"; then
    echo "making $venv"
    rm -rf "$venv"
    # word splitting is wanted
    if ! python3 -m venv "$venv" >"$work/log" 2>&1 ||
        ! $python -m pip install -q --disable-pip-version-check --no-deps $(grep -v '^#' $here/packages.txt) >"$work/log" 2>&1 ||
        ! $python tests/oracle/runtime/stubs.py "$(echo "$venv"/lib/python3*/site-packages/torch/lib)" >"$work/log" 2>&1; then
        say "SKIP $covers: its packages are not to be had ($(grep -m 1 -i error "$work/log" || tail -n 1 "$work/log"))"
        finish
    fi
    cp $here/packages.txt "$venv/packages.txt"
fi
if ! $python -c "import $import" >"$work/log" 2>&1; then
    say "SKIP $covers: $import does not import here ($(tail -n 1 "$work/log"))"
    finish
fi
