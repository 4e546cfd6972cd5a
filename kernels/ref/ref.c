/* SPDX-License-Identifier: MIT */
#include "kernels/ref/ref.h"

#include <stdlib.h>
#include <string.h>

/* --- memory is memory --- */

static int ref_alloc(struct dev *dev, void **p, size_t n, struct err *e)
{
	(void)dev;
	*p = aligned_alloc(256, (n + 256) / 256 * 256);
	return *p ? 0 : err_nomem(e);
}

static void ref_release(struct dev *dev, void *p)
{
	(void)dev;
	free(p);
}

static int ref_copy(struct dev *dev, void *to, const void *from, size_t n, struct err *e)
{
	(void)dev, (void)e;
	if (n)
		memcpy(to, from, n);
	return 0;
}

static int ref_zero(struct dev *dev, void *p, size_t n, struct err *e)
{
	(void)dev, (void)e;
	if (n)
		memset(p, 0, n);
	return 0;
}

static int ref_sync(struct dev *dev, struct err *e)
{
	(void)dev, (void)e;
	return 0;
}

static void ref_close(struct dev *dev)
{
	memset(dev, 0, sizeof *dev);
}

int dev_open_ref(struct dev *d, struct err *e)
{
	(void)e;
	*d = (struct dev){ .name = "cpu",
		.host = true,
		.alloc = ref_alloc,
		.release = ref_release,
		.put = ref_copy,
		.get = ref_copy,
		.zero = ref_zero,
		.sync = ref_sync,
		.close = ref_close };
	ref_moves(d);
	ref_hc(d);
	ref_norm(d);
	ref_linear(d);
	ref_compress(d);
	ref_attn(d);
	ref_moe(d);
	return 0;
}
