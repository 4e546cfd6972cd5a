/* gguf.c -- a GGUF of the model: one file, or parts of at most --shard-size bytes.
 *
 *	metadata | list of tensors | padding | token_embd | blk.0.* | blk.1.* | ... | output_norm, output, ...
 *
 * Routed experts of a layer lie one after the other in one tensor, by their ids. The order of tensors is that of the
 * shards of an official checkpoint, so that a source is read from its beginning to its end. Drafts are files of their own,
 * as llama.cpp loads them: mtp-model.gguf, which has copies of embedding, norm and head; dspark-model.gguf.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/gguf/gguf_set.h"
#include "formats/model/gguf_keys.h"
#include "quant/ggml_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tensor of the GGUF on its way. */
struct item {
	char name[GGUF_NAME_MAX + 1];
	uint32_t place; /* shard of an official checkpoint */
	size_t weight;  /* the source tensor; of experts that of the first that was met */
	uint32_t type;  /* enum ggml_type */
	uint64_t dim[GGUF_RANK_MAX]; /* as GGUF has it, the fastest first */
	unsigned rank;
	uint64_t bytes;
	struct step_ggml *stack; /* of experts; NULL: one matrix, or a copy */
};

struct items {
	struct layout *l;
	enum gguf_file_of of;
	size_t weighted; /* tensors whose columns have an importance */
	struct item *v;  /* owns */
	size_t n, cap;
};

/* The way that the rows of weight i get to a type: of a recipe any that there is an encoder of. */
static const struct ggml_way *way_of(const struct layout *l, size_t i, uint32_t type)
{
	const struct ggml_way *w =
		l->p->opts.mix ? ggml_searched_find(layout_codec(l, i), type) : NULL;

	return w ? w : ggml_way_find(layout_codec(l, i), type);
}

/* Says that there is none, and which types there are a way to. */
static void no_way(const struct layout *l, size_t i, uint32_t type)
{
	const struct ggml_type_row *t;
	struct text all = { 0 };
	bool blocks = false;

	for (t = ggml_types; t->name; t++) {
		if (!way_of(l, i, t->type) || layout_cols(l, i) % t->items)
			continue;
		text_fmt(&all, "%s%s", blocks ? ", " : "", t->name);
		blocks = true;
	}
	err_rule(l->e, RULE_PLAN_NO_WAY, ERR_NOPOS,
		"tensor %s: there is no way from its number format to %s; there is one to %s",
		text_quote(l->p->ckpt->tensors[i].name).s, ggml_type_name(type),
		blocks && !all.failed ? all.s : "none");
	text_free(&all);
}

/* Rows that a type cannot take: says which can. Returns -1. */
static int no_rows(const struct layout *l, size_t i, uint32_t type, uint64_t cols)
{
	const struct ggml_type_row *t;
	struct text all = { 0 };

	for (t = ggml_types; t->name; t++)
		if (way_of(l, i, t->type) && cols % t->items == 0)
			text_fmt(&all, " %s", t->name);
	err_rule(l->e, RULE_PLAN_NO_WAY, ERR_NOPOS,
		"tensor %s: %llu columns are no whole number of blocks of %s, which have %u; such rows can be%s",
		text_quote(l->p->ckpt->tensors[i].name).s, (unsigned long long)cols,
		ggml_type_name(type), ggml_type_find(type)->items,
		all.n && !all.failed ? all.s : " of none");
	text_free(&all);
	return -1;
}

static struct step_ggml *make_stack(struct items *s, size_t i, uint32_t type, uint32_t matrices)
{
	struct layout *l = s->l;
	struct step_ggml *g = layout_alloc(l, sizeof *g);
	uint32_t *src;

	if (!g)
		return NULL;
	*g = (struct step_ggml){ .how = way_of(l, i, type),
		.matrices = matrices,
		.each = l->a->want[i]->role->store == STORE_PLAIN ? 1 : 2,
		.rows = layout_rows(l, i),
		.cols = layout_cols(l, i) };
	if (!g->how) {
		no_way(l, i, type);
		return NULL;
	}
	g->searched = !g->how->row;
	src = layout_alloc(l, (size_t)matrices * g->each * sizeof *src);
	if (src) /* until it is known */
		memset(src, 0xff, (size_t)matrices * g->each * sizeof *src);
	g->src = src;
	return src ? g : NULL;
}

