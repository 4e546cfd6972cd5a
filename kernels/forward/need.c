/* SPDX-License-Identifier: MIT */
#include "kernels/forward/need.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK_MAX = 256, BLOCK_MIN = 8, HEAD_ROWS = 4096, SPARE_MAX = 256 << 20 };

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Bytes of the tensors of a layer that begin so; narrow ones are widened to float, which doubles them. */
static uint64_t sum(const struct weights *w, uint64_t layer, const char *part)
{
	char prefix[64];
	uint64_t bytes = 0;
	size_t i, n;

	n = (size_t)snprintf(prefix, sizeof prefix, "layers.%llu.%s", (unsigned long long)layer,
		part);
	for (i = 0; i < w->c.n; i++)
		if (!strncmp(w->c.tensors[i].name, prefix, n))
			bytes += w->c.tensors[i].end - w->c.tensors[i].begin;
	return bytes;
}

/* The attention sub-block of a layer: weights, and what it computes. */
static uint64_t attention(const struct weights *w, uint64_t layer, uint64_t n, uint64_t block)
{
	const struct config *c = &w->c.config;
	uint64_t r = c->ratio[layer], entries = r ? n / r : 0, lap = r == 4 ? 2 : 1;
	uint64_t topk = r == 4 ? w->p.topk : entries, bytes;

	bytes = sum(w, layer, "attn.");
	bytes += 4 * (n + entries) * c->hd;
	bytes += block * (8 * c->H * c->hd + 5 * (c->QL + c->D + c->G * c->R));
	bytes += 4 * block * (128 + topk);
	if (r)
		bytes += 8 * n * lap * c->hd;
	if (r == 4)
		bytes += 4 * (entries * c->IHD + block * (c->IH * c->IHD + c->IH + entries));
	return bytes;
}

/* The MoE sub-block: two experts, or the shared one. FP4 cast to FP8 counts double, and both at once. */
static uint64_t mixture(const struct weights *w, uint64_t n, uint64_t block)
{
	const struct config *c = &w->c.config;
	uint64_t values = 3 * c->I * c->D, one = values + values / 8;
	uint64_t shared = (c->S ? c->S : 1) * one, bytes;

	bytes = max(w->as_fp8 || w->a.experts == EXPERT_FP8 ? 3 * one : one + one / 4, shared);
	bytes += n * (c->D * 5 + c->D / 32 + 8 * c->E + 8 * c->K);
	return bytes + block * (14 * c->I + 6 * c->D);
}

static uint64_t total(const struct need *x, const struct weights *w, uint64_t block,
	unsigned threads)
{
	const struct config *c = &w->c.config;
	uint64_t n = x->n, acts, most, l, scratch;

	block = block < n ? block : n;
	acts = n * (4 * (6 * c->D + 20) + 8 * c->K + 4 * w->p.topk);
	most = mixture(w, n, block);
	for (l = 0; l < c->L; l++)
		most = max(most, attention(w, l, n, block));
	most = max(most, HEAD_ROWS * (2 * c->D + 8 * n) + 4 * n * c->D);
	/* what linears hold for a thread: some rows, some tokens, of the widest */
	scratch = threads * (32 * 4 * max(c->D, c->G * c->R) + (4u << 20));
	return x->models * acts + most + scratch + w->c.n * 200 * x->models + (16u << 20);
}

int need_find(struct need *x, const struct weights *w, unsigned threads, struct err *e)
{
	uint64_t least;

	x->spare = x->limit / 8 && x->limit / 8 < SPARE_MAX ? x->limit / 8 : SPARE_MAX;
	for (x->block = BLOCK_MAX; x->block >= BLOCK_MIN; x->block /= 2) {
		x->bytes = total(x, w, x->block, threads) + 2 * x->spare;
		if (!x->limit || x->bytes <= x->limit)
			return 0;
	}
	least = total(x, w, BLOCK_MIN, threads) / 3 * 4;
	return err_set(e, ERR_USAGE,
		"%s: --max-memory %llu is too little for %u tokens: at least %llu bytes are needed",
		text_quote(w->path).s, (unsigned long long)x->limit, x->n,
		(unsigned long long)least);
}
