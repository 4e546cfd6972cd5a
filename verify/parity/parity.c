/* SPDX-License-Identifier: MIT */
#include "verify/parity/parity.h"

#include "formats/model/drafts.h"
#include "formats/model/sglang_name.h"
#include "quant/lib/dsv4.h"
#include "verify/parity/state.h"
#include "verify/parity/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- names --- */

/* What engines put in front of the name of a tensor. Source: docs/engines.md. */
static const char *const fronts[] = { "", "model.", "language_model.", "language_model.model." };
enum { FRONTS = sizeof fronts / sizeof *fronts, NAME = 1100 };

/* Parameters of a fused expert layer in vLLM and SGLang, and what they are in a conversion. */
static const struct {
	const char *engine, *ours;
} stacks[] = {
	{ "w13_weight", "w13.weight" },
	{ "w13_weight_scale", "w13.scale" },
	{ "w13_weight_scale_inv", "w13.scale" },
	{ "w2_weight", "w2.weight" },
	{ "w2_weight_scale", "w2.scale" },
	{ "w2_weight_scale_inv", "w2.scale" },
};

/* "layers.3.mlp.experts.w13_weight" and its like. */
static bool stack_name(const char *name, char *to, size_t room)
{
	static const char *const middles[] = { ".ffn.experts.routed_experts.", ".ffn.experts.",
		".mlp.experts.routed_experts.", ".mlp.experts." };
	const char *at = NULL;
	size_t i, stem = 0;

	for (i = 0; !at && i < sizeof middles / sizeof *middles; i++) {
		at = strstr(name, middles[i]);
		stem = at ? (size_t)(at - name) : 0;
		at = at ? at + strlen(middles[i]) : NULL;
	}
	for (i = 0; at && i < sizeof stacks / sizeof *stacks; i++)
		if (!strcmp(at, stacks[i].engine))
			return snprintf(to, room, "%.*s.ffn.experts.%s", (int)stem, name,
				       stacks[i].ours) < (int)room;
	return false;
}

bool parity_name(const char *name, unsigned tries, char *to, size_t room)
{
	size_t n;

	for (; tries < 2 * FRONTS; tries = 2 * FRONTS) {
		n = strlen(fronts[tries / 2]);
		if (strncmp(name, fronts[tries / 2], n) != 0)
			*to = 0;
		else if (tries % 2 == 0)
			snprintf(to, room, "%s", name + n);
		else if (!stack_name(name + n, to, room))
			*to = 0;
		return true;
	}
	return false;
}

/* --- comparing --- */

struct parity {
	struct report *r;
	const struct dsv4 *d;
	const struct state *s;
	bool *met;         /* owns; [tensors] the engine has it */
	size_t *by_digest; /* owns; [tensors] */
	uint64_t compared; /* tensors that are equal, or had to be */
};

static size_t find(const struct parity *p, const char *name)
{
	size_t i = DSV4_NONE;
	char ours[NAME];
	unsigned k;

	for (k = 0; i == DSV4_NONE && parity_name(name, k, ours, sizeof ours); k++)
		i = *ours ? dsv4_find(p->d, 0, ours) : DSV4_NONE;
	return i;
}

struct by_digest {
	const struct dsv4 *d;
	size_t i;
};

static int by_digest(const void *a, const void *b)
{
	const struct by_digest *x = a, *y = b;
	int order =
		memcmp(dsv4_tensor(x->d, x->i)->xxh3_128, dsv4_tensor(y->d, y->i)->xxh3_128, 16);

	return order ? order : (x->i > y->i) - (x->i < y->i);
}

static int sort_digests(struct parity *p, struct err *e)
{
	size_t n = dsv4_info(p->d)->tensors, i;
	struct by_digest *v = malloc((n + 1) * sizeof *v);

	p->met = calloc(n + 1, sizeof *p->met);
	p->by_digest = malloc((n + 1) * sizeof *p->by_digest);
	if (!v || !p->met || !p->by_digest) {
		free(v);
		return err_nomem(e);
	}
	for (i = 0; i < n; i++)
		v[i] = (struct by_digest){ p->d, i };
	qsort(v, n, sizeof *v, by_digest);
	for (i = 0; i < n; i++)
		p->by_digest[i] = v[i].i;
	free(v);
	return 0;
}