/* Sets the sources of matrix k. */
static void set_sources(struct items *s, struct step_ggml *g, uint32_t k, size_t i)
{
	uint32_t *src = (uint32_t *)(uintptr_t)g->src + (size_t)k * g->each;

	src[0] = (uint32_t)i;
	if (g->each > 1)
		src[1] = (uint32_t)audit_partner(s->l->a, i);
}

/* Every matrix of it has its sources. */
static bool all_set(const struct step_ggml *g)
{
	size_t i;

	for (i = 0; i < (size_t)g->matrices * g->each && g->src[i] != UINT32_MAX; i++)
		;
	return i == (size_t)g->matrices * g->each;
}

static struct item *find(struct items *s, const char *name)
{
	size_t i;

	for (i = s->n; i-- > 0;) /* the tensors are sorted: what is looked for was met of late */
		if (!strcmp(s->v[i].name, name))
			return &s->v[i];
	return NULL;
}

/* The type of the tensor that weight i is in: what a recipe says of it, else what the container makes of it. */
static int find_type(const struct layout *l, size_t i, uint32_t *type)
{
	const struct want *w = l->a->want[i];
	const struct mix_line *m = l->p->opts.mix ? mix_find(l->p->opts.mix, w) : NULL;

	*type = gguf_type_of(w, l->a->forms, l->p->opts.dense);
	if (!m || m->type == *type)
		return 0;
	if (w->role->dtype == DT_I64 || l->p->ckpt->tensors[i].rank < 2)
		return err_rule(l->e, RULE_PLAN_RECIPE, ERR_NOPOS,
			"line %u of the recipe: tensor %s is %s, in a GGUF always %s", m->number,
			text_quote(w->name).s,
			w->role->dtype == DT_I64 ? "a table of ids" : "a vector",
			ggml_type_name(*type));
	*type = m->type;
	return 0;
}

/* Makes the entry of weight i, which is the first of its name. */
static int add(struct items *s, const char *name, size_t i)
{
	struct layout *l = s->l;
	const struct want *w = l->a->want[i];
	bool expert = w->role->store == STORE_EXPERT, beside = gguf_side_of(w->role) >= 0;
	struct item *x;

	if (mem_grow(&s->v, &s->cap, s->n + 1, sizeof *s->v))
		return err_nomem(l->e);
	x = &s->v[s->n];
	*x = (struct item){ .place = w->place, .weight = i };
	if (find_type(l, i, &x->type))
		return -1;
	snprintf(x->name, sizeof x->name, "%s", name);
	x->rank = expert ? 3 : l->p->ckpt->tensors[i].rank;
	x->dim[0] = layout_cols(l, i) * (beside ? 2 : 1);
	x->dim[1] = layout_rows(l, i);
	x->dim[2] = expert ? l->p->ckpt->config.E : 1;
	x->dim[3] = 1;
	if (!gguf_bytes(x->type, x->dim, x->rank, &x->bytes))
		return no_rows(l, i, x->type, x->dim[0]);
	if (expert || beside) {
		x->stack = make_stack(s, i, x->type, expert ? (uint32_t)x->dim[2] : 2);
		if (!x->stack)
			return -1;
		x->stack->beside = beside;
	}
	s->n++;
	return 0;
}

/* What becomes of source tensor i where it is in a file of its own kind, and not a copy in that of a draft. */
static void set_fate(struct items *s, size_t i)
{
	const struct want *w = s->l->a->want[i];

	if ((w->stage >= 0) != (s->of != GGUF_OF_MODEL))
		return;
	layout_fate(s->l, i,
		w->role->store == STORE_EXPERT          ? FATE_TILE
			: w->scale                      ? FATE_MERGE
			: w->role->store == STORE_DENSE ? FATE_DEQUANT
							: FATE_COPY);
}

