/* engines.c -- the plan of one rank for an engine: routed experts stacked and laid out, everything else
 * by its official name, one file for each block of the model.
 *
 *	experts    whole to the rank that holds them, or every one cut: w1 and w3 by rows, w2 by columns
 *	the rest   as the official converter splits it, or whole
 *	stages     runs of layers; the embedding is with the first, head and MTP with the last
 *	files      one for each block, or with --file-size several blocks in one, in the order of loading
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/placement.h"
#include "convert/plan/target.h"
#include "core/text.h"
#include "formats/model/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the tensors of the experts are: by place, then w1 w2 w3, weight and scale, then by id. */
enum { W1, W2, W3, ROLES, KINDS = 2 * ROLES };

struct experts {
	uint32_t *at;  /* owns; index into ckpt->tensors, NONE where there is none */
	uint64_t most; /* that a block has */
};
#define NONE UINT32_MAX

/* w1, w2 or w3 of ffn.experts.#.wN.weight. */
static int which(const struct role *r)
{
	const char *w = strrchr(r->name, '#');

	return w[3] - '1';
}

static uint32_t *entry(const struct experts *x, uint32_t place, int w, bool scale)
{
	return x->at + ((uint64_t)place * KINDS + (unsigned)w * 2 + scale) * x->most;
}

static int find_experts(struct experts *x, const struct layout *l)
{
	const struct want *w;
	uint64_t n;
	size_t i;

	x->most = config_experts_max(&l->p->ckpt->config);
	n = (uint64_t)l->a->inv.places * KINDS * x->most;
	x->at = malloc((n + 1) * sizeof *x->at);
	if (!x->at)
		return err_nomem(l->e);
	for (i = 0; i < n; i++)
		x->at[i] = NONE;
	for (i = 0; i < l->p->ckpt->n; i++) {
		w = l->a->want[i];
		if (w->role->split == SPLIT_EXPERTS)
			entry(x, w->place, which(w->role), w->scale)[w->expert] = (uint32_t)i;
	}
	return 0;
}

/* --- what can be had --- */

/* Rows and columns of a part for a rank: w1 and w3 are I x D, w2 is D x I. */
static void rank_size(const struct layout *l, enum engine_part part, uint32_t *n, uint32_t *k,
	uint64_t ranks)
{
	const struct config *c = &l->p->ckpt->config;
	uint32_t inner = (uint32_t)(c->I / (l->p->opts.share.experts_tp ? ranks : 1));

	*n = part == ENGINE_W13 ? 2 * inner : (uint32_t)c->D;
	*k = part == ENGINE_W13 ? (uint32_t)c->D : inner;
}

/* True if the engine takes what so many ranks get; else why. */
static bool fits(const struct layout *l, uint64_t ranks, char *why, size_t room)
{
	const struct config *c = &l->p->ckpt->config;
	struct engine_fit fit;
	uint32_t n, k;
	int i;

	if (!l->p->opts.share.experts_tp) {
		uint64_t odd = c->E % ranks ? c->E : config_stage_experts(c);

		if (!l->p->opts.share.placement && odd % ranks) {
			snprintf(why, room,
				"there are %llu experts%s, which %llu ranks cannot share evenly",
				(unsigned long long)odd, odd == c->E ? "" : " in a draft",
				(unsigned long long)ranks);
			return false;
		}
	} else if (c->I % ranks) {
		snprintf(why, room,
			"the experts are %llu wide, which %llu ranks cannot share evenly",
			(unsigned long long)c->I, (unsigned long long)ranks);
		return false;
	}
	for (i = 0; i < 4; i++) {
		rank_size(l, i / 2 ? ENGINE_W2 : ENGINE_W13, &n, &k, ranks);
		if (!engine_fit(l->engine, i / 2 ? ENGINE_W2 : ENGINE_W13, i % 2, n, k, &fit, why,
			    room))
			return false;
	}
	return true;
}

