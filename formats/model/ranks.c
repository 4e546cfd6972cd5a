/* SPDX-License-Identifier: MIT */
#include "formats/model/ranks.h"

#include "formats/model/family.h"
#include "core/file.h"
#include "formats/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what the official converter writes --- */

static bool is_wo_a(const struct role *r)
{
	return !strcmp(r->name, "attn.wo_a.weight");
}

const struct role *ranks_role(const char *name, bool scale)
{
	return family_role(&family_v4, name, scale);
}

bool ranks_dtype(const struct role *r, bool scale, enum dtype dtype)
{
	if (scale)
		return dtype == DT_F8_E8M0 || dtype == DT_F32;
	if (is_wo_a(r))
		return dtype == DT_BF16;
	if (r->store == STORE_EXPERT)
		return dtype == DT_F4 || dtype == DT_F8_E4M3;
	return dtype == (r->store == STORE_DENSE ? DT_F8_E4M3 : r->dtype);
}

/* --- holding headers to the source --- */

static int fault(struct err *e, enum rule_id rule, const struct rank_file *f, const char *name,
	const char *what)
{
	return err_rule(e, rule, ERR_NOPOS, "%s: tensor %s %s", f->name, text_quote(name).s, what);
}

static const struct role *role_of(const struct want *w)
{
	return w->role;
}

/* Whether the converter leaves out a tensor of the source. */
static bool left_out(const struct want *w)
{
	return w->optional || (w->scale && is_wo_a(role_of(w)));
}

/* Whether rank i of the set holds (a part of) the tensor. */
static bool belongs(const struct ranks *r, const struct want *w, unsigned i, uint64_t experts)
{
	uint64_t own = experts / r->set.of;

	if (role_of(w)->split != SPLIT_EXPERTS)
		return true;
	return own && w->expert >= 0 && (uint64_t)w->expert / own == i;
}

/* The number of routed experts of the source. */
static uint64_t experts_of(const struct inventory *inv)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < inv->n; i++)
		if (inv->wants[i].expert >= 0 && (uint64_t)inv->wants[i].expert >= n)
			n = (uint64_t)inv->wants[i].expert + 1;
	return n;
}

/* Logical columns of a weight: FP4 codes lie two in a byte of I8. */
static uint64_t columns(const struct want *w)
{
	return w->dim[1] * (w->dtype == DT_I8 ? 2 : 1);
}

/* The weight of a scale, in the same file and among the wants. */
static const struct tensor *weight_of(const struct ranks *r, const struct rank_file *f,
	const struct want *scale, const struct want **w)
{
	char name[ST_NAME_MAX + 8];

	snprintf(name, sizeof name, "%.*sweight", (int)(strlen(scale->name) - 5), scale->name);
	*w = inventory_find(r->inv, name);
	return rankset_find(f, name);
}

/* Shape that the tensor has when it is joined. Returns -1 where a scale has no weight beside it. */
static int joined_shape(const struct ranks *r, const struct rank_file *f, const struct want *w,
	uint64_t dim[3], struct err *e)
{
	const struct tensor *weight;
	const struct want *ww;

	memcpy(dim, w->dim, 3 * sizeof *dim);
	if (!w->scale) {
		if (w->rank > 1)
			dim[1] = columns(w);
		return 0;
	}
	weight = weight_of(r, f, w, &ww);
	if (!weight || !ww)
		return fault(e, RULE_MODEL_SCALE_ORPHAN, f, w->name,
			"is a scale without its weight");
	codec_scale_dim(weight->dtype == DT_F4 ? CODEC_MXFP4 : CODEC_FP8, ww->dim[0], columns(ww),
		dim);
	return 0;
}

static int check_shape(const struct ranks *r, const struct rank_file *f, const struct tensor *t,
	const struct want *w, struct err *e)
{
	enum split split = role_of(w)->split;
	enum rule_id rule = w->scale ? RULE_MODEL_SCALE_FORM : RULE_MODEL_SHAPE;
	unsigned cut = split == SPLIT_COLS, i;
	uint64_t dim[3];

	if (joined_shape(r, f, w, dim, e))
		return -1;
	if (t->rank != w->rank)
		return fault(e, rule, f, t->name, "has another number of dimensions");
	if ((split == SPLIT_ROWS || split == SPLIT_COLS) && cut < t->rank) {
		if (dim[cut] % r->set.of)
			return fault(e, rule, f, t->name, "cannot be shared by so many ranks");
		dim[cut] /= r->set.of;
	}
	for (i = 0; i < t->rank; i++)
		if (t->dim[i] != dim[i])
			return fault(e, rule, f, t->name,
				"has another shape than the source's has on such a rank");
	return 0;
}