/* Where source tensor i goes, if this file has a place for it. */
static int take(struct items *s, size_t i)
{
	struct layout *l = s->l;
	const struct want *w = l->a->want[i];
	char name[GGUF_NAME_MAX + 1];
	struct item *x;
	long expert;

	if (!gguf_name_of(name, &expert, l->p->ckpt->tensors[i].name, w->scale, s->of,
		    &l->p->ckpt->config)) {
		if (s->of == GGUF_OF_MODEL && w->stage < 0)
			return err_set(l->e, ERR_UNSUPPORTED, "tensor %s has no name in GGUF",
				text_quote(l->p->ckpt->tensors[i].name).s);
		if (s->of == GGUF_OF_MODEL)
			layout_fate(l, i, FATE_DRAFT); /* unless a file of drafts has it */
		return 0;
	}
	set_fate(s, i);
	if (w->scale)
		return 0;
	x = expert >= 0 || gguf_side_of(w->role) >= 0 ? find(s, name) : NULL;
	if (!x && add(s, name, i))
		return -1;
	x = x ? x : &s->v[s->n - 1];
	if (x->stack)
		set_sources(s, x->stack,
			expert >= 0 ? (uint32_t)expert : (uint32_t)gguf_side_of(w->role), i);
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return x->weight < y->weight ? -1 : 1;
}

/* --- steps --- */

/* Type and shape as a sidecar has them: blocks are bytes. */
static int settle_out(struct layout *l, const struct item *x, struct step *s)
{
	static const struct {
		uint32_t type;
		enum dtype dtype;
	} plain[] = { { GGML_F32, DT_F32 }, { GGML_F16, DT_F16 }, { GGML_BF16, DT_BF16 },
		{ GGML_I32, DT_I32 } };
	uint64_t *dim = layout_alloc(l, GGUF_RANK_MAX * sizeof *dim);
	unsigned i;

	if (!dim)
		return -1;
	s->out.dtype = DT_U8;
	for (i = 0; i < sizeof plain / sizeof *plain; i++)
		if (plain[i].type == x->type)
			s->out.dtype = (uint8_t)plain[i].dtype;
	for (i = 0; i < x->rank; i++)
		dim[i] = x->dim[x->rank - 1 - i];
	if (s->out.dtype == DT_U8)
		dim[x->rank - 1] = ggml_row_bytes(x->type, x->dim[0]);
	s->out.dim = dim;
	s->out.rank = (uint8_t)x->rank;
	return 0;
}

/* FP8 to BF16 has a quicker way than by values, where the matrix is whole blocks. */
static const struct recode *quick(const struct layout *l, const struct item *x)
{
	enum codec from = layout_codec(l, x->weight);

	if (x->stack || x->type != GGML_BF16 || !codec_whole(from, x->dim[1], x->dim[0]))
		return NULL;
	return recode_find(from, CODEC_BF16);
}

/* Whether source and GGUF have the same bytes. */
static bool same(const struct layout *l, const struct item *x)
{
	enum codec from = layout_codec(l, x->weight);

	return (from == CODEC_BF16 && x->type == GGML_BF16) ||
		(from == CODEC_F32 && x->type == GGML_F32);
}

/* The importance of the columns of a tensor that a search makes, where the file has it. */
static int find_importance(struct items *s, const struct item *x, struct step_ggml *g)
{
	const struct imatrix *m = s->l->p->opts.imatrix;
	const struct imatrix_tensor *t =
		m && g->searched && !g->beside ? imatrix_find(m, x->name) : NULL;

	if (t && (t->cols != x->dim[0] || t->mats != g->matrices))
		return err_rule(s->l->e, RULE_PLAN_RECIPE, ERR_NOPOS,
			"--imatrix is of another model: %s has %llu matrices of %llu columns there, %u of %llu here",
			text_quote(x->name).s, (unsigned long long)t->mats,
			(unsigned long long)t->cols, g->matrices, (unsigned long long)x->dim[0]);
	g->importance = t;
	s->weighted += t != NULL;
	return 0;
}