static int check_fit(struct layout *l)
{
	uint64_t ranks = l->p->opts.share.ranks, n;
	char why[256], skip[256], legal[160] = "none";
	size_t at = 0;

	if (fits(l, ranks, why, sizeof why))
		return 0;
	for (n = 1; n <= l->p->ckpt->config.E && at + 24 < sizeof legal; n++)
		if (fits(l, n, skip, sizeof skip))
			at += (size_t)snprintf(legal + at, sizeof legal - at, "%s%llu",
				at ? ", " : "", (unsigned long long)n);
	return err_rule(l->e, RULE_PLAN_SPLIT, ERR_NOPOS,
		"--ranks %llu --experts-by %s: %s; legal for %s are %s", (unsigned long long)ranks,
		l->p->opts.share.experts_tp ? "tp" : "ep", why, l->engine->name, legal);
}

static int check(struct layout *l)
{
	const struct plan_opts *o = &l->p->opts;

	if (l->engine->experimental && !o->experimental)
		return err_rule(l->e, RULE_PLAN_EXPERIMENTAL, ERR_NOPOS,
			"--target %s was only read about, never compared with the engine: say "
			"--experimental",
			l->engine->name);
	if (l->p->experts != CODEC_MXFP4 || l->a->experts != CODEC_MXFP4)
		return err_rule(l->e, RULE_PLAN_ENGINE_FORM, ERR_NOPOS,
			"--target %s is for FP4 experts, these are %s", l->engine->name,
			codec_expert(l->p->experts));
	if (o->share.stages > l->p->ckpt->config.L)
		return err_rule(l->e, RULE_PLAN_SPLIT, ERR_NOPOS,
			"--pp %llu: there are %llu layers", (unsigned long long)o->share.stages,
			(unsigned long long)l->p->ckpt->config.L);
	if (o->share.attention_tp &&
		layout_shares(l, "--attention tp --ranks", o->share.ranks, false))
		return -1;
	return check_fit(l);
}

/* --- which blocks are in this stage --- */

static bool in_stage(const struct layout *l, uint32_t place)
{
	uint64_t L = l->p->ckpt->config.L, s = l->p->opts.share.stage, n = l->p->opts.share.stages;

	if (!l->selected[place])
		return false;
	if (place == 0)
		return s == 0;
	if (place > L)
		return s == n - 1;
	return place - 1 >= s * L / n && place - 1 < (s + 1) * L / n;
}

/* --- the order of loading --- */

/* Where a tensor of source tensor src is among those of the model: block by block, in a block as the family lists its
 * roles, which is how the model is built, a scale behind its weight. No table has 2^15 roles. */
static uint32_t order_of(const struct layout *l, uint32_t src)
{
	const struct want *w = l->a->want[src];
	uint32_t role = (uint32_t)(w->role - l->p->ckpt->config.family->roles);

	return w->place << 16 | role << 1 | w->scale;
}

/* --- experts of one block --- */

struct block {
	uint32_t place;
	char name[32]; /* layers.N or mtp.N */
	size_t file;
	uint32_t *ids; /* of this rank */
	uint32_t n;
};

static int name_of(struct layout *l, const struct block *b, enum engine_part part, bool scale,
	struct step *s)
{
	char name[96];
	int n = snprintf(name, sizeof name, "%s.ffn.experts.%s.%s", b->name,
		part == ENGINE_W13 ? "w13" : "w2", scale ? "scale" : "weight");

	s->out.name = arena_strndup(&l->p->arena, name, (size_t)n);
	return s->out.name ? 0 : err_nomem(l->e);
}

/* Which tensors, in which order, and what of them (take). */
static int sources_of(struct layout *l, const struct experts *x, const struct block *b,
	enum engine_part part, bool scale, struct step_tile *t, struct step_slice *take)
{
	static const int w[2][2] = { [ENGINE_W13] = { W1, W3 }, [ENGINE_W2] = { W2, W2 } };
	const struct share *h = &l->p->opts.share;
	uint64_t cut = h->experts_tp ? h->ranks : 1, rank = h->experts_tp ? h->rank : 0;
	const struct tensor *src;
	uint32_t *v, e, p;