static int check_dtype(const struct ranks *r, const struct rank_file *f, const struct tensor *t,
	const struct want *w, struct err *e)
{
	const struct want *ww;
	const struct tensor *weight;

	if (!w->scale) {
		if (!ranks_dtype(role_of(w), false, (enum dtype)t->dtype) ||
			(w->dtype == DT_F8_E4M3 && t->dtype == DT_F4))
			return fault(e, RULE_MODEL_DTYPE, f, t->name,
				"is of another type than the official converter writes");
		return 0;
	}
	weight = weight_of(r, f, w, &ww);
	if (t->dtype != w->dtype || (weight && weight->dtype == DT_F4 && t->dtype != DT_F8_E8M0))
		return fault(e, RULE_MODEL_SCALE_FORM, f, t->name,
			"is of another type than the source's");
	return 0;
}

/* Every tensor of a file is one that the rank should have, as it should be. */
static int check_file(const struct ranks *r, unsigned i, uint64_t experts, struct err *e)
{
	const struct rank_file *f = &r->set.v[i];
	const struct tensor *t;
	const struct want *w;
	size_t k;

	for (k = 0; k < f->h.n; k++) {
		t = &f->h.tensors[k];
		w = inventory_find(r->inv, t->name);
		if (!w || (left_out(w) && !w->optional))
			return fault(e, RULE_MODEL_UNEXPECTED, f, t->name,
				"is not part of the source's model");
		if (!belongs(r, w, i, experts))
			return fault(e, RULE_RANK_EXPERT_TWICE, f, t->name,
				"is of an expert that another rank owns");
		if (check_dtype(r, f, t, w, e) || check_shape(r, f, t, w, e))
			return -1;
	}
	return 0;
}

/* Every tensor of the layers is on the ranks that should have it. Stages are not needed here. */
static int check_missing(const struct ranks *r, uint64_t experts, struct err *e)
{
	const struct want *w;
	unsigned i;
	size_t k;

	for (k = 0; k < r->inv->n; k++) {
		w = &r->inv->wants[k];
		if (left_out(w) || w->stage >= 0)
			continue;
		for (i = 0; i < r->set.of; i++)
			if (belongs(r, w, i, experts) && !rankset_find(&r->set.v[i], w->name))
				return fault(e, RULE_MODEL_MISSING, &r->set.v[i], w->name,
					"is not there");
	}
	return 0;
}

static int check_all(const struct ranks *r, struct err *e)
{
	uint64_t experts = experts_of(r->inv);
	unsigned i;

	if (experts % r->set.of)
		return err_rule(e, RULE_RANK_SHAPE, ERR_NOPOS,
			"%llu experts cannot be shared by %u ranks", (unsigned long long)experts,
			r->set.of);
	for (i = 0; i < r->set.of; i++)
		if (check_file(r, i, experts, e))
			return -1;
	return check_missing(r, experts, e);
}

/* --- joining --- */

static enum split split_of(const struct ranks *r, const char *name)
{
	return inventory_find(r->inv, name)->role->split;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* The tensor as the ranks have it together; no earlier rank has it. */
static int join(struct ranks *r, struct ckpt *c, const struct tensor *t, struct err *e)
{
	enum split split = split_of(r, t->name);
	uint64_t *dim = arena_alloc(&r->arena, (t->rank + 1u) * sizeof *dim), n = r->set.of;
	struct tensor *to = &c->tensors[c->n];

	if (!dim)
		return err_nomem(e);
	memcpy(dim, t->dim, t->rank * sizeof *dim);
	*to = *t;
	to->dim = dim;
	to->begin = 0;
	to->end = t->end - t->begin;
	if (split == SPLIT_ROWS || split == SPLIT_COLS) {
		dim[split == SPLIT_COLS] *= n; /* the shape of the source: it does not wrap */
		to->end *= n;
	}
	c->n++;
	return 0;
}

static int join_all(struct ranks *r, struct ckpt *c, struct err *e)
{
	const struct rankset *s = &r->set;
	size_t all = 0, k;
	unsigned i, j;

	for (i = 0; i < s->of; i++)
		all += s->v[i].h.n;
	c->tensors = calloc(all + 1, sizeof *c->tensors);
	if (!c->tensors)
		return err_nomem(e);
	for (i = 0; i < s->of; i++)
		for (k = 0; k < s->v[i].h.n; k++) {
			for (j = 0; j < i && !rankset_find(&s->v[j], s->v[i].h.tensors[k].name);
				j++)
				;
			if (j == i && join(r, c, &s->v[i].h.tensors[k], e))
				return -1;
		}
	if (c->n)
		qsort(c->tensors, c->n, sizeof *c->tensors, by_name);
	return 0;
}

/* --- reading --- */

enum { COPY = 1 << 18 }; /* bytes of another rank's copy that are compared at once: a good read */

struct reader {
	struct ranks *r;
	uint8_t copy[COPY];
};

/* n bytes from off on of a tensor of one rank. */
static int read_rank(const struct ranks *r, const struct rank_file *f, const struct tensor *t,
	uint64_t off, uint8_t *dst, uint64_t n, struct err *e)
{
	if (file_read(r->set.io, f->fd, dst, (size_t)n, f->h.data_at + t->begin + off, e))
		return err_at(e, "%s", f->name);
	return 0;
}

/* From the rank that has it; where several have it, all copies must be the same. */
static int read_whole(struct reader *x, const char *name, uint64_t off, uint8_t *dst, uint64_t n,
	struct err *e)
{
	const struct ranks *r = x->r;
	const struct tensor *t;
	bool had = false;
	uint64_t at, take;
	unsigned i;