static int make_step(struct items *s, const struct item *x, uint64_t at, struct step *st)
{
	struct layout *l = s->l;
	const struct tensor *t = &l->p->ckpt->tensors[x->weight];
	struct step_ggml *g = x->stack;
	/* Each source is digested once: copies in a file of drafts are not. */
	bool record = (l->a->want[x->weight]->stage >= 0) == (s->of != GGUF_OF_MODEL);

	*st = (struct step){ .take = step_all(t), .record = record };
	st->out.name = arena_strndup(&l->p->arena, x->name, strlen(x->name));
	if (!st->out.name)
		return err_nomem(l->e);
	if (settle_out(l, x, st))
		return -1;
	st->out.begin = at;
	st->out.end = at + x->bytes;
	if (same(l, x)) {
		st->op = OP_COPY;
		st->as.copy.src = (uint32_t)x->weight;
		return 0;
	}
	if (quick(l, x)) {
		st->op = OP_DEQUANT;
		st->record = 3;
		st->as.recode = (struct step_recode){ (uint32_t)x->weight,
			(uint32_t)audit_partner(l->a, x->weight), quick(l, x) };
		return 0;
	}
	if (!g) {
		g = make_stack(s, x->weight, x->type, 1);
		if (!g)
			return -1;
		set_sources(s, g, 0, x->weight);
	}
	if (find_importance(s, x, g))
		return -1;
	if (!all_set(g))
		return err_set(l->e, ERR_UNSUPPORTED,
			"the source has not all matrices of tensor %s", text_quote(x->name).s);
	st->op = OP_GGML;
	st->as.ggml = g;
	return 0;
}

/* --- files --- */

/* general.file_type. */
static uint32_t file_type(const struct items *s)
{
	size_t i;

	for (i = 0; s->l->p->opts.mix && i < s->n; i++)
		if (strstr(s->v[i].name, ".ffn_gate_exps."))
			return gguf_file_type_of(s->v[i].type);
	return gguf_file_type(s->l->p->opts.dense);
}

/* Tells parts of one run from those of another, as far as headers and small files can: SHA-256 of config.json and of
 * names and sizes of all shards. */
static int name_run(const struct layout *l, char run[65])
{
	const struct ckpt *c = l->p->ckpt;
	struct text t = { 0 };
	uint8_t digest[32];
	size_t i;
	int rc;

	text_put(&t, c->doc.raw.s, c->doc.raw.n);
	for (i = 0; i < c->n_shards; i++)
		text_fmt(&t, "\n%s %lld", c->shards[i].name, (long long)c->shards[i].st.st_size);
	text_fmt(&t, "\n%u %llu", (unsigned)l->p->opts.dense,
		(unsigned long long)l->p->opts.shard_size);
	if (l->p->opts.mix)
		text_put(&t, l->p->opts.mix->text.s, l->p->opts.mix->text.n);
	rc = t.failed ? err_nomem(l->e) : sha256_of(t.s, t.n, digest, l->e);
	text_free(&t);
	if (!rc)
		hex_of(digest, sizeof digest, run);
	return rc;
}

/* Which part each tensor is in; returns how many parts there are. */
static unsigned number_parts(const struct items *s, unsigned *part)
{
	uint64_t room = s->l->p->opts.shard_size, used = 0;
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (room && used && used + s->v[i].bytes > room) {
			n++;
			used = 0;
		}
		used += s->v[i].bytes;
		part[i] = n;
	}
	return n + 1;
}