	t->parts = t->fit.map->parts;
	t->experts = b->n;
	v = layout_alloc(l, (size_t)t->parts * b->n * sizeof *v);
	if (!v)
		return -1;
	for (e = 0; e < b->n; e++)
		for (p = 0; p < t->parts; p++)
			v[e * t->parts + p] = entry(x, b->place, w[part][p], scale)[b->ids[e]];
	t->src = v;
	src = &l->p->ckpt->tensors[entry(x, b->place, w[part][0], scale)[0]];
	*take = step_all(src);
	if (part == ENGINE_W13) {
		take->rows /= cut;
		take->row = rank * take->rows;
	} else {
		take->cols /= cut;
		take->col = rank * take->cols;
	}
	return 0;
}

static int lay_matrix(struct layout *l, const struct experts *x, const struct block *b,
	enum engine_part part, bool scale)
{
	struct step_tile *t = layout_alloc(l, sizeof *t);
	struct step s = { .op = OP_TILE, .as.tile = t };
	uint64_t *dim;
	char why[256];
	uint32_t n, k;

	if (!t)
		return -1;
	rank_size(l, part, &n, &k, l->p->opts.share.ranks);
	if (!engine_fit(l->engine, part, scale, n, k, &t->fit, why, sizeof why))
		return err_set(l->e, ERR_USAGE, "%s", why); /* was looked at before */
	if (sources_of(l, x, b, part, scale, t, &s.take) || name_of(l, b, part, scale, &s))
		return -1;
	t->scale = scale;
	t->e_min = l->engine->e_min;
	t->e_max = l->engine->e_max;
	t->engine = l->engine->name;
	dim = layout_alloc(l, (size_t)(t->fit.rank + 1) * sizeof *dim);
	if (!dim)
		return -1;
	dim[0] = b->n;
	memcpy(dim + 1, t->fit.shape, t->fit.rank * sizeof *dim);
	s.out.dim = dim;
	s.out.rank = (uint8_t)(t->fit.rank + 1);
	s.out.dtype = t->fit.dtype;
	s.record = 1; /* of what it takes of each */
	s.order = order_of(l, t->src[0]);
	return layout_step(l, b->file, &s);
}

static int lay_experts(struct layout *l, const struct experts *x, struct block *b)
{
	const struct share *h = &l->p->opts.share;
	const struct config *c = &l->p->ckpt->config;
	uint32_t E = (uint32_t)(b->place > c->L + 1 ? config_stage_experts(c) : c->E);
	int part, scale;
	long n;

	if (entry(x, b->place, W1, false)[0] == NONE)
		return 0;
	n = placement_ids(h->experts_tp ? NULL : h->placement, b->name, h->experts_tp ? 0 : h->rank,
		h->experts_tp ? 1 : h->ranks, E, b->ids, l->e);
	if (n < 0)
		return -1;
	b->n = (uint32_t)n;
	for (part = ENGINE_W13; n && part <= ENGINE_W2; part++)
		for (scale = 0; scale < 2; scale++)
			if (lay_matrix(l, x, b, (enum engine_part)part, scale))
				return -1;
	return 0;
}

/* --- all others --- */

static int lay_dense(struct layout *l, size_t i, size_t file)
{
	const struct share *h = &l->p->opts.share;
	const struct role *r = l->a->want[i]->role;
	bool split = h->attention_tp && h->ranks > 1 && r->split != SPLIT_NONE;
	struct step s;

	layout_fate(l, i, split ? FATE_SPLIT : h->ranks > 1 ? FATE_REPLICATE : FATE_COPY);
	if (layout_whole(l, i, &s) || (split && layout_slice(l, i, h->rank, h->ranks, &s)))
		return -1;
	s.record = !h->rank;
	s.order = order_of(l, (uint32_t)i);
	return layout_step(l, file, &s);
}

/* --- the file of a block --- */

/* "w13.weight marlin4-a16/1, w13.scale ..." */
static void put_layouts(struct text *out, const struct plan_file *f)
{
	static const char after[] = ".ffn.experts.";
	const struct step_tile *t;
	size_t i;

	for (i = 0; i < f->n; i++) {
		t = step_tile(&f->steps[i]);
		if (t)
			text_fmt(out, "%s%s %s/%u", out->n ? ", " : "",
				strstr(f->steps[i].out.name, after) + sizeof after - 1,
				t->fit.tile->name, t->fit.tile->version);
	}
}

