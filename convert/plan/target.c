/* target.c -- the table of targets: official tensor-parallel shards, and a Hugging Face folder.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"

#include "core/text.h"
#include "formats/model/family.h"
#include "formats/model/sglang_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- official: one file per rank, as inference/convert.py writes it (SHA-256 912acfc2...) --- */

/* The weight that the official model wants in BF16. */
static const char bf16_role[] = "attn.wo_a.weight";

/* True if n ranks can share tensor t; else *why says what they would cut. */
static bool shares(const struct layout *l, size_t i, uint64_t n, char *why, size_t room)
{
	const struct want *w = l->a->want[i];
	const struct role *r = w->role;
	const struct tensor *t = &l->p->ckpt->tensors[i];
	unsigned axis = r->split == SPLIT_COLS;
	uint64_t unit[3];
	uint8_t one;

	if (r->split == SPLIT_NONE)
		return true;
	if (r->unit && !w->scale && inventory_shape(r->unit, &l->p->ckpt->config, 0, unit, &one) &&
		unit[0] % n) {
		snprintf(why, room, "%s %llu %s, which %llu ranks cannot share evenly",
			r->split == SPLIT_EXPERTS ? "is of" : "has", (unsigned long long)unit[0],
			r->split == SPLIT_EXPERTS      ? "experts"
				: strcmp(r->unit, "G") ? "heads"
						       : "groups",
			(unsigned long long)n);
		return false;
	}
	if (r->split != SPLIT_EXPERTS && t->dim[axis] % n) {
		snprintf(why, room, "has %llu %s, which %llu ranks cannot share evenly",
			(unsigned long long)t->dim[axis], axis ? "columns" : "rows",
			(unsigned long long)n);
		return false;
	}
	return true;
}

/* One tensor of each kind: all of a role have the same split dimensions. */
struct kinds {
	size_t v[2 * FAMILY_ROLES_MAX];
	size_t n;
};

static void list_kinds(const struct layout *l, struct kinds *k)
{
	bool seen[2 * FAMILY_ROLES_MAX] = { false };
	size_t i, kind;

	for (i = 0, k->n = 0; i < l->p->ckpt->n; i++) {
		kind = 2u * l->a->want[i]->nth + l->a->want[i]->scale;
		if (!seen[kind])
			k->v[k->n++] = i;
		seen[kind] = true;
	}
}

/* The first tensor that n ranks cannot share, or -1. */
static long cut(const struct layout *l, const struct kinds *k, bool experts, uint64_t n, char *why,
	size_t room)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if ((experts || l->a->want[k->v[i]]->role->split != SPLIT_EXPERTS) &&
			!shares(l, k->v[i], n, why, room))
			return (long)k->v[i];
	return -1;
}

int layout_shares(struct layout *l, const char *option, uint64_t ranks, bool experts)
{
	char why[160], legal[160] = "", skip[160];
	struct kinds kinds;
	uint64_t n;
	size_t k = 0;
	long at;

	list_kinds(l, &kinds);
	at = cut(l, &kinds, experts, ranks, why, sizeof why);
	if (at < 0)
		return 0;
	for (n = 1; n <= l->p->ckpt->config.E && k + 24 < sizeof legal; n++)
		if (cut(l, &kinds, experts, n, skip, sizeof skip) < 0)
			k += (size_t)snprintf(legal + k, sizeof legal - k, "%s%llu", k ? ", " : "",
				(unsigned long long)n);
	return err_rule(l->e, RULE_PLAN_SPLIT, ERR_NOPOS, "%s %llu: tensor %s %s; legal are %s",
		option, (unsigned long long)ranks, text_quote(l->p->ckpt->tensors[at].name).s, why,
		legal);
}

int layout_cut(struct layout *l, size_t i, enum split split, uint64_t rank, uint64_t n,
	struct step *s)
{
	const struct tensor *t = &l->p->ckpt->tensors[i];
	uint64_t rows = t->dim[0], cols = t->rank > 1 ? t->dim[1] : 1;

	if (split == SPLIT_ROWS) {
		s->op = OP_ROWS;
		s->take.rows = rows / n;
		s->take.row = rank * s->take.rows;
		s->out.dim = layout_dim(l, s->take.rows, cols);
	} else {
		s->op = OP_COLS;
		s->take.cols = step_row_bytes(t) / n;
		s->take.col = rank * s->take.cols;
		s->out.dim = layout_dim(l, rows, cols / n);
	}
	return s->out.dim ? 0 : -1;
}

