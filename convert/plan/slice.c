/* slice.c -- the plan of a small checkpoint with the weights of a big one: some of its layers, and of
 * each the first so many routed experts.
 *
 * It stays a valid model: layers are numbered anew, the router has the rows of the experts that are kept,
 * the table from token ids to experts names only those (an id that is gone becomes the next free one,
 * counting from the id modulo their number, so that a token's experts stay different), and config.json
 * says all of it. Embedding, head and norms stay as they are.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"
#include "core/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What becomes of the blocks of the source. */
struct cut {
	uint64_t layers, stages, n_hash;
	uint64_t keep;   /* experts */
	uint32_t *place; /* owns; [places]: which shard, from 0; NONE if it is dropped */
	uint32_t places;
};
#define NONE UINT32_MAX

static int refuse(struct layout *l, const char *why)
{
	return err_rule(l->e, RULE_PLAN_SLICE, ERR_NOPOS, "%s", why);
}

/* Counts, and numbers what stays. Embedding and head always do. */
static int make_cut(struct layout *l, struct cut *k)
{
	const struct config *c = &l->p->ckpt->config;
	uint32_t p, head = (uint32_t)c->L + 1;

	k->place = malloc((l->a->inv.places + 1) * sizeof *k->place);
	if (!k->place)
		return err_nomem(l->e);
	for (p = 0; p < l->a->inv.places; p++) {
		k->place[p] = NONE;
		if (p != 0 && p != head && !l->selected[p])
			continue;
		k->place[p] = k->places++;
		k->layers += p > 0 && p < head;
		k->n_hash += p > 0 && p <= c->n_hash;
		k->stages += p > head;
	}
	k->keep = l->p->opts.keep ? l->p->opts.keep : c->E;
	if (!k->layers)
		return refuse(l, "--layers names no layer: a model has one at least");
	if (k->keep > c->E || k->keep < c->K)
		return err_rule(l->e, RULE_PLAN_SLICE, ERR_NOPOS,
			"--experts %llu: there are %llu, and a token goes to %llu of them",
			(unsigned long long)k->keep, (unsigned long long)c->E,
			(unsigned long long)c->K);
	if (k->stages && k->stages != c->stages)
		return refuse(l, "--layers: of the stages under mtp. all or none can stay");
	if (k->stages && c->spark)
		return refuse(l,
			"--layers: a DSpark drafter reads layers by their old numbers; leave mtp out");
	return 0;
}

/* --- tensors --- */

static int rename_tensor(struct layout *l, const struct want *w, const struct cut *k,
	struct step *s)
{
	char name[ST_NAME_MAX + 1];
	const char *rest;

	if (w->layer < 0)
		return 0;
	rest = strchr(s->out.name + strlen("layers."), '.');
	snprintf(name, sizeof name, "layers.%u%s", k->place[w->place] - 1, rest);
	s->out.name = arena_strndup(&l->p->arena, name, strlen(name));
	return s->out.name ? 0 : err_nomem(l->e);
}

/* The router: of E experts, the first so many. */
static int cut_router(struct layout *l, const struct want *w, const struct cut *k, struct step *s)
{
	const struct role *r = w->role;
	uint64_t *dim;

	if (k->keep == l->p->ckpt->config.E)
		return 0;
	if (!strcmp(r->name, "ffn.gate.tid2eid")) {
		s->op = OP_REMAP;
		s->as.remap = (struct step_remap){ s->as.copy.src, k->keep };
		return 0;
	}
	if (strcmp(r->shape, "E,D") != 0 && strcmp(r->shape, "E") != 0)
		return 0;
	dim = layout_alloc(l, 2 * sizeof *dim);
	if (!dim)
		return -1;
	memcpy(dim, s->out.dim, s->out.rank * sizeof *dim);
	dim[0] = k->keep;
	s->op = OP_ROWS;
	s->take.rows = k->keep;
	s->out.dim = dim;
	return 0;
}

