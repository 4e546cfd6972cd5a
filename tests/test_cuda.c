/* test_cuda.c -- the .cu sources against plain C, bit for bit.
 *
 * One program, three ways to run the kernels: as g++ compiled them, over fibers (tests/fiber; `make test`);
 * as nvcc compiled them to PTX, on the CPU (tests/ptx; PTX=file.ptx,... in the environment); on a GPU
 * (`make test-gpu`). The tests are the same.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/tile.h"
#include "quant/num.h"
#include "tests/check.h"
#include "tests/cuda_main.h"
#include "tests/fiber/probe.h"

#include <math.h>
#include <sys/wait.h>

/* --- the runtime itself --- */

/* 32 lanes, element k in lane k mod 32, then the xor tree. */
static float lane_dot(const float *a, const float *b, uint32_t n)
{
	float lane[32] = { 0 }, other[32];
	uint32_t i, d;

	for (i = 0; i < n; i++)
		lane[i % 32] = fmaf(a[i], b[i], lane[i % 32]);
	for (d = 16; d > 0; d /= 2) {
		memcpy(other, lane, sizeof lane);
		for (i = 0; i < 32; i++)
			lane[i] = other[i] + other[i ^ d];
	}
	return lane[0];
}

static float some_float(void)
{
	return ((float)rnd(1 << 24) - 8388608.0f) / 1048576.0f;
}

static void dot(void)
{
	static const uint32_t sizes[][2] = { { 1, 1 }, { 3, 31 }, { 4, 32 }, { 5, 33 },
		{ 9, 1000 } };
	float a[9 * 1000], b[1000], y[9], want[9];
	size_t s, i, rows, k;

	for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		rows = sizes[s][0];
		k = sizes[s][1];
		for (i = 0; i < rows * k; i++)
			a[i] = some_float();
		for (i = 0; i < k; i++)
			b[i] = some_float();
		for (i = 0; i < rows; i++)
			want[i] = lane_dot(a + i * k, b, (uint32_t)k);
		CHECK(!probe_dot(y, a, b, (uint32_t)rows, (uint32_t)k));
		CHECK(same_bytes("dot", y, want, rows * sizeof *y));
	}
}

