/* SPDX-License-Identifier: MIT */
#include "formats/conversion/gguf_header.h"

#include "formats/gguf/ggml_type.h"
#include "formats/gguf/gguf_file.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	uint32_t type;
	enum dtype dtype;
} plain[] = {
	{ 0, DT_F32 },
	{ 1, DT_F16 },
	{ 24, DT_I8 },
	{ 25, DT_I16 },
	{ 26, DT_I32 },
	{ 27, DT_I64 },
	{ 28, DT_F64 },
	{ 30, DT_BF16 },
};

unsigned gguf_header_type(const struct gguf_tensor *g, uint64_t *dim)
{
	const struct ggml_type_row *r = ggml_type_find(g->type);
	unsigned dtype = DT_U8, i;

	for (i = 0; i < g->rank; i++)
		dim[i] = g->dim[g->rank - 1 - i];
	for (i = 0; i < sizeof plain / sizeof *plain; i++)
		if (plain[i].type == g->type)
			dtype = plain[i].dtype;
	if (dtype == DT_U8 && g->rank)
		dim[g->rank - 1] = g->dim[0] / r->items * r->bytes;
	return dtype;
}

static int take(struct tensor *t, const struct gguf_tensor *g, struct arena *arena, struct err *e)
{
	uint64_t *dim = arena_alloc(arena, GGUF_RANK_MAX * sizeof *dim);

	if (!dim)
		return err_nomem(e);
	*t = (struct tensor){ .name = g->name,
		.dim = dim,
		.begin = g->at,
		.end = g->at + g->bytes,
		.pos = (uint32_t)g->pos,
		.dtype = (uint8_t)gguf_header_type(g, dim),
		.rank = g->rank };
	t->ggml = (uint16_t)(t->dtype == DT_U8 ? g->type : 0);
	return 0;
}

int gguf_header_read(struct st_header *h, const struct io *io, int fd, uint64_t size,
	struct arena *arena, struct err *e)
{
	struct gguf_file f;
	int rc = 0;

	memset(h, 0, sizeof *h);
	if (gguf_file_read(&f, io, fd, size, NULL, NULL, arena, e))
		return -1;
	h->data_at = f.data_at;
	h->tensors = calloc(f.n + 1, sizeof *h->tensors);
	if (!h->tensors)
		rc = err_nomem(e);
	for (; !rc && h->n < f.n; h->n++)
		rc = take(&h->tensors[h->n], &f.tensors[h->n], arena, e);
	gguf_file_free(&f);
	if (rc)
		st_free(h);
	return rc;
}