static int put_meta(struct layout *l, size_t file, const struct block *b)
{
	const struct share *h = &l->p->opts.share;
	const struct engine *g = l->engine;
	struct text ids = { 0 }, place = { 0 }, layouts = { 0 };
	struct st_meta *m = layout_alloc(l, 8 * sizeof *m);
	unsigned n = 0;
	bool failed;
	uint32_t i;

	if (!m)
		return -1;
	for (i = 0; i < b->n; i++)
		text_fmt(&ids, i ? ",%u" : "%u", b->ids[i]);
	put_layouts(&layouts, &l->p->files[file]);
	text_fmt(&place, "rank %llu of %llu, stage %llu of %llu, experts %s, attention %s",
		(unsigned long long)h->rank, (unsigned long long)h->ranks,
		(unsigned long long)h->stage, (unsigned long long)h->stages,
		h->experts_tp ? "tp" : "ep", h->attention_tp ? "tp" : "replicate");
	m[n++] = (struct st_meta){ "dsv4.alignment", "4096" };
	if (b->n) {
		m[n++] = (struct st_meta){ "dsv4.experts", ids.s };
		m[n++] = (struct st_meta){ "dsv4.layouts", layouts.s };
	}
	m[n++] = (struct st_meta){ "dsv4.share", place.s };
	m[n++] = (struct st_meta){ "dsv4.target", g->name };
	if (b->n) {
		m[n++] = (struct st_meta){ "dsv4.w13", g->w13 };
		m[n++] = (struct st_meta){ "dsv4.w2", g->w2 };
	}
	m[n++] = (struct st_meta){ "format", "pt" };
	failed = ids.failed || place.failed || layouts.failed;
	for (i = 0; !failed && i < n; i++) {
		m[i].value = arena_strndup(&l->p->arena, m[i].value, strlen(m[i].value));
		failed = !m[i].value;
	}
	text_free(&ids);
	text_free(&place);
	text_free(&layouts);
	if (failed)
		return err_nomem(l->e);
	l->p->files[file].meta = m;
	l->p->files[file].n_meta = n;
	return 0;
}

/* The files of this stage, and in file[place] which is whose; -1 for none. */
static int lay_files(struct layout *l, const struct experts *x, long *file)
{
	struct block b = { .ids = calloc(x->most + 1, sizeof *b.ids) };
	uint64_t L = l->p->ckpt->config.L;
	char name[64];
	uint32_t p;
	int rc = b.ids ? 0 : err_nomem(l->e);

	for (p = 0; p < l->a->inv.places; p++)
		file[p] = -1;
	for (p = 0; !rc && p < l->a->inv.places; p++) {
		if (!in_stage(l, p))
			continue;
		snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", p + 1,
			l->a->inv.places);
		file[p] = layout_file(l, name);
		if (file[p] < 0) {
			rc = -1;
			break;
		}
		b.place = p;
		b.file = (size_t)file[p];
		b.n = 0;
		if (p > 0 && p <= L)
			snprintf(b.name, sizeof b.name, "layers.%u", p - 1);
		else if (p > L + 1)
			snprintf(b.name, sizeof b.name, "mtp.%u", p - 2 - (uint32_t)L);
		rc = lay_experts(l, x, &b);
		rc = rc ? rc : put_meta(l, b.file, &b);
	}
	free(b.ids);
	return rc;
}

/* --- few big files --- */

/* Bytes of what a file holds. */
static uint64_t payload_of(const struct plan_file *f)
{
	uint64_t sum = 0, bytes;
	size_t i;

	for (i = 0; i < f->n; i++)
		if (!st_bytes(f->steps[i].out.dtype, f->steps[i].out.dim, f->steps[i].out.rank,
			    &bytes) ||
			!mem_add(sum, bytes, &sum))
			return UINT64_MAX; /* the planner says what is wrong with it */
	return sum;
}

static const char *meta_of(const struct plan_file *f, const char *key)
{
	unsigned i;

	for (i = 0; i < f->n_meta; i++)
		if (!strcmp(f->meta[i].key, key))
			return f->meta[i].value;
	return NULL;
}

