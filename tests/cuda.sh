# What can be known of CUDA kernels without a GPU, where nvcc is there. For every architecture that we ship:
#   compiled_N   nvcc and ptxas without a warning, no spilled register, no stack (all kernels as one file)
#   lint_N       no approximation, no flushing, no addition or product that ptxas may contract, no float
#                atomics in the PTX
#   T_ran_N      test program T with the PTX that nvcc wrote, executed on the CPU (tests/ptx), against plain C
# Says nothing about what ptxas makes of the PTX, drivers, GPUs or speed (docs/gpu.md). Prints "ok   name",
# "FAIL name" or one SKIP line; with REQUIRE_NVCC=1 a missing nvcc is a failure.
# Called by make test-ptx with B= (build folder), NVCC=, NVFLAGS=, CU= (the files), CUTESTS=, ARCHS=.
set -u
if [ -z "${NVCC:-}" ] || ! "$NVCC" --version >/dev/null 2>&1; then
	if [ "${REQUIRE_NVCC:-0}" = 1 ]; then
		echo "FAIL cuda: there is no nvcc"
		exit 1
	fi
	echo "SKIP cuda: there is no nvcc"
	exit 0
fi
ptxas=$(dirname "$(command -v "$NVCC")")/ptxas
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

check() { # check NAME LINES: fails if there are any
	if [ -n "$2" ]; then
		echo "FAIL $1"
		printf '%s\n' "$2" | head -n 20 | sed 's/^/     /'
		failed=1
	else
		echo "ok   $1"
	fi
}

one() { # one ARCH FILE: its PTX, and what ptxas says of it
	out=$tmp/$1/$(basename "$2" .cu)
	# shellcheck disable=SC2086 # several flags
	"$NVCC" $NVFLAGS -ptx -arch="compute_$1" -o "$out.ptx" "$2" 2>&1 &&
		"$ptxas" -v -warn-spills -warn-lmem-usage -arch="sm_$1" -o "$out.cubin" "$out.ptx" >"$out.v" 2>&1 ||
		echo "$2 does not compile"
	grep -iE 'warning|error' "$out.v"
	grep -E 'bytes stack frame' "$out.v" | grep -v ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads'
}

for arch in $ARCHS; do
	mkdir "$tmp/$arch"
	bad=
	for f in $CU; do
		bad="$bad$(one "$arch" "$f")"
	done
	check "compiled_$arch" "$bad"
	[ -z "$bad" ] || continue
	check "lint_$arch" "$(grep -nE '\.approx|\.ftz|\b(add|sub|mul|fma|mad)\.(rn\.)?f16|\b(add|sub|mul|fma|mad)\.f(32|64)|(div|rcp|sqrt)\.(full|f)|\b(red|atom)[a-z.]*\.(f16|bf16|f32|f64)|\bmma\.|wmma' "$tmp/$arch"/*.ptx)"
	list=$(ls "$tmp/$arch"/*.ptx | paste -sd,)
	for t in $CUTESTS; do
		PTX=$list "$B/$t" >"$tmp/out" 2>&1
		status=$?
		bad=$(grep -vE '^(ok  |SKIP)' "$tmp/out" | grep -v ' warp instructions$')
		# Every launch must have been one of PTX.
		grep -qE '^([1-9][0-9]*) launches, \1 of them PTX' "$tmp/out" || bad="$bad
not every launch ran PTX: $(tail -n 1 "$tmp/out")"
		[ "$status" = 0 ] || bad="$bad
ended with status $status"
		check "${t}_ran_$arch" "$bad"
		sed -n 's/^\([0-9]* launches\)/     sm_'"$arch"': \1/p' "$tmp/out"
	done
done
exit $failed