	for (i = 0; i < r->set.of; i++) {
		t = rankset_find(&r->set.v[i], name);
		if (!t)
			continue;
		if (!had && read_rank(r, &r->set.v[i], t, off, dst, n, e))
			return -1;
		for (at = 0; had && at < n; at += take) {
			take = n - at < COPY ? n - at : COPY;
			if (read_rank(r, &r->set.v[i], t, off + at, x->copy, take, e))
				return -1;
			if (memcmp(x->copy, dst + at, (size_t)take) != 0)
				return err_rule(e, RULE_RANK_COPIES, ERR_NOPOS,
					"%s: tensor %s has other bytes than on an earlier rank",
					r->set.v[i].name, text_quote(name).s);
		}
		had = true;
	}
	return 0;
}

/* Ranks one below the other. */
static int read_below(const struct ranks *r, const char *name, uint64_t off, uint8_t *dst,
	uint64_t n, struct err *e)
{
	const struct tensor *t;
	uint64_t size, take;
	unsigned i;

	for (i = 0; i < r->set.of && n; i++) {
		t = rankset_find(&r->set.v[i], name);
		size = t->end - t->begin;
		take = off >= size ? 0 : size - off < n ? size - off : n;
		if (take && read_rank(r, &r->set.v[i], t, off, dst, take, e))
			return -1;
		off = off > size ? off - size : 0;
		dst += take;
		n -= take;
	}
	return 0;
}

/* Ranks side by side, all of the same width. */
static int read_beside(const struct ranks *r, const struct tensor *t, uint64_t off, uint8_t *dst,
	uint64_t n, struct err *e)
{
	uint64_t rows = t->dim[0], row_bytes = rows ? t->end / rows : 0;
	uint64_t part = row_bytes / r->set.of, col, take;
	const struct rank_file *f;

	while (n && part) {
		col = off % row_bytes;
		f = &r->set.v[col / part];
		take = part - col % part < n ? part - col % part : n;
		if (read_rank(r, f, rankset_find(f, t->name), off / row_bytes * part + col % part,
			    dst, take, e))
			return -1;
		off += take;
		dst += take;
		n -= take;
	}
	return 0;
}

static int read_tensor(void *reader, uint32_t i, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	struct reader *x = reader;
	const struct ranks *r = x->r;
	const struct tensor *t = &r->c->tensors[i];
	enum split split = split_of(r, t->name);

	if (split == SPLIT_COLS)
		return read_beside(r, t, off, dst, n, e);
	return split == SPLIT_ROWS ? read_below(r, t->name, off, dst, n, e)
				   : read_whole(x, t->name, off, dst, n, e);
}

static void *reader_open(void *ctx)
{
	struct reader *x = malloc(sizeof *x);

	if (x)
		x->r = ctx;
	return x;
}

static size_t reader_need(void *ctx)
{
	(void)ctx;
	return sizeof(struct reader);
}

static bool has(void *ctx, uint32_t i)
{
	(void)ctx, (void)i;
	return true;
}

/* --- opening --- */

int ranks_open(struct ranks *r, struct ckpt *c, const struct io *io, int dir,
	const struct inventory *inv, struct err *e)
{
	struct findings f = { 0 };
	int rc;

	memset(r, 0, sizeof *r);
	r->inv = inv;
	r->c = c;
	rc = rankset_open(&r->set, io, dir, 0, &f, e);
	rc = rc ? rc : finding_first(&f, e);
	finding_free(&f);
	if (!rc && !r->set.of)
		rc = err_set(e, ERR_USAGE, "there are no rank files");
	rc = rc ? rc : check_all(r, e);
	rc = rc ? rc : join_all(r, c, e);
	r->payload = (struct ckpt_payload){ .ctx = r,
		.open = reader_open,
		.close = free,
		.need = reader_need,
		.read = read_tensor,
		.has = has };
	c->payload = &r->payload;
	if (rc)
		ranks_close(r, c);
	return rc;
}

void ranks_close(struct ranks *r, struct ckpt *c)
{
	rankset_close(&r->set);
	free(c->tensors);
	arena_free(&r->arena);
	memset(r, 0, sizeof *r);
	memset(c, 0, sizeof *c);
}
