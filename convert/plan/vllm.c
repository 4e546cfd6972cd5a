/* vllm.c -- files of each tensor-parallel rank, as vLLM's sharded_state loader takes them: all in one folder, every
 * tensor a parameter of vLLM's model under the key that the loader looks for (formats/model/vllm_name.h); and those of
 * SGLang, of which sglang.c has what is other.
 *
 *	model-rank-R-part-P.safetensors   rank R of the N of --tensor-parallel-size
 *	experts    by tp each of them is cut; by ep (--enable-expert-parallel) they go whole to a rank
 *	drafts     vLLM loads them as a model of their own; for the way back they are kept in drafts.safetensors
 *
 * vLLM rounds the sizes of experts up, by kernel to 32, 64, 128 or 256, and a smaller tensor that is loaded into a larger
 * parameter would leave a hole between w1 and w3 without anybody noticing. So only sizes are taken that no kernel
 * rounds.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/vllm.h"

#include "core/text.h"
#include "formats/model/sglang_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a part where nobody says: few large files are read fastest, and some are made at a time. */
#define PART_BYTES (8ull << 30)
enum {
	EXPERT_ROWS = 128, /* rows of w1 and w3 for a rank, and columns of w2 */
	EXPERT_COLS = 256, /* hidden size */
	VOCAB = 64 /* rows of embedding and head are rounded up to it before they are shared */
};

struct parameters {
	struct layout *l;
	struct entry *v; /* owns; by place, parameter, expert, part */
	size_t n;
	const char *recent[8]; /* names given of late: an expert's tensors come again and again */
	unsigned next;
};

/* Whether the ranks are SGLang's: sglang.c has what is other there. */
static bool is_sglang(const struct layout *l)
{
	return !strcmp(l->p->opts.target, SGLANG_TARGET);
}

/* --- what can be had --- */

static const struct tensor *tensor_of(const struct parameters *p, const struct entry *e)
{
	return &p->l->p->ckpt->tensors[e->i];
}

/* Rows, or elements of a row, that ranks share of a tensor which is cut. */
static uint64_t shared_of(const struct tensor *t, enum split split)
{
	return split == SPLIT_ROWS || t->rank < 2 ? t->dim[0] : t->dim[1];
}

/* Whether n ranks can share what the entry is of; else *why says what they would cut. */
static bool entry_fits(const struct parameters *p, const struct entry *e, uint64_t n, char *why,
	size_t room)
{
	const struct config *c = &p->l->p->ckpt->config;
	const struct role *r = p->l->a->want[e->i]->role;
	const struct tensor *t = tensor_of(p, e);
	bool block = r->store == STORE_DENSE && !p->l->a->want[e->i]->scale;
	uint64_t unit = !strcmp(r->shape, "V,D") ? VOCAB : 0, size = shared_of(t, e->split);

	if (e->split == SPLIT_NONE || e->expert >= 0 || (e->form == FORM_BF16 && e->part))
		return true;
	if (unit && size % unit) {
		snprintf(why, room,
			"tensor %s has %llu rows, which engines round up to a multiple of %u",
			text_quote(t->name).s, (unsigned long long)size, VOCAB);
		return false;
	}
	if (!strncmp(r->name, "attn.", 5) && (c->H % n || c->G % n)) {
		snprintf(why, room,
			"attention has %llu heads in %llu groups, which %llu ranks cannot share evenly",
			(unsigned long long)c->H, (unsigned long long)c->G, (unsigned long long)n);
		return false;
	}
	if (size % n || (block && size / n % codecs[CODEC_FP8].rows)) {
		snprintf(why, room,
			"tensor %s has %llu %s, which %llu ranks cannot share in whole blocks of 128",
			text_quote(t->name).s, (unsigned long long)size,
			e->split == SPLIT_ROWS ? "rows" : "columns", (unsigned long long)n);
		return false;
	}
	return true;
}

static bool experts_fit(const struct parameters *p, uint64_t n, char *why, size_t room)
{
	const struct config *c = &p->l->p->ckpt->config;
	bool tp = p->l->p->opts.share.experts_tp;
	uint64_t inner = tp && c->I % n == 0 ? c->I / n : c->I;

	if (tp ? c->I % n : c->E % n)
		snprintf(why, room,
			tp ? "experts are %llu wide, which %llu ranks cannot share evenly"
			   : "there are %llu experts, which %llu ranks cannot share evenly",
			(unsigned long long)(tp ? c->I : c->E), (unsigned long long)n);
	else if (is_sglang(p->l)) /* the launch says how wide they are: sglang.c */
		return true;
	else if (inner % EXPERT_ROWS || c->D % EXPERT_COLS)
		snprintf(why, room,
			"an expert is %llu x %llu for a rank, and kernels of vLLM round that up to multiples of %u x %u",
			(unsigned long long)inner, (unsigned long long)c->D, EXPERT_ROWS,
			EXPERT_COLS);
	else
		return true;
	return false;
}