static void turn(void)
{
	enum { N = 1000 };
	uint32_t x[1024] = { 0 }, y[N], want[N], i, j, sum, odd;

	for (i = 0; i < N; i++)
		x[i] = rnd(1 << 20);
	for (i = 0; i < N; i++) {
		for (sum = 0, j = i / 128 * 128; j < i / 128 * 128 + 128; j++)
			sum += x[j];
		for (odd = 0, j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
			odd += x[j] & 1;
		want[i] = sum + odd + x[i / 128 * 128 + 127 - i % 128];
	}
	CHECK(!probe_turn(y, x, N));
	CHECK(same_bytes("turn", y, want, sizeof want));
}

typedef uint64_t at_fn(struct tile_dim, uint32_t, uint32_t);

static bool same_places(const uint64_t *got, at_fn *one, at_fn *other, struct tile_dim d)
{
	uint32_t r, c;

	for (r = 0; r < d.rows; r++) {
		for (c = 0; c < d.cols; c++) {
			if (other(d, r, c) != (got ? got[(size_t)r * d.cols + c] : one(d, r, c)))
				return false;
		}
	}
	return true;
}

/* Every row of the table has its function on the device, and that agrees everywhere. */
static void places(void)
{
	static at_fn *const at[] = {
#define AT(i, name) [i] = tile_at_##name,
		PROBE_LAYOUTS(AT)
	};
	static uint64_t y[512 * 136];
	const struct tile *t;
	struct tile_dim d;
	unsigned w;

	for (t = tiles; t < tiles + n_tiles; t++) {
		d.rows = t->row_unit * (t->row_unit < 128 ? 2 : 1);
		d.cols = t->col_unit * (t->col_unit < 68 ? 2 : 1);
		if (t->pads && d.rows > 1)
			d.rows--;
		CHECK_IN(t->name, tile_fits(t, d));
		/* Addresses of static functions differ between files: found by what it does. */
		for (w = 0; w < sizeof at / sizeof *at && !same_places(NULL, at[w], t->at, d); w++)
			;
		CHECK_IN(t->name, w < sizeof at / sizeof *at);
		CHECK_IN(t->name, !probe_place(y, w, d.rows, d.cols));
		CHECK_IN(t->name, same_places(y, NULL, t->at, d));
	}
}

static void nums(void)
{
	enum { N = 3000 };
	static uint32_t x[N], y[N * PROBE_NUMS], want[N * PROBE_NUMS], *p;
	uint32_t i;

	for (i = 0; i < N; i++) {
		if (i < 256)
			x[i] = i;
		else if (i % 2)
			x[i] = (uint32_t)(rnd64() >> 32);
		else /* near what E4M3 can hold */
			x[i] = (rnd(24) + 112) << 23 | rnd(1 << 11) << 12 | rnd(2) << 31;
		p = want + i * PROBE_NUMS;
		p[0] = num_bits(num_e2m1(x[i] & 15));
		p[1] = num_bits(num_e4m3(x[i] & 255));
		p[2] = num_bits(num_e8m0(x[i] & 255));
		p[3] = num_e4m3_from(num_f32(x[i]));
		p[4] = num_bf16_from(num_f32(x[i]));
		p[5] = num_bits(num_bf16((uint16_t)x[i]));
		p[6] = x[i] ^ tile_twist(x[i]);
	}
	CHECK(!probe_nums(y, x, N));
	CHECK(same_bytes("nums", y, want, sizeof want));
}

/* --- what fibers must refuse --- */

/* True if the kernel aborts with that word on stderr. */
static bool refused(int which, const char *word)
{
	char text[2000] = "";
	uint32_t y[64];
	ssize_t n;
	int fd[2], status;
	pid_t pid;

	if (pipe(fd) || (pid = fork()) < 0)
		return false;
	if (!pid) {
		dup2(fd[1], 2);
		_exit(probe_bad(which, y) ? 1 : 0);
	}
	close(fd[1]);
	n = read(fd[0], text, sizeof text - 1);
	close(fd[0]);
	waitpid(pid, &status, 0);
	if (n <= 0 || !strstr(text, word) || !WIFSIGNALED(status)) {
		fprintf(stderr, "not refused: %s\n", text);
		return false;
	}
	return true;
}

#ifdef __SANITIZE_THREAD__
/* A missing barrier is a race. */
static bool race_found(void)
{
	uint32_t y[64];
	int status = 0;
	pid_t pid = fork();

	if (!pid && freopen("/dev/null", "w", stderr))
		exit(probe_bad(PROBE_BAD_RACE, y));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 66;
}
#else
/* A missing barrier shows in the result, in one order of threads or the other. */
static bool race_found(void)
{
	uint32_t y[64], i;
	bool right = true;

	for (fiber_order = 0; fiber_order < 2; fiber_order++) {
		if (probe_bad(PROBE_BAD_RACE, y))
			return false;
		for (i = 0; i < 64; i++)
			right = right && y[i] == 63 - i;
	}
	fiber_order = 0;
	return !right;
}
#endif

static void broken(void)
{
	if (!fiber_here || fiber_instead)
		SKIP("only where fibers run the kernels");
	CHECK(refused(PROBE_BAD_BARRIER, "different barriers"));
	CHECK(refused(PROBE_BAD_SHUFFLE, "k_probe_bad_shuffle"));
	CHECK(race_found());
}

/* All of it again, threads in the other order. */
static void backwards(void)
{
	if (!fiber_here || fiber_instead)
		SKIP("only where fibers run the kernels");
	fiber_order = 1;
	dot();
	turn();
	fiber_order = 0;
}

static const struct test list[] = {
	{ "dot", dot },
	{ "turn", turn },
	{ "places", places },
	{ "nums", nums },
	{ "broken", broken },
	{ "backwards", backwards },
	{ 0 },
};

int main(int argc, char **argv)
{
	return cuda_main(list, argc, argv);
}