/* One header names the experts of all blocks of its file, so that blocks with others do not go together. */
static bool same_experts(const struct plan_file *f, const struct plan_file *g)
{
	const char *x = meta_of(f, "dsv4.experts"), *y = meta_of(g, "dsv4.experts");

	return !x || !y || !strcmp(x, y);
}

/* Moves the steps of g behind those of f. */
static int join(struct layout *l, struct plan_file *f, struct plan_file *g)
{
	if (mem_grow(&f->steps, &f->cap, f->n + g->n, sizeof *f->steps))
		return err_nomem(l->e);
	if (g->n)
		memcpy(f->steps + f->n, g->steps, g->n * sizeof *g->steps);
	f->n += g->n;
	if (!meta_of(f, "dsv4.experts")) {
		f->meta = g->meta;
		f->n_meta = g->n_meta;
	}
	free(g->steps);
	g->steps = NULL;
	g->n = 0;
	return 0;
}

/* Puts files together as long as they stay within the size; a block is never cut. Then they are counted anew. */
static int join_files(struct layout *l)
{
	struct plan *p = l->p;
	uint64_t have = 0, bytes;
	size_t n = 0, i;
	char name[64];

	for (i = 0; i < p->n_files; i++) {
		bytes = payload_of(&p->files[i]);
		if (n && bytes <= p->opts.file_size && have <= p->opts.file_size - bytes &&
			same_experts(&p->files[n - 1], &p->files[i])) {
			if (join(l, &p->files[n - 1], &p->files[i]))
				return -1;
			have += bytes;
			continue;
		}
		if (n != i) {
			p->files[n] = p->files[i];
			p->files[i].steps = NULL;
		}
		n++;
		have = bytes;
	}
	p->n_files = n;
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, n);
		p->files[i].name = arena_strndup(&p->arena, name, strlen(name));
		if (!p->files[i].name)
			return err_nomem(l->e);
	}
	return 0;
}

/* Gives the experts of this rank their fate. */
static void settle_experts(struct layout *l)
{
	const struct plan *p = l->p;
	const struct step *s;
	size_t f, i;
	uint32_t k;

	for (f = 0; f < p->n_files; f++)
		for (i = 0; i < p->files[f].n; i++) {
			s = &p->files[f].steps[i];
			for (k = 0; s->op == OP_TILE && k < step_sources(s); k++)
				layout_fate(l, step_source(s, k), FATE_TILE);
		}
}

static int lay_all(struct layout *l, const struct experts *x, long *file)
{
	const struct want *w;
	size_t i;

	if (lay_files(l, x, file))
		return -1;
	for (i = 0; i < l->p->ckpt->n; i++) {
		w = l->a->want[i];
		if (!l->selected[w->place])
			layout_fate(l, i, FATE_UNSELECTED);
		else if (file[w->place] < 0 || w->role->split == SPLIT_EXPERTS)
			layout_fate(l, i, FATE_ELSEWHERE);
		else if (lay_dense(l, i, (size_t)file[w->place]))
			return -1;
	}
	settle_experts(l);
	return 0;
}

static int lay_engine(struct layout *l)
{
	static const struct plan_small config = { .name = "config.json", .kind = SMALL_CONFIG },
				       index = { .name = CKPT_INDEX, .kind = SMALL_INDEX };
	struct experts x = { 0 };
	long *file = NULL;
	int rc;

	if (check(l) || find_experts(&x, l))
		return -1;
	file = malloc((l->a->inv.places + 1) * sizeof *file);
	rc = file ? lay_all(l, &x, file) : err_nomem(l->e);
	free(file);
	free(x.at);
	if (!rc && l->p->opts.file_size)
		rc = join_files(l);
	if (rc)
		return -1;
	return layout_small(l, &config) || layout_small(l, &index) ? -1 : 0;
}

static const char *const engine_small[] = { "generation_config.json", "special_tokens_map.json",
	"tokenizer.json", "tokenizer_config.json", NULL };
const struct target engine_target = { "engine", "a folder for each rank", lay_engine,
	engine_small };