/* A tensor of the conversion that has these bytes; NULL: none has. */
static const struct dsv4_tensor *with_bytes(const struct parity *p, const struct xxh_digest *x)
{
	size_t low = 0, high = dsv4_info(p->d)->tensors, mid;
	const struct dsv4_tensor *t;

	while (low < high) {
		mid = low + (high - low) / 2;
		t = dsv4_tensor(p->d, p->by_digest[mid]);
		if (memcmp(t->xxh3_128, x->b, 16) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	t = low < dsv4_info(p->d)->tensors ? dsv4_tensor(p->d, p->by_digest[low]) : NULL;
	return t && !memcmp(t->xxh3_128, x->b, 16) ? t : NULL;
}

/* "I32 [4,16,512]" */
static const char *form(char *s, size_t room, const char *dtype, const uint64_t *dim, uint32_t rank)
{
	size_t n = (size_t)snprintf(s, room, "%.40s [", dtype);
	uint32_t i;

	for (i = 0; i < rank && n < room; i++)
		n += (size_t)snprintf(s + n, room - n, "%s%llu", i ? "," : "",
			(unsigned long long)dim[i]);
	if (n < room)
		snprintf(s + n, room - n, "]");
	return s;
}

static void count(struct parity *p, const char *what, uint64_t bytes)
{
	report_count(p->r, "compared", what, 1, bytes);
}

/* Types of a byte that codes and scales have in one place or another: of a stack they say nothing that its layout does not. */
static bool is_byte(const char *dtype)
{
	static const char *const bytes[] = { "I8", "U8", "F8_E8M0", "F8_E4M3" };
	size_t i;

	for (i = 0; i < sizeof bytes / sizeof *bytes; i++)
		if (!strcmp(dtype, bytes[i]))
			return true;
	return false;
}

/* True if the engine's tensor has the type of t, or of a stack one that stands for it; *renamed: the latter. */
static bool same_type(const struct dsv4_tensor *t, const struct state_tensor *u, bool *renamed)
{
	bool same = !strcmp(t->dtype, u->dtype);

	*renamed = !same && t->stack && is_byte(t->dtype) && is_byte(u->dtype);
	return same || *renamed;
}

/* Tensors that are laid out, or of targets with an engine's own names, are in the engine as they lie here. All others go
 * through the engine's own loader, which gives them names and forms of its own. */
static bool as_it_lies(const struct parity *p, const struct dsv4_tensor *t)
{
	const char *target = dsv4_info(p->d)->target;

	return t->stack ||
		(rank_target(target) &&
			strcmp(dsv4_file(p->d, t->file)->name, rank_kept_file(target)) != 0);
}

/* What is wrong with a tensor that is in the engine as it lies here. */
static void look_at_laid(struct parity *p, const struct dsv4_tensor *t,
	const struct state_tensor *u, bool same_form, bool same_bytes)
{
	struct report_place at = { dsv4_file(p->d, t->file)->name, t->offset, t->offset + t->bytes,
		&t->name, 1 };
	const struct dsv4_tensor *other = with_bytes(p, &u->xxh);
	char ours[240], theirs[240];

	if (!same_form)
		report_add(p->r, RULE_PARITY_FORM, &at, "it is %s, the engine holds %s%s as %s",
			form(ours, sizeof ours, t->dtype, t->shape, t->rank),
			form(theirs, sizeof theirs, text_quote(u->dtype).s, u->memory, u->rank),
			u->dense ? "" : ", with gaps,", text_quote(u->name).s);
	if (!same_bytes)
		report_add(p->r, RULE_PARITY_BYTES, &at, "the engine holds other bytes as %s%s%s%s",
			text_quote(u->name).s, other ? ": those of tensor " : "",
			other ? text_quote(other->name).s : "",
			t->bytes == u->bytes ? "" : ", and another number of them");
}

/* The same of one that the engine's own loader has placed, perhaps in part, or changed: it makes nothing false. */
static void look_at_own(struct parity *p, const struct dsv4_tensor *t, const struct state_tensor *u,
	bool same_form)
{
	struct report_place at = { dsv4_file(p->d, t->file)->name, t->offset, t->offset + t->bytes,
		&t->name, 1 };

	if (same_form)
		report_add(p->r, RULE_PARITY_OWN, &at,
			"the engine's own loader holds other bytes as %s", text_quote(u->name).s);
	count(p,
		same_form ? "changed by the engine's own loader"
			  : "cut or converted by the engine's own loader, not compared",
		t->bytes);
}

static void look_at(struct parity *p, const struct dsv4_tensor *t, const struct state_tensor *u)
{
	bool renamed,
		same_form = same_type(t, u, &renamed) && t->rank == u->rank && u->dense &&
		(!t->rank || !memcmp(t->shape, u->memory, t->rank * sizeof *t->shape));
	bool same_bytes = t->bytes == u->bytes && !memcmp(t->xxh3_128, u->xxh.b, 16);

	p->compared += as_it_lies(p, t) || (same_form && same_bytes);
	if (same_form && same_bytes) {
		count(p, renamed ? "equal, declared as another type of a byte" : "equal", t->bytes);
		return;
	}
	if (!as_it_lies(p, t)) {
		look_at_own(p, t, u, same_form);
		return;
	}
	look_at_laid(p, t, u, same_form, same_bytes);
	count(p, "different", t->bytes);
}

/* Tensors of the engine that the conversion lacks: buffers of its own, or what it makes of others. */
static void look_at_extra(struct parity *p, const struct state_tensor *u)
{
	const struct dsv4_tensor *t = with_bytes(p, &u->xxh);

	if (t)
		report_add(p->r, RULE_PARITY_EXTRA, NULL,
			"the engine holds %s, which has the bytes of tensor %s and another name",
			text_quote(u->name).s, text_quote(t->name).s);
	count(p, "only in the engine", u->bytes);
}

/* Drafts are a model of their own in an engine, with a state of their own. */
static bool must_be_there(const struct parity *p, const struct dsv4_tensor *t)
{
	return as_it_lies(p, t) && !drafts_own(t->name);
}

static void look_at_rest(struct parity *p)
{
	const struct dsv4_tensor *t;
	size_t i;

	for (i = 0; (t = dsv4_tensor(p->d, i)); i++) {
		struct report_place at = { dsv4_file(p->d, t->file)->name, t->offset,
			t->offset + t->bytes, &t->name, 1 };

		if (p->met[i])
			continue;
		if (must_be_there(p, t))
			report_add(p->r, RULE_PARITY_MISSING, &at,
				"the engine holds no tensor that this could be");
		count(p,
			must_be_there(p, t) ? "not in the engine"
					    : "not under its name in the engine, not compared",
			t->bytes);
	}
}

static int compare(struct parity *p, struct err *e)
{
	size_t i, k;

	if (sort_digests(p, e))
		return -1;
	for (k = 0; k < p->s->n; k++) {
		i = find(p, p->s->v[k].name);
		if (i == DSV4_NONE) {
			look_at_extra(p, &p->s->v[k]);
			continue;
		}
		p->met[i] = true;
		look_at(p, dsv4_tensor(p->d, i), &p->s->v[k]);
	}
	look_at_rest(p);
	if (!p->compared)
		report_add(p->r, RULE_PARITY_NONE, NULL,
			"none of the %zu tensors of the engine is one of the %zu of the conversion",
			p->s->n, dsv4_info(p->d)->tensors);
	return 0;
}

/* --- the two sides --- */

/* Opens the rank that the state is of. */
static int open_rank(struct dsv4 **d, const char *out, const struct state *s, struct err *e)
{
	struct dsv4_open_options o = { .size = sizeof o,
		.rank = s->rank,
		.ranks = s->ranks,
		.stage = s->stage,
		.stages = s->stages,
		.target = s->target[0] ? s->target : NULL };
	struct dsv4_error why;

	if (dsv4_open(d, out, &o, &why))
		return tensors_failed(e, &why);
	if (dsv4_info(*d)->folders == 1)
		return 0;
	err_rule(e, RULE_CHECK_RANK, ERR_NOPOS,
		"%s has %u folders, and the state does not say of which rank it is: name the folder of "
		"the rank",
		text_quote(out).s, dsv4_info(*d)->folders);
	dsv4_close(*d);
	return -1;
}

static void say_who(struct report *r, const struct state *s)
{
	char text[160];

	snprintf(text, sizeof text, "%s %s", s->engine, s->version);
	if (s->engine[0])
		report_row(r, "lineage", "engine", 0, 0, text_quote(text).s);
}

int parity_run(struct report *r, const char *out, const char *path, struct err *e)
{
	struct state s;
	struct dsv4 *d;
	struct parity p = { .r = r };
	int rc;

	if (state_read(&s, io_posix(), path, e))
		return -1;
	rc = open_rank(&d, out, &s, e);
	if (!rc) {
		say_who(r, &s);
		p.d = d;
		p.s = &s;
		rc = compare(&p, e);
		dsv4_close(d);
	}
	free(p.met);
	free(p.by_digest);
	state_free(&s);
	return rc;
}
