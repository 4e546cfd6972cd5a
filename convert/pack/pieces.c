/* SPDX-License-Identifier: MIT */
#include "convert/pack/pieces.h"

#include "core/mem.h"
#include "core/text.h"
#include "formats/archive/seek.h"
#include "formats/st/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pieces_free(struct pack_pieces *p)
{
	free(p->v);
	memset(p, 0, sizeof *p);
}

enum { ROW_LEAST = 64 /* bytes of a row whose base costs little beside its codes */ };

/* Cuts bytes at..end, which belong together. */
static int cut(struct pack_pieces *p, uint64_t at, uint64_t end, uint32_t kind, uint32_t row,
	struct err *e)
{
	/* filtered frames have whole rows, so that each row has one base */
	const uint64_t most = row ? FRAME_MOST - FRAME_MOST % row : FRAME_MOST;
	uint64_t k;

	for (; at < end; at += k) {
		k = end - at < most ? end - at : most;
		if (p->n == SEEK_MOST)
			return err_set(e, ERR_UNSUPPORTED,
				"an archive has room for %d frames, and this file needs more",
				SEEK_MOST);
		if (mem_grow(&p->v, &p->cap, p->n + 1, sizeof *p->v))
			return err_nomem(e);
		p->v[p->n++] = (struct pack_piece){ at, (uint32_t)k, kind, row };
	}
	return 0;
}

static uint32_t kind_of(struct pack_roles *k, const char *name)
{
	size_t i;

	for (i = 0; i < k->n && strcmp(k->v[i].name, name) != 0; i++)
		;
	if (i == PACK_ROLES)
		return PACK_ROLES - 1;
	if (i == k->n) {
		memset(&k->v[i], 0, sizeof k->v[i]);
		snprintf(k->v[i].name, PACK_ROLE, "%s", i == PACK_ROLES - 1 ? "(others)" : name);
		k->n++;
	}
	return (uint32_t)i;
}

/* "layers.3.ffn.experts.17.w1.weight" -> "layers.#.ffn.experts.#.w1.weight". Bytes that are not plain become '?'. */
static void role_name(const char *name, char out[PACK_ROLE])
{
	size_t k = 0;

	while (*name && k < PACK_ROLE - 1) {
		if (*name >= '0' && *name <= '9' && (k == 0 || out[k - 1] == '.')) {
			name += strspn(name, "0123456789");
			out[k++] = '#';
		} else {
			out[k++] = (char)(*name > ' ' && *name < 127 ? *name : '?');
			name++;
		}
	}
	out[k] = 0;
}

static int by_begin(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin)
				    : (x->end > y->end) - (x->end < y->end);
}

/* Returns the bytes of a row of a scale plane, several of the tensor's where those are short; 0 where t is none. */
static uint32_t row_of(const struct tensor *t)
{
	bool scale = t->dtype == DT_F8_E8M0 ||
		(t->dtype == DT_U8 &&
			(text_ends(t->name, "scale") || text_ends(t->name, "scales")));
	uint64_t row = t->rank ? t->dim[t->rank - 1] : 0;

	if (!scale || !row)
		return 0;
	if (row < ROW_LEAST)
		row *= (ROW_LEAST + row - 1) / row;
	return row < FRAME_MOST ? (uint32_t)row : FRAME_MOST;
}

static int cut_tensors(struct pack_pieces *p, struct pack_roles *k, enum filter filter,
	struct st_header *h, struct err *e)
{
	char role[PACK_ROLE];
	uint32_t kind, row;
	size_t i;

	qsort(h->tensors, h->n, sizeof *h->tensors, by_begin);
	if (cut(p, 0, h->data_at, kind_of(k, "(headers)"), 0, e))
		return -1;
	for (i = 0; i < h->n; i++) {
		role_name(h->tensors[i].name, role);
		kind = kind_of(k, role);
		k->v[kind].n++;
		row = filter == FILTER_E8M0 ? row_of(&h->tensors[i]) : 0;
		if (row && h->tensors[i].begin < h->tensors[i].end)
			p->filter = filter;
		if (cut(p, h->data_at + h->tensors[i].begin, h->data_at + h->tensors[i].end, kind,
			    row, e))
			return -1;
	}
	return 0;
}

int pieces_cut(struct pack_pieces *p, struct pack_roles *k, enum filter filter, const char *name,
	const struct io *io, int fd, uint64_t size, struct err *e)
{
	struct arena names = { 0 };
	struct err why = { 0 };
	struct st_header h;
	int rc;

	if (!text_ends(name, ".safetensors"))
		return cut(p, 0, size, kind_of(k, "(other files)"), 0, e);
	if (!st_read(&h, io, fd, size, ST_HEADER_CAP, &names, &why)) {
		rc = cut_tensors(p, k, filter, &h, e);
		st_free(&h);
	} else if (why.kind == ERR_SYSTEM) {
		rc = err_move(e, &why);
	} else {
		rc = cut(p, 0, size, kind_of(k, "(not readable as safetensors)"), 0, e);
	}
	arena_free(&names);
	return rc;
}