/* Whether n ranks can be had; else *why says what they would cut. */
static bool fits(const struct parameters *p, uint64_t n, char *why, size_t room)
{
	size_t i;

	if (!experts_fit(p, n, why, room))
		return false;
	for (i = 0; i < p->n && entry_fits(p, &p->v[i], n, why, room); i++)
		;
	return i == p->n;
}

static int check_ranks(const struct parameters *p)
{
	const struct share *h = &p->l->p->opts.share;
	char why[320], skip[320], legal[160] = "";
	size_t at = 0;
	uint64_t n;

	if (fits(p, h->ranks, why, sizeof why))
		return 0;
	/* Beyond the heads there is nothing left to share. */
	for (n = 1; n <= p->l->p->ckpt->config.H && at + 24 < sizeof legal; n++)
		if (fits(p, n, skip, sizeof skip))
			at += (size_t)snprintf(legal + at, sizeof legal - at, "%s%llu",
				at ? ", " : "", (unsigned long long)n);
	return err_rule(p->l->e, RULE_PLAN_SPLIT, ERR_NOPOS,
		"--ranks %llu --experts-by %s: %s; legal are %s", (unsigned long long)h->ranks,
		h->experts_tp ? "tp" : "ep", why, at ? legal : "none");
}

int vllm_check_experts(const struct layout *l)
{
	if (l->p->experts == l->a->experts)
		return 0;
	return err_rule(l->e, RULE_PLAN_ENGINE_FORM, ERR_NOPOS,
		"--target %s writes experts as they are, which is %s: make a folder of --target hf --experts %s first, and this of it",
		l->p->opts.target, codec_expert(l->a->experts), codec_expert(l->p->experts));
}

/* vLLM takes the scales of dense matrices for E8M0 beside FP4 experts, and for F32 beside FP8 experts. */
static int check_forms(const struct layout *l)
{
	enum codec experts = l->a->forms.experts, dense = l->a->forms.dense;

	if (vllm_check_experts(l))
		return -1;
	if ((experts == CODEC_MXFP4 && dense == CODEC_FP8) ||
		(experts == CODEC_FP8_F32 && dense == CODEC_FP8_F32))
		return 0;
	return err_rule(l->e, RULE_PLAN_ENGINE_FORM, ERR_NOPOS,
		"experts are %s and dense matrices %s: vLLM reads E8M0 scales beside FP4 experts and F32 scales beside FP8 experts, and nothing else",
		codecs[experts].name, codecs[dense].name);
}

static int check(const struct layout *l)
{
	const struct plan_opts *o = &l->p->opts;

	if (o->layers)
		return err_set(l->e, ERR_USAGE, "--layers: the engine loads the whole model");
	if (o->share.stages > 1)
		return err_set(l->e, ERR_USAGE, "--pp: --target %s is for one pipeline stage",
			o->target);
	if (o->share.placement)
		return err_set(l->e, ERR_USAGE,
			"--placement: the engine gives each rank the same number of experts, in order");
	return is_sglang(l) ? sglang_check(l) : check_forms(l);
}

/* --- which parameter a tensor goes to --- */

/* The name in the arena, once for those that come one after the other. */
static const char *keep_name(struct parameters *p, const char *name)
{
	const unsigned n = sizeof p->recent / sizeof *p->recent;
	unsigned k;

	for (k = 0; k < n; k++)
		if (p->recent[k] && !strcmp(p->recent[k], name))
			return p->recent[k];
	p->recent[p->next] = arena_strndup(&p->l->p->arena, name, strlen(name));
	k = p->next;
	p->next = (p->next + 1) % n;
	return p->recent[k];
}

static int by_parameter(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	c = strcmp(x->name, y->name);
	if (c)
		return c;
	if (x->expert != y->expert)
		return x->expert < y->expert ? -1 : 1;
	return (x->part > y->part) - (x->part < y->part);
}