/* Makes the file of part no, whose tensors are first..end. */
static int lay_part(struct items *s, size_t first, size_t end, unsigned no, unsigned parts,
	const char *run)
{
	struct layout *l = s->l;
	struct gguf_out o = { 0 };
	struct text head = { 0 };
	struct step st;
	char name[256];
	size_t i;
	long file;
	int rc = -1;

	if (!gguf_part_name(name, gguf_stems[s->of], strlen(gguf_stems[s->of]), no, parts))
		return err_set(l->e, ERR_UNSUPPORTED, "too many parts");
	file = layout_file(l, name);
	if (file < 0 || (!no && gguf_metadata_put(&o, l->p->ckpt, file_type(s), s->of, l->e)))
		goto out;
	if (parts > 1) {
		gguf_put_u16(&o, "split.no", (uint16_t)no);
		gguf_put_u16(&o, "split.count", (uint16_t)parts);
		gguf_put_i32(&o, "split.tensors.count", (int32_t)s->n);
		gguf_put_string(&o, "dsv4.run", run, strlen(run));
	}
	for (i = first; i < end; i++)
		if (make_step(s, &s->v[i],
			    gguf_put_tensor(&o, s->v[i].name, s->v[i].type, s->v[i].dim,
				    s->v[i].rank),
			    &st) ||
			layout_step(l, (size_t)file, &st))
			goto out;
	gguf_write_head(&o, &head);
	l->p->files[file].raw = head.failed ? NULL : arena_strndup(&l->p->arena, head.s, head.n);
	l->p->files[file].header_bytes = head.n;
	rc = l->p->files[file].raw ? 0 : err_nomem(l->e);
out:
	gguf_out_free(&o);
	text_free(&head);
	return rc;
}

static int lay_files(struct items *s)
{
	unsigned *part = calloc(s->n + 1, sizeof *part), parts;
	char run[65] = "";
	size_t i, first;
	int rc;

	if (!part)
		return err_nomem(s->l->e);
	parts = number_parts(s, part);
	rc = parts > GGUF_PARTS_MAX
		? err_set(s->l->e, ERR_USAGE,
			  "--shard-size: that would be %u parts, at most %d are taken", parts,
			  GGUF_PARTS_MAX)
		: name_run(s->l, run);
	for (i = first = 0; !rc && i <= s->n; i++) {
		if (i < s->n && part[i] == part[first])
			continue;
		rc = lay_part(s, first, i, part[first], parts, run);
		first = i;
		if (i == s->n)
			break;
	}
	free(part);
	return rc;
}

static int lay_one(struct layout *l, enum gguf_file_of of)
{
	struct items s = { .l = l, .of = of };
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < l->p->ckpt->n; i++)
		rc = take(&s, i);
	if (s.n)
		qsort(s.v, s.n, sizeof *s.v, by_place);
	rc = rc ? rc : lay_files(&s);
	if (!rc && l->p->opts.imatrix && of == GGUF_OF_MODEL && !s.weighted)
		rc = err_rule(l->e, RULE_PLAN_RECIPE, ERR_NOPOS,
			"--imatrix has the columns of no tensor that is rounded here: it is of another model, or of other tensors");
	free(s.v);
	return rc;
}

/* What no file of GGUF has a place for is kept as it is, for the way back. */
static int lay_rest(struct layout *l)
{
	const struct ckpt *c = l->p->ckpt;
	long file = -1;
	struct step s;
	size_t i;

	for (i = 0; l->p->opts.back && i < c->n; i++) {
		if (l->p->fate[i] != FATE_DRAFT || layout_drops(l, i))
			continue;
		file = file < 0 ? layout_file(l, GGUF_REST) : file;
		if (file < 0)
			return -1;
		layout_fate(l, i, FATE_COPY);
		s = (struct step){ .op = OP_COPY,
			.out = c->tensors[i],
			.take = step_all(&c->tensors[i]),
			.record = true,
			.as.copy.src = (uint32_t)i };
		if (layout_step(l, (size_t)file, &s))
			return -1;
	}
	return 0;
}

static int lay_gguf(struct layout *l)
{
	const struct config *c = &l->p->ckpt->config;

	if (l->p->opts.layers)
		return err_set(l->e, ERR_USAGE, "--layers: a GGUF is of the whole model");
	if (lay_one(l, GGUF_OF_MODEL))
		return -1;
	if (gguf_drafts(c) && l->p->opts.drafts != DRAFTS_DROP &&
		lay_one(l, c->spark ? GGUF_OF_DSPARK : GGUF_OF_MTP))
		return -1;
	return lay_rest(l);
}

static const char *const none[] = { NULL };
const struct target gguf_target = { "gguf", "a GGUF file for llama.cpp", lay_gguf, none };
