/* test_cudamodel.c -- the small golden models through the CUDA device: the logits of plain C, bit for bit. How the
 * kernels run is said in test_cuda.c.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/io.h"
#include "core/hash/xxh.h"
#include "kernels/cuda/cuda.h"
#include "tests/check.h"
#include "tests/cuda_main.h"
#include "kernels/forward/forward.h"

/* The digest of the logits of all n tokens; printed, so that runs elsewhere can be compared. */
static struct xxh_digest logits_of(struct dev *d, const char *dir, uint32_t n)
{
	struct xxh_digest x = { 0 };
	struct err e = { 0 };
	struct forward f;
	struct weights w;
	uint32_t ids[64], i, layer;
	float *logits;

	if (weights_open(&w, io_posix(), dir, d, cpu_features(), &e)) {
		FAILED(e.text);
		return x;
	}
	for (i = 0; i < n; i++)
		ids[i] = (i * 37 + 5) % (uint32_t)w.c.config.V;
	logits = calloc(n * (size_t)w.c.config.V, sizeof *logits);
	if (logits && !forward_open(&f, d, &w, ids, n, 0, 0, &e)) {
		forward_embed(&f, &e);
		for (layer = 0; layer < w.c.config.L; layer++)
			forward_layer(&f, layer, &e);
		forward_logits(&f, -1, 0, n, logits, &e);
		x = xxh_of(logits, n * (size_t)w.c.config.V * sizeof *logits);
		forward_close(&f);
	}
	CHECK_IN(e.text, e.kind == ERR_NONE);
	free(logits);
	weights_close(&w);
	return x;
}

static void same_logits(const char *dir, uint32_t n)
{
	struct xxh_digest x[2];
	struct err e = { 0 };
	struct dev d;

	CHECK(!dev_open_ref(&d, &e));
	x[0] = logits_of(&d, dir, n);
	d.close(&d);
	CHECK_IN(e.text, !dev_open_cuda(&d, &e));
	if (e.kind != ERR_NONE)
		return;
	x[1] = logits_of(&d, dir, n);
	d.close(&d);
	CHECK_IN(dir, !memcmp(&x[0], &x[1], sizeof x[0]));
}

static void flash(void)
{
	same_logits("tests/golden/tiny-flash", 5);
}

static void pro(void)
{
	same_logits("tests/golden/tiny-pro", 5);
}

/* The tool asked for a GPU where there is none: one line, and the CPU's result. */
static void notice(void)
{
	char command[300], text[4000] = "";
	FILE *f;
	size_t n;

	snprintf(command, sizeof command,
		"%s/dsv4-verify replay tests/golden/tiny-flash tests/golden/tiny-flash.expected.safetensors "
		"--device cuda 2>&1",
		getenv("B") ? getenv("B") : "build/gcc-opt");
	if (!(f = popen(command, "r"))) {
		FAILED("popen");
		return;
	}
	n = fread(text, 1, sizeof text - 1, f);
	CHECK_IN(text, n && !pclose(f));
	if (access("/dev/nvidiactl", F_OK)) /* no driver */
		CHECK_IN(text, strstr(text, "without CUDA") || strstr(text, "no GPU"));
}

static const struct test list[] = {
	{ "flash", flash },
	{ "pro", pro },
	{ "notice", notice },
	{ 0 },
};

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct dev d;

	if (dev_open_cuda(&d, &e))
		return cuda_no_device(e.text);
	d.close(&d);
	return cuda_main(list, argc, argv);
}