static int list(struct parameters *p)
{
	struct layout *l = p->l;
	const struct ckpt *c = l->p->ckpt;
	struct vllm_place at;
	size_t i;

	p->v = malloc((c->n + 1) * sizeof *p->v);
	if (!p->v)
		return err_nomem(l->e);
	for (i = 0; i < c->n; i++) {
		if (!rank_place_of(l->p->opts.target, &at, &c->tensors[i])) {
			layout_fate(l, i, l->p->opts.back ? FATE_COPY : FATE_DRAFT);
			continue;
		}
		p->v[p->n] = (struct entry){ .name = keep_name(p, at.name),
			.place = l->a->want[i]->place,
			.i = (uint32_t)i,
			.part = at.part,
			.parts = at.parts,
			.expert = (int32_t)at.expert,
			.split = at.split,
			.form = at.form,
			.kept = at.kept,
			.dtype = (uint8_t)at.dtype };
		if (!p->v[p->n++].name)
			return err_nomem(l->e);
	}
	if (p->n)
		qsort(p->v, p->n, sizeof *p->v, by_parameter);
	return 0;
}

/* --- steps --- */

/* What becomes of experts by ep: the rank has some of them, whole. */
static struct group of_rank(const struct layout *l, const struct entry *e, size_t n, uint64_t rank)
{
	const struct share *h = &l->p->opts.share;
	size_t own = n / h->ranks;

	if (e->expert < 0 || h->experts_tp)
		return (struct group){ e, n, e->split != SPLIT_NONE && h->ranks > 1 };
	return (struct group){ e + rank * own, own, false };
}

void group_take(const struct layout *l, const struct group *g, uint64_t rank, struct step *s)
{
	uint64_t n = l->p->opts.share.ranks;

	if (!g->cut)
		return;
	if (g->e->split == SPLIT_ROWS) {
		s->take.rows /= n;
		s->take.row = rank * s->take.rows;
	} else {
		s->take.cols /= n;
		s->take.col = rank * s->take.cols;
	}
}

/* Experts are stacked; others lie below one another. */
static int settle_shape(struct layout *l, const struct group *g, struct step *s)
{
	const struct tensor *t = &l->p->ckpt->tensors[g->e->i];
	const struct step_join *j = s->as.join;
	uint64_t *dim = layout_alloc(l, 3 * sizeof *dim), rows = j->first[j->n],
		 cols = s->take.cols * 8 / dtypes[t->dtype].bits, experts = g->n / g->e->parts;

	if (!dim)
		return -1;
	s->out.dim = dim;
	s->out.rank = (uint8_t)(g->e->expert >= 0 ? 3 : t->rank);
	if (g->e->expert >= 0)
		*dim++ = experts;
	dim[0] = g->e->expert < 0 ? rows : rows / experts;
	dim[1] = cols;
	return 0;
}

static int join(struct layout *l, const struct group *g, uint64_t rank, struct step *s)
{
	const struct tensor *t = &l->p->ckpt->tensors[g->e->i];
	struct step_join *j = layout_alloc(l, sizeof *j);
	uint64_t n = g->cut ? l->p->opts.share.ranks : 1;
	uint64_t *first = layout_alloc(l, (g->n + 1) * sizeof *first);
	uint32_t *src = layout_alloc(l, g->n * sizeof *src), k;

	if (!j || !first || !src)
		return -1;
	*s = (struct step){ .op = OP_JOIN, .take = step_all(t), .as.join = j };
	group_take(l, g, rank, s);
	for (k = 0; k < g->n; k++) {
		src[k] = g->e[k].i;
		first[k + 1] = first[k] +
			step_tensor_rows(&l->p->ckpt->tensors[src[k]]) /
				(g->e->split == SPLIT_ROWS ? n : 1);
		layout_fate(l, src[k], FATE_JOIN);
	}
	*j = (struct step_join){ src, first, (uint32_t)g->n, t->dtype == DT_F8_E8M0 };
	s->record = g->cut || g->e->expert >= 0 || !rank;
	if (g->e->form == FORM_F32) {
		s->op = OP_JOIN_F32;
		s->record = s->record && !l->p->opts.back;
	}
	return settle_shape(l, g, s);
}

static int single(struct layout *l, const struct group *g, uint64_t rank, struct step *s)
{
	uint64_t n = l->p->opts.share.ranks;

	if (layout_whole(l, g->e->i, s) ||
		(g->cut && layout_cut(l, g->e->i, g->e->split, rank, n, s)))
		return -1;
	if (g->e->dtype != s->out.dtype)
		s->op = OP_NARROW;
	layout_fate(l, g->e->i,
		s->op == OP_NARROW ? FATE_NARROW
			: g->cut   ? FATE_SPLIT
			: n > 1    ? FATE_REPLICATE
				   : FATE_COPY);
	s->record = !rank;
	return 0;
}