int layout_slice(struct layout *l, size_t i, uint64_t rank, uint64_t n, struct step *s)
{
	return layout_cut(l, i, l->a->want[i]->role->split, rank, n, s);
}

static int dequantize(struct layout *l, size_t i, uint64_t rank, uint64_t n, struct step *s)
{
	const struct tensor *t = &l->p->ckpt->tensors[i];
	uint32_t scale = (uint32_t)audit_partner(l->a, i);
	enum codec from = codec_of_types(t->dtype, l->p->ckpt->tensors[scale].dtype);
	const struct recode *how = recode_find(from, CODEC_BF16);

	s->op = OP_DEQUANT;
	s->take.rows = t->dim[0] / n;
	s->take.row = rank * s->take.rows;
	s->as.recode = (struct step_recode){ (uint32_t)i, scale, how };
	s->out.dtype = codecs[CODEC_BF16].code;
	s->out.dim = layout_dim(l, s->take.rows, t->dim[1]);
	if (!how || !codec_whole(from, s->take.rows, t->dim[1]))
		return err_rule(l->e, RULE_PLAN_BLOCK_CUT, ERR_NOPOS,
			"tensor %s: %llu x %llu for a rank is no whole number of %u x %u blocks",
			text_quote(t->name).s, (unsigned long long)s->take.rows,
			(unsigned long long)t->dim[1], codecs[from].rows, codecs[from].cols);
	return s->out.dim ? 0 : -1;
}

/* A routed expert's tensor: whole, to the rank that owns the expert. */
static int lay_expert(struct layout *l, size_t i)
{
	const struct want *w = l->a->want[i];
	uint64_t own = l->p->ckpt->config.E / l->p->opts.ranks;
	struct step s;

	if (layout_whole(l, i, &s))
		return -1;
	layout_fate(l, i, layout_casts(l, i) ? FATE_CAST : FATE_COPY);
	if (s.op == OP_COPY && s.out.dtype == codecs[CODEC_MXFP4].code) {
		s.out.dtype = DT_F4; /* the same bytes, declared as what they are */
		s.out.dim = layout_dim(l, s.out.dim[0], codec_cols(CODEC_MXFP4, s.out.dim[1]));
		if (!s.out.dim)
			return -1;
	}
	return layout_step(l, (uint64_t)w->expert / own, &s);
}

/* Any other tensor: to all ranks, whole or in parts. */
static int lay_dense(struct layout *l, size_t i)
{
	const struct want *w = l->a->want[i];
	const struct role *r = w->role;
	bool bf16 = !strcmp(r->name, bf16_role);
	uint64_t n = l->p->opts.ranks, rank;
	struct step s;

	if (bf16 && w->scale) {
		layout_fate(l, i, FATE_MERGE);
		return 0;
	}
	layout_fate(l, i,
		bf16                             ? FATE_DEQUANT
			: r->split != SPLIT_NONE ? FATE_SPLIT
			: n > 1                  ? FATE_REPLICATE
						 : FATE_COPY);
	for (rank = 0; rank < n; rank++) {
		if (layout_whole(l, i, &s))
			return -1;
		if (bf16 ? dequantize(l, i, rank, n, &s)
			 : r->split != SPLIT_NONE && layout_slice(l, i, rank, n, &s))
			return -1;
		s.record = (uint8_t)(rank ? 0 : bf16 ? 3 : 1);
		if (layout_step(l, rank, &s))
			return -1;
	}
	return 0;
}

static int lay_official(struct layout *l)
{
	uint64_t n = l->p->opts.ranks, rank;
	const struct want *w;
	char name[64];
	size_t i;

	if (layout_shares(l, "--mp", n, true))
		return -1;
	for (rank = 0; rank < n; rank++) {
		snprintf(name, sizeof name, "model%llu-mp%llu.safetensors",
			(unsigned long long)rank, (unsigned long long)n);
		if (layout_file(l, name) < 0)
			return -1;
	}
	for (i = 0; i < l->p->ckpt->n; i++) {
		w = l->a->want[i];
		if (!l->selected[w->place])
			layout_fate(l, i, FATE_UNSELECTED);
		else if (w->optional)
			layout_fate(l, i, FATE_SKIP);
		else if (w->role->split == SPLIT_EXPERTS ? lay_expert(l, i) : lay_dense(l, i))
			return -1;
	}
	return 0;
}

/* --- hf: the folder that one downloads --- */

/* A bit of a place: the parcel is the table of the layer that the other bits number, and lies in a file of its own. */
#define APART (UINT32_C(1) << 31)

