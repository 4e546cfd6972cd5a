# Compares the layouts with the engines' own code: make oracle-engines
#
# What it is: the part of those packages that needs no GPU, run on matrices of random bytes beside build/*/packtile. It
# makes a virtualenv with PyTorch under build/ (several gigabytes) and fetches the wheels of engines.txt; nothing of
# them is installed, engines.py takes single functions out of single files.
# What it is not: part of make test or make oracle; proof that a kernel reads what its package prepares.
#
# Prints a line "ok", "FAIL" or "SKIP" for each comparison, at last "N passed, M failed, K skipped". What cannot be
# fetched, or is not there any more under its name, is skipped.
set -u
cd "$(dirname "$0")/../.." || exit 1

B=${B:-build/gcc-opt}
here=tests/oracle
venv=build/engines-venv
wheels=build/engines-wheels
python=$venv/bin/python
packages="torch==2.8.0 numpy==2.4.6"
export PYTHONDONTWRITEBYTECODE=1

if ! [ -x "$B/packtile" ]; then
    echo "oracle-engines: $B/packtile is missing; run make helpers" >&2
    exit 1
fi
if [ "$(cat $venv/packages 2>/dev/null)" != "$packages" ]; then
    echo "making $venv"
    rm -rf $venv
    # word splitting is wanted
    if ! python3 -m venv $venv || ! $python -m pip install -q --disable-pip-version-check $packages; then
        echo "SKIP engines: no virtualenv with $packages"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
    echo "$packages" >$venv/packages
fi
mkdir -p $wheels
for package in $(grep -v '^#' $here/engines.txt); do
    [ -s "$wheels/$package" ] && continue
    rm -rf $wheels/new
    if $python -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d $wheels/new "$package" \
        >$wheels/log 2>&1; then
        mv $wheels/new/*.whl "$wheels/$package"
    else
        echo "not fetched: $package ($(grep -m 1 ERROR $wheels/log))" >&2
    fi
done
exec $python $here/engines.py "$B/packtile" $wheels
