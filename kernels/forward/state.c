/* SPDX-License-Identifier: MIT */
#include "kernels/forward/state.h"

#include <stdio.h>

void *scratch_get(struct scratch *s, uint64_t bytes, struct err *e)
{
	void *p;

	if (s->n == sizeof s->p / sizeof *s->p) {
		err_set(e, ERR_SYSTEM, "too many buffers");
		return NULL;
	}
	if (s->dev->alloc(s->dev, &p, (size_t)bytes, e))
		return NULL;
	s->p[s->n++] = p;
	return p;
}

float *scratch_floats(struct scratch *s, uint64_t n, struct err *e)
{
	return scratch_get(s, 4 * n, e);
}

void scratch_drop(struct scratch *s)
{
	while (s->n)
		s->dev->release(s->dev, s->p[--s->n]);
}

void forward_prefix(const struct forward *f, uint32_t layer, char prefix[32])
{
	if (layer < f->c->L)
		snprintf(prefix, 32, "layers.%u.", layer);
	else
		snprintf(prefix, 32, "mtp.%u.", layer - (uint32_t)f->c->L);
}

int forward_took(struct forward *f, const char *name, const float *x, uint64_t ld, uint32_t n,
	uint32_t cols, struct err *e)
{
	if (!f->tap.take || !f->dev->host)
		return 0;
	return f->dev->sync(f->dev, e) || f->tap.take(f->tap.ctx, name, x, ld, n, cols, e) ? -1 : 0;
}

int forward_tell(struct forward *f, const char *prefix, const char *name, const void *v, bool whole,
	uint32_t n, uint32_t cols, int64_t token, struct err *e)
{
	uint64_t bytes = 4 * (uint64_t)n * cols;
	char full[128];
	void *copy;
	int rc;

	if (!f->tap.see)
		return 0;
	snprintf(full, sizeof full, "%s%s", prefix, name);
	if (f->dev->host)
		return f->dev->sync(f->dev, e) ||
				f->tap.see(f->tap.ctx, full, v, whole, n, cols, token, e)
			? -1
			: 0;
	copy = host_get(f->dev, bytes);
	if (!copy)
		return err_nomem(e);
	rc = f->dev->get(f->dev, copy, v, (size_t)bytes, e);
	rc = rc ? rc : f->tap.see(f->tap.ctx, full, copy, whole, n, cols, token, e);
	host_drop(f->dev, copy, bytes);
	return rc;
}