/* A weight and its scale, or a tensor without one: what stays together in a shard. */
struct parcel {
	uint32_t place;
	size_t first, second; /* second == first where there is none */
	uint64_t bytes;
};

static int by_place(const void *a, const void *b)
{
	const struct parcel *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return x->first < y->first ? -1 : 1;
}

static uint64_t bytes_of(const struct step *s)
{
	uint64_t n = 0;

	(void)st_bytes(s->out.dtype, s->out.dim, s->out.rank, &n); /* was checked as source */
	return n;
}

static int parcel_bytes(struct layout *l, struct parcel *p)
{
	struct step s;

	if (layout_stacks(l, p->first)) {
		p->bytes = layout_stack_bytes(l, p->first);
		return 0;
	}
	if (layout_reforms(l, p->first)) {
		p->bytes = layout_reform_bytes(l, p->first);
		return 0;
	}
	if (layout_whole(l, p->first, &s))
		return -1;
	p->bytes = bytes_of(&s);
	if (p->second == p->first)
		return 0;
	if (layout_whole(l, p->second, &s))
		return -1;
	p->bytes += bytes_of(&s);
	return 0;
}

/* The steps of a parcel, of which there are n; -1 where they cannot be made. */
static int parcel_steps(struct layout *l, const struct parcel *p, struct step s[PART_COUNT])
{
	if (layout_stacks(l, p->first))
		return layout_stack(l, p->first, s);
	if (layout_reforms(l, p->first))
		return layout_reform(l, p->first, s);
	if (layout_whole(l, p->first, &s[0]))
		return -1;
	if (p->second == p->first)
		return 1;
	return layout_whole(l, p->second, &s[1]) ? -1 : 2;
}

/* Lists what is selected, in order. *v is the caller's to free. */
static int list_parcels(struct layout *l, struct parcel **v, size_t *n)
{
	size_t i, cap = 0;
	long partner;
	struct parcel p;

	for (i = 0; i < l->p->ckpt->n; i++) {
		const struct want *w = l->a->want[i];

		layout_fate(l, i,
			layout_drops(l, i)                  ? FATE_DRAFT
				: layout_drops_engram(l, i) ? FATE_ENGRAM
				: !l->selected[w->place]    ? FATE_UNSELECTED
				: layout_records(l, i)      ? FATE_RECORD
				: layout_casts(l, i)        ? FATE_CAST
				: layout_widens(l, i)       ? FATE_WIDEN
				: layout_reforms(l, i)      ? FATE_REFORM
				: layout_stacks(l, i)       ? FATE_TILE
							    : FATE_COPY);
		if (!l->selected[w->place] || layout_drops(l, i) || layout_drops_engram(l, i) ||
			layout_records(l, i) || w->scale)
			continue; /* a scale comes with its weight */
		if (layout_stacks(l, i) && w->expert > 0)
			continue; /* and experts with the first */
		partner = w->role->store == STORE_PLAIN ? -1 : audit_partner(l->a, i);
		p = (struct parcel){ layout_separates(l, i) ? APART | (uint32_t)w->layer : w->place,
			i, partner < 0 ? i : (size_t)partner, 0 };
		if (parcel_bytes(l, &p))
			return -1;
		if (mem_grow(v, &cap, *n + 1, sizeof p))
			return err_nomem(l->e);
		(*v)[(*n)++] = p;
	}
	if (*n)
		qsort(*v, *n, sizeof **v, by_place);
	return 0;
}

/* Gives every parcel the number of its shard, in place; returns how many shards there are, counting
 * those that --layers leaves out where shards follow the layers. */
static uint32_t number_shards(const struct layout *l, struct parcel *v, size_t n)
{
	uint64_t room = l->p->opts.shard_size, used = 0;
	uint32_t shard = 0;
	size_t i;

	if (!room) /* the stages are the last places */
		return l->p->opts.drafts == DRAFTS_DROP ? (uint32_t)l->p->ckpt->config.L + 2
							: l->a->inv.places;
	for (i = 0; i < n && !(v[i].place & APART); i++) { /* those are the last */
		if (used && used + v[i].bytes > room) {
			shard++;
			used = 0;
		}
		used += v[i].bytes;
		v[i].place = shard;
	}
	return i ? shard + 1 : 0;
}

/* Opens the file of shard place, or of a table that lies apart. Returns its number in the plan, or -1. */
static long open_shard(struct layout *l, uint32_t place, uint32_t shards)
{
	char name[64];

	if (place & APART)
		snprintf(name, sizeof name, ENGRAM_FILE "%u.safetensors", place & ~APART);
	else
		snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", place + 1, shards);
	return layout_file(l, name);
}

