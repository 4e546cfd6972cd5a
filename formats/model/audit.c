/* SPDX-License-Identifier: MIT */
#include "formats/model/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct auditor {
	struct audit *a;
	struct findings *f;
	bool all_read; /* every shard could be read: what is absent is missing */
	size_t optional, optional_there;
	struct err *e;
};

static int find(struct auditor *u, enum rule_id rule, const struct tensor *t, const char *fmt_name,
	const char *what)
{
	const char *file = t ? u->a->ckpt->shards[t->shard].name : "config.json";

	if (finding_add(u->f, rule, file, "%s: tensor %s%s", file, text_quote(fmt_name).s, what))
		return err_nomem(u->e);
	return 0;
}

/* "[2048,4096] F8_E4M3" */
static void describe(char *s, size_t room, enum dtype d, const uint64_t *dim, unsigned rank)
{
	size_t n = 0;
	unsigned i;

	for (i = 0; i < rank; i++)
		n += (size_t)snprintf(s + n, room - n, "%c%llu", i ? ',' : '[',
			(unsigned long long)dim[i]);
	snprintf(s + n, room - n, "%s %s", rank ? "]" : "[]", dtypes[d].name);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* The name of the other one of X.weight and X.scale; false if name is neither. */
static bool partner_name(const char *name, char *out, size_t room)
{
	size_t n = strlen(name);

	if (ends_with(name, ".weight"))
		return snprintf(out, room, "%.*s.scale", (int)(n - 7), name) < (int)room;
	if (ends_with(name, ".scale"))
		return snprintf(out, room, "%.*s.weight", (int)(n - 6), name) < (int)room;
	return false;
}

long audit_partner(const struct audit *a, size_t i)
{
	char name[ST_NAME_MAX + 8];
	const struct tensor *t;

	if (!partner_name(a->ckpt->tensors[i].name, name, sizeof name))
		return -1;
	t = ckpt_find(a->ckpt, name);
	return t ? (long)(t - a->ckpt->tensors) : -1;
}

/* What the first expert that is there looks like. */
static enum expert_form seen_form(const struct ckpt *c)
{
	char name[64];
	const struct tensor *t;
	uint64_t i;

	for (i = 0; i < c->config.L + c->config.stages; i++) {
		if (i < c->config.L)
			snprintf(name, sizeof name, "layers.%u.ffn.experts.0.w1.weight",
				(unsigned)i);
		else
			snprintf(name, sizeof name, "mtp.%u.ffn.experts.0.w1.weight",
				(unsigned)(i - c->config.L));
		t = ckpt_find(c, name);
		if (t)
			return t->dtype == DT_F8_E4M3 ? EXPERT_FP8 : EXPERT_FP4;
	}
	return EXPERT_UNSAID;
}

static int settle_form(struct auditor *u, enum expert_form assume)
{
	const struct config *c = &u->a->ckpt->config;
	enum expert_form seen = seen_form(u->a->ckpt), said = c->experts;
	const char *name = expert_form_name(seen);
	int rc = 0;

	if (said == EXPERT_UNSAID)
		said = assume;
	u->a->experts = seen == EXPERT_UNSAID ? (said == EXPERT_UNSAID ? EXPERT_FP4 : said) : seen;
	if (seen == EXPERT_UNSAID)
		return 0; /* no expert at all: their absence will be reported */
	if (said == EXPERT_UNSAID)
		rc = finding_add(u->f, RULE_CONFIG_EXPERT_DTYPE_MISSING, "config.json",
			"config.json: \"expert_dtype\" is missing; the tensors are %s (add it, or say "
			"--assume-experts %s)",
			name, name);
	else if (said != seen)
		rc = finding_add(u->f, RULE_CONFIG_EXPERT_DTYPE_WRONG, "config.json",
			"config.json: \"expert_dtype\" says %s, the tensors are %s",
			expert_form_name(said), name);
	return rc ? err_nomem(u->e) : 0;
}

/* Scales are E8M0 bytes in the checkpoints that are used for inference, FP32 powers of two in -Base; the first
 * scale of that name tells. */
static enum codec seen_fp8(const struct ckpt *c, const char *inside, const char *end)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strstr(c->tensors[i].name, inside) && ends_with(c->tensors[i].name, end))
			return c->tensors[i].dtype == DT_F32 ? CODEC_FP8_F32 : CODEC_FP8;
	return CODEC_FP8;
}

