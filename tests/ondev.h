/* ondev.h -- operations on plain C and on the CUDA device: the same bytes go in, the same must come out.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_ONDEV_H
#define TESTS_ONDEV_H
#include "kernels/cuda/cuda.h"
#include "kernels/fmath.h"
#include "tests/check.h"
#include "tests/cuda_main.h"

static struct dev dev[2]; /* plain C, CUDA */
static struct err err;

#define DO(call)                                           \
	do {                                               \
		if (call) {                                \
			fprintf(stderr, "%s\n", err.text); \
			check_failed++;                    \
		}                                          \
	} while (0)

/* The same bytes on both devices. */
struct both {
	void *at[2];
	size_t n;
};
#define F(b) ((float *)(b).at[i])
#define I(b) ((int32_t *)(b).at[i])
#define U(b) ((uint32_t *)(b).at[i])
#define BYTES(b) ((uint8_t *)(b).at[i])
/* Does it on the one and the other; i is which, d the device. */
#define ON_BOTH(call)                            \
	do {                                     \
		for (int i = 0; i < 2; i++) {    \
			struct dev *d = &dev[i]; \
			DO(call);                \
		}                                \
	} while (0)

static struct both *held[32];
static unsigned n_held;

/* from NULL: poison. Given back by leave(). */
static inline void put(struct both *b, const void *from, size_t n)
{
	uint8_t *poison = NULL;

	b->n = n;
	if (!from) {
		from = poison = malloc(n);
		memset(poison, 0xee, n);
	}
	for (int i = 0; i < 2; i++) {
		DO(dev[i].alloc(&dev[i], &b->at[i], n, &err));
		DO(dev[i].put(&dev[i], b->at[i], from, n, &err));
	}
	free(poison);
	held[n_held++] = b;
}

static inline void leave(void)
{
	while (n_held) {
		n_held--;
		for (int i = 0; i < 2; i++)
			dev[i].release(&dev[i], held[n_held]->at[i]);
	}
}

static inline bool equal(const char *what, const struct both *b)
{
	uint8_t *v[2];
	bool same;

	for (int i = 0; i < 2; i++) {
		v[i] = malloc(b->n);
		DO(dev[i].get(&dev[i], v[i], b->at[i], b->n, &err));
	}
	same = same_bytes(what, v[1], v[0], b->n);
	free(v[0]);
	free(v[1]);
	return same;
}
#define CHECK_EQUAL(b) CHECK(equal(#b, &(b)))

/* --- inputs --- */

static inline float value(void)
{
	uint32_t kind = rnd(40);

	if (kind == 0)
		return 0.0f;
	if (kind == 1)
		return -0.0f;
	if (kind == 2)
		return num_f32(rnd(1 << 22) | rnd(2) << 31); /* subnormal */
	if (kind == 3)
		return ((float)rnd(2000) - 1000.0f);
	return ((float)rnd(1 << 24) - 8388608.0f) / 4194304.0f;
}

static inline void floats(struct both *b, size_t n, bool bf)
{
	float *v = malloc(n * sizeof *v);
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = bf ? fm_bf16(value()) : value();
	put(b, v, n * sizeof *v);
	free(v);
}

/* Above zero, near 1. */
static inline void gains(struct both *b, size_t n)
{
	float *v = malloc(n * sizeof *v);
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = 0.5f + (float)rnd(1 << 20) / 1048576.0f;
	put(b, v, n * sizeof *v);
	free(v);
}

static inline void bytes(struct both *b, size_t n, unsigned low, unsigned span, bool e4m3)
{
	uint8_t *v = malloc(n);
	size_t i;

	for (i = 0; i < n; i++) {
		v[i] = (uint8_t)(low + rnd(span));
		if (e4m3 && num_e4m3_is_nan(v[i]))
			v[i] = 0;
	}
	put(b, v, n);
	free(v);
}

/* main of a program whose tests compare the two devices. */
static inline int ondev_main(const struct test *list, int argc, char **argv)
{
	int rc;

	if (dev_open_ref(&dev[0], &err) || dev_open_cuda(&dev[1], &err))
		return cuda_no_device(err.text);
	rc = cuda_main(list, argc, argv);
	dev[1].close(&dev[1]);
	dev[0].close(&dev[0]);
	return rc;
}
#endif