static int lay_tensor(struct layout *l, size_t i, const struct cut *k, const long *file)
{
	const struct want *w = l->a->want[i];
	struct step s;

	if (k->place[w->place] == NONE || (w->expert >= 0 && (uint64_t)w->expert >= k->keep)) {
		layout_fate(l, i, FATE_UNSELECTED);
		return 0;
	}
	if (layout_whole(l, i, &s) || rename_tensor(l, w, k, &s) || cut_router(l, w, k, &s))
		return -1;
	layout_fate(l, i, s.op == OP_COPY ? FATE_COPY : FATE_SPLIT);
	return layout_step(l, (size_t)file[k->place[w->place]], &s);
}

/* --- config.json --- */

static int set(json_t *o, const char *key, uint64_t v)
{
	return json_object_set_new(o, key, json_integer((json_int_t)v));
}

static int edit_config(const struct layout *l, const struct cut *k, json_t *o)
{
	static const char prefix[] = "dspark_";
	const json_t *was = json_object_get(o, "compress_ratios");
	json_t *now = json_array();
	const char *key;
	void *tmp;
	json_t *v;
	uint32_t p, head = (uint32_t)l->p->ckpt->config.L + 1;
	int rc = now ? 0 : -1;

	for (p = 1; !rc && p < l->a->inv.places; p++)
		if (p != head && k->place[p] != NONE)
			rc = json_array_append(now, json_array_get(was, p < head ? p - 1 : p - 2));
	rc = rc ? rc : json_object_set(o, "compress_ratios", now);
	json_decref(now);
	if (rc || set(o, "num_hidden_layers", k->layers) || set(o, "num_hash_layers", k->n_hash) ||
		set(o, "n_routed_experts", k->keep) ||
		set(o, "num_nextn_predict_layers", k->stages))
		return -1;
	json_object_foreach_safe(o, tmp, key, v) if (!strncmp(key, prefix, sizeof prefix - 1))
		json_object_del(o, key);
	return 0;
}

static int make_config(struct layout *l, const struct cut *k)
{
	struct plan_small s = { .name = "config.json", .kind = SMALL_TEXT };
	json_t *o = json_deep_copy(l->p->ckpt->doc.o);
	char *text = NULL;

	if (o && !edit_config(l, k, o))
		text = json_dumps(o,
			JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
	json_decref(o);
	if (!text)
		return err_nomem(l->e);
	s.bytes = strlen(text) + 1;
	s.text = arena_strndup(&l->p->arena, text, strlen(text) + 1);
	free(text);
	if (!s.text)
		return err_nomem(l->e);
	((char *)(uintptr_t)s.text)[s.bytes - 1] = '\n';
	return layout_small(l, &s);
}

/* --- */

static int lay_all(struct layout *l, const struct cut *k, long *file)
{
	static const struct plan_small index = { .name = CKPT_INDEX, .kind = SMALL_INDEX };
	char name[64];
	uint32_t p;
	size_t i;

	for (p = 0; p < k->places; p++) {
		snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", p + 1, k->places);
		file[p] = layout_file(l, name);
		if (file[p] < 0)
			return -1;
	}
	for (i = 0; i < l->p->ckpt->n; i++)
		if (lay_tensor(l, i, k, file))
			return -1;
	return make_config(l, k) || layout_small(l, &index) ? -1 : 0;
}

static int lay_slice(struct layout *l)
{
	struct cut k = { 0 };
	long *file = NULL;
	int rc = make_cut(l, &k);

	if (!rc) {
		file = malloc((k.places + 1) * sizeof *file);
		rc = file ? lay_all(l, &k, file) : err_nomem(l->e);
	}
	free(file);
	free(k.place);
	return rc;
}

static const char *const small[] = { "generation_config.json", "special_tokens_map.json",
	"tokenizer.json", "tokenizer_config.json", NULL };
const struct target slice_target = { "slice", "a small checkpoint with the same weights", lay_slice,
	small };