static struct model_forms seen_forms(const struct audit *a)
{
	return (struct model_forms){ .dense = seen_fp8(a->ckpt, "", ".attn.wq_a.scale"),
		.experts = a->experts == EXPERT_FP4
			? CODEC_MXFP4
			: seen_fp8(a->ckpt, ".ffn.experts.", ".w1.scale") };
}

static int check_unexpected(struct auditor *u, const struct tensor *t)
{
	char partner[ST_NAME_MAX + 8];

	if (ends_with(t->name, ".scale") && partner_name(t->name, partner, sizeof partner) &&
		!ckpt_find(u->a->ckpt, partner))
		return find(u, RULE_MODEL_SCALE_ORPHAN, t, t->name,
			" is a scale without its weight");
	return find(u, RULE_MODEL_UNEXPECTED, t, t->name,
		" is not part of the model that config.json describes");
}

static int check_missing(struct auditor *u, const struct want *w)
{
	if (!u->all_read)
		return 0;
	if (w->scale)
		return find(u, RULE_MODEL_SCALE_MISSING, NULL, w->name,
			" is missing: a weight without its scale");
	return find(u, RULE_MODEL_MISSING, NULL, w->name, " is missing");
}

static int check_form(struct auditor *u, const struct tensor *t, const struct want *w)
{
	char is[128], said[128], what[320];
	unsigned i;
	bool same = t->rank == w->rank;

	for (i = 0; same && i < t->rank; i++)
		same = t->dim[i] == w->dim[i];
	if (same && t->dtype == w->dtype)
		return 0;
	describe(is, sizeof is, t->dtype, t->dim, t->rank);
	describe(said, sizeof said, w->dtype, w->dim, w->rank);
	snprintf(what, sizeof what, " is %s, expected %s", is, said);
	if (w->scale)
		return find(u, RULE_MODEL_SCALE_FORM, t, t->name, what);
	return find(u, same ? RULE_MODEL_DTYPE : RULE_MODEL_SHAPE, t, t->name, what);
}

/* Walks what is expected and what is there, both sorted by name, side by side. */
static int compare(struct auditor *u)
{
	const struct ckpt *c = u->a->ckpt;
	const struct inventory *v = &u->a->inv;
	size_t i = 0, k = 0;
	int d, rc = 0;

	while (!rc && (i < v->n || k < c->n)) {
		d = i == v->n ? 1 : k == c->n ? -1 : strcmp(v->wants[i].name, c->tensors[k].name);
		if (d <= 0) {
			u->optional += v->wants[i].optional;
			u->optional_there += v->wants[i].optional && !d;
		}
		if (d == 0) {
			u->a->want[k] = &v->wants[i];
			rc = check_form(u, &c->tensors[k], &v->wants[i]);
		} else if (d > 0) {
			rc = check_unexpected(u, &c->tensors[k]);
		} else if (!v->wants[i].optional) {
			rc = check_missing(u, &v->wants[i]);
		}
		i += d <= 0;
		k += d >= 0;
	}
	return rc;
}

/* Of the optional tensors all are there or none. */
static int check_optional(struct auditor *u)
{
	const struct inventory *v = &u->a->inv;
	size_t i;

	if (!u->optional_there || u->optional_there == u->optional)
		return 0;
	for (i = 0; i < v->n; i++)
		if (v->wants[i].optional && !ckpt_find(u->a->ckpt, v->wants[i].name) &&
			check_missing(u, &v->wants[i]))
			return -1;
	return 0;
}

int audit_make(struct audit *a, const struct ckpt *c, enum expert_form assume, struct findings *f,
	struct err *e)
{
	struct auditor u = { .a = a, .f = f, .all_read = true, .e = e };
	size_t i;

	memset(a, 0, sizeof *a);
	a->ckpt = c;
	if (!c->config.usable)
		return 0;
	for (i = 0; i < c->n_shards; i++)
		u.all_read = u.all_read && c->shards[i].fd >= 0;
	if (settle_form(&u, assume))
		return -1;
	a->forms = seen_forms(a);
	if (inventory_make(&a->inv, &c->config, a->forms, e))
		return e->kind == ERR_SYSTEM ? -1 : finding_take(f, "config.json", e);
	a->want = calloc(c->n + 1, sizeof(*a->want));
	if (!a->want) {
		audit_free(a);
		return err_nomem(e);
	}
	if (compare(&u) || check_optional(&u)) {
		audit_free(a);
		return -1;
	}
	return 0;
}

void audit_free(struct audit *a)
{
	inventory_free(&a->inv);
	free(a->want);
	memset(a, 0, sizeof *a);
}