static int lay_parcels(struct layout *l, const struct parcel *v, size_t n, uint32_t shards)
{
	struct step s[PART_COUNT];
	size_t i;
	long file = -1;
	int k, made;

	for (i = 0; i < n; i++) {
		if (i == 0 || v[i].place != v[i - 1].place) {
			file = open_shard(l, v[i].place, shards);
			if (file < 0)
				return -1;
		}
		made = parcel_steps(l, &v[i], s);
		for (k = 0; k < made; k++)
			if (layout_step(l, (size_t)file, &s[k]))
				return -1;
		if (made < 0)
			return -1;
	}
	return 0;
}

static int lay_shards(struct layout *l)
{
	static const struct plan_small index = { .name = CKPT_INDEX, .kind = SMALL_INDEX };
	struct parcel *v = NULL;
	size_t n = 0;
	int rc;

	rc = list_parcels(l, &v, &n);
	if (!rc)
		rc = lay_parcels(l, v, n, number_shards(l, v, n));
	free(v);
	rc = rc ? rc : layout_lay_records(l);
	return rc ? -1 : layout_small(l, &index);
}

static int lay_hf(struct layout *l)
{
	static const struct plan_small config = { .name = "config.json", .kind = SMALL_CONFIG };

	return lay_shards(l) || layout_small(l, &config) ? -1 : 0;
}

/* --- what dsv4-quant makes, as a folder like that --- */

static int lay_recipe(struct layout *l)
{
	const struct recipe_small *m;

	if (lay_shards(l))
		return -1;
	if (l->p->opts.imatrix && !l->weighted)
		return err_rule(l->e, RULE_PLAN_RECIPE, ERR_NOPOS,
			"--imatrix has the columns of no tensor that is rounded here: it is of another model, or of other tensors");
	for (m = l->p->recipe->smalls; m->name; m++)
		if (layout_small(l,
			    &(struct plan_small){
				    .name = m->name, .kind = SMALL_RECIPE, .made = m }))
			return -1;
	return 0;
}

/* --- source: what the way back needs besides the weights --- */

static int lay_source(struct layout *l)
{
	const struct ckpt *c = l->p->ckpt;
	struct plan_small s = { .kind = SMALL_HEADER };
	char name[300];
	size_t i;

	for (i = 0; i < c->n; i++)
		layout_fate(l, i, FATE_ELSEWHERE);
	for (i = 0; i < c->n_shards; i++) {
		snprintf(name, sizeof name, "%s" CKPT_HEADER, c->shards[i].name);
		s.name = arena_strndup(&l->p->arena, name, strlen(name));
		s.bytes = c->shards[i].data_at;
		s.shard = (uint32_t)i;
		if (!s.name)
			return err_nomem(l->e);
		if (layout_small(l, &s))
			return -1;
	}
	return 0;
}

static const char *const official_small[] = { "tokenizer.json", "tokenizer_config.json", NULL };
static const char *const hf_small[] = { "generation_config.json", "special_tokens_map.json",
	"tokenizer.json", "tokenizer_config.json", NULL };

const struct target targets[] = {
	{ "official", "one file per rank, as inference/convert.py of the model writes it",
		lay_official, official_small },
	{ "hf", "a Hugging Face folder: shards, index, config.json", lay_hf, hf_small },
	{ VLLM_TARGET,
		"files of each tensor-parallel rank for vLLM's --load-format sharded_state, not laid out",
		vllm_lay, hf_small },
	{ SGLANG_TARGET,
		"the folder that SGLang's --load-format presharded reads, experts laid out where they are FP4; wants --shard-config",
		vllm_lay, hf_small },
	{ NULL, NULL, NULL, NULL },
};

const struct target shards_target = { "shards", "a Hugging Face folder in another number format",
	lay_recipe, hf_small };

static const char *const source_small[] = { "config.json", "generation_config.json", CKPT_INDEX,
	"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", NULL };
const struct target source_target = { "source", "headers and small files of the source", lay_source,
	source_small };

const struct target *target_find(const char *name)
{
	const struct target *t;

	for (t = targets; t->name; t++)
		if (!strcmp(t->name, name))
			return t;
	if (!strcmp(name, source_target.name))
		return &source_target;
	if (!strcmp(name, restore_target.name))
		return &restore_target;
	if (!strcmp(name, slice_target.name))
		return &slice_target;
	if (recipe_find(name))
		return recipe_find(name)->container == CONTAINER_GGUF ? &gguf_target
								      : &shards_target;
	return engine_find(name) ? &engine_target : NULL;
}