/* The n entries at e are all that the parameter has. */
static int make_step(struct layout *l, const struct entry *e, size_t n, uint64_t rank,
	struct step *s)
{
	struct group g = of_rank(l, e, n, rank);
	bool joined = e->expert >= 0 || e->parts > 1 || e->form == FORM_F32;
	size_t whole = e->expert < 0 ? e->parts : e->parts * l->p->ckpt->config.E;

	if (n != whole)
		return err_set(l->e, ERR_UNSUPPORTED,
			"the source has %zu of the %zu tensors of parameter %s", n, whole,
			text_quote(e->name).s);
	if (e->form > FORM_F32   ? sglang_step(l, &g, rank, s)
			: joined ? join(l, &g, rank, s)
				 : single(l, &g, rank, s))
		return -1;
	s->out.name = e->name;
	s->out.dtype = e->dtype;
	return 0;
}

/* --- files --- */

/* What the header of a file says of it, for those who look: vLLM does not. */
static int put_meta(struct layout *l, size_t file, const char *share)
{
	struct st_meta *m = layout_alloc(l, 4 * sizeof *m);

	if (!m)
		return -1;
	m[0] = (struct st_meta){ "dsv4.alignment", "4096" };
	m[1] = (struct st_meta){ "dsv4.share", arena_strndup(&l->p->arena, share, strlen(share)) };
	m[2] = (struct st_meta){ "dsv4.target", l->p->opts.target };
	m[3] = (struct st_meta){ "format", "pt" };
	l->p->files[file].meta = m;
	l->p->files[file].n_meta = 4;
	return m[1].value ? 0 : err_nomem(l->e);
}

static long begin_file(struct layout *l, uint64_t rank, unsigned part)
{
	const struct share *h = &l->p->opts.share;
	char name[80], share[96];
	long file;

	snprintf(share, sizeof share, "rank %llu of %llu, experts %s", (unsigned long long)rank,
		(unsigned long long)h->ranks, h->experts_tp ? "tp" : "ep");
	snprintf(name, sizeof name, "model-rank-%llu-part-%u.safetensors", (unsigned long long)rank,
		part);
	file = layout_file(l, name);
	return file < 0 || put_meta(l, (size_t)file, share) ? -1 : file;
}

static int lay_rank(const struct parameters *p, uint64_t rank)
{
	struct layout *l = p->l;
	uint64_t room = l->p->opts.shard_size ? l->p->opts.shard_size : PART_BYTES, used = 0, bytes;
	long file = -1;
	unsigned parts = 0;
	struct step s;
	size_t i, n;

	for (i = 0; i < p->n; i += n) {
		for (n = 1; i + n < p->n && p->v[i + n].place == p->v[i].place &&
			!strcmp(p->v[i + n].name, p->v[i].name);
			n++)
			;
		if (make_step(l, &p->v[i], n, rank, &s) ||
			!st_bytes((enum dtype)s.out.dtype, s.out.dim, s.out.rank, &bytes))
			return -1;
		if (file < 0 || used + bytes > room) {
			file = begin_file(l, rank, parts++);
			used = 0;
		}
		if (file < 0 || layout_step(l, (size_t)file, &s))
			return -1;
		used += bytes;
	}
	return 0;
}

/* Whether the way back takes tensor i from a file of its own: drafts, of which the ranks have nothing, and what they have
 * in another form. */
static bool is_kept(const struct layout *l, size_t i)
{
	struct vllm_place at;

	return !rank_place_of(l->p->opts.target, &at, &l->p->ckpt->tensors[i]) || at.kept;
}

static int lay_kept(struct layout *l)
{
	const struct ckpt *c = l->p->ckpt;
	long file = -1;
	struct step s;
	size_t i;

	for (i = 0; l->p->opts.back && i < c->n; i++) {
		if (!is_kept(l, i))
			continue;
		file = file < 0 ? layout_file(l, rank_kept_file(l->p->opts.target)) : file;
		if (file < 0 || layout_whole(l, i, &s) || layout_step(l, (size_t)file, &s))
			return -1;
	}
	return file < 0 ? 0 : put_meta(l, (size_t)file, is_sglang(l) ? "kept" : "drafts");
}

int vllm_lay(struct layout *l)
{
	static const struct plan_small config = { .name = "config.json", .kind = SMALL_CONFIG };
	struct parameters p = { .l = l };
	uint64_t rank;
	int rc;

	if (check(l))
		return -1;
	rc = list(&p) || check_ranks(&p) ? -1 : 0;
	for (rank = 0; !rc && rank < l->p->opts.share.ranks; rank++)
		rc = lay_rank(&p, rank);
	free(p.v);
	if (rc || lay_kept(l) || layout_small(l, &config))
		return -1;
	return is_sglang(l) ? sglang_end(l) : 0;
}
