/* SPDX-License-Identifier: MIT */
#include "formats/model/audit.h"

#include "core/text.h"
#include "formats/model/family.h"
#include "formats/model/misfit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct auditor {
	struct audit *a;
	struct findings *f;
	struct err *e;
};

/* The name of the other one of X.weight and X.scale; false if name is neither. */
static bool partner_name(const char *name, char *out, size_t room)
{
	size_t n = strlen(name);

	if (text_ends(name, ".weight"))
		return snprintf(out, room, "%.*s.scale", (int)(n - 7), name) < (int)room;
	if (text_ends(name, ".scale"))
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

/* What the first expert that is there looks like, by its type and, where that is I8, by its columns: an I8 of as many
 * columns as FP8 would have is no packed FP4. CODEC_NONE: there is none, or its form is one that a cause names. */
static enum codec seen_form(const struct ckpt *c)
{
	const struct config *m = &c->config;
	char name[64];
	const struct tensor *t = NULL;
	uint64_t i;

	for (i = 0; !t && i < m->L + m->stages; i++) {
		snprintf(name, sizeof name, "%s.%u.ffn.experts.0.w1.weight",
			i < m->L ? "layers" : "mtp", (unsigned)(i < m->L ? i : i - m->L));
		t = ckpt_find(c, name);
	}
	if (!t || t->rank != 2)
		return CODEC_NONE;
	if (t->dtype == DT_F8_E4M3)
		return 2 * t->dim[1] == m->D ? CODEC_NONE : CODEC_FP8;
	if (t->dtype == DT_I8 || t->dtype == DT_U8)
		return t->dim[1] == m->D ? CODEC_NONE : CODEC_MXFP4;
	return t->dtype == DT_F4 ? CODEC_MXFP4 : CODEC_NONE;
}

static int settle_form(struct auditor *u, enum codec assume)
{
	const struct config *c = &u->a->ckpt->config;
	enum codec seen = seen_form(u->a->ckpt), said = c->experts;
	const char *name = codec_expert(seen);
	int rc = 0;

	if (said == CODEC_NONE)
		said = assume;
	u->a->experts = seen == CODEC_NONE ? (said == CODEC_NONE ? CODEC_MXFP4 : said) : seen;
	if (seen == CODEC_NONE)
		return 0;
	if (said == CODEC_NONE)
		rc = finding_add(u->f, RULE_CONFIG_EXPERT_DTYPE_MISSING, "config.json",
			"config.json: \"expert_dtype\" is missing; the tensors are %s (add it, or say "
			"--assume-experts %s)",
			name, name);
	else if (said != seen)
		rc = finding_add(u->f, RULE_CONFIG_EXPERT_DTYPE_WRONG, "config.json",
			"config.json: \"expert_dtype\" says %s, the tensors are %s",
			codec_expert(said), name);
	return rc ? err_nomem(u->e) : 0;
}

/* Scales are E8M0 bytes in the checkpoints that are used for inference, FP32 powers of two in -Base; the first
 * scale of that name tells. No form with blocks of another size has FP32 ones. */
static enum codec seen_fp8(const struct ckpt *c, const char *inside, const char *end)
{
	enum codec dense = c->config.family->dense;
	size_t i;

	for (i = 0; dense == CODEC_FP8 && i < c->n; i++)
		if (strstr(c->tensors[i].name, inside) && text_ends(c->tensors[i].name, end))
			return c->tensors[i].dtype == DT_F32 ? CODEC_FP8_F32 : dense;
	return dense;
}

static struct model_forms seen_forms(const struct audit *a)
{
	return (struct model_forms){ .dense = seen_fp8(a->ckpt, "", ".attn.wq_a.scale"),
		.experts = a->experts == CODEC_MXFP4
			? CODEC_MXFP4
			: seen_fp8(a->ckpt, ".ffn.experts.", ".w1.scale") };
}

int audit_make(struct audit *a, const struct ckpt *c, enum codec assume, struct findings *f,
	struct err *e)
{
	struct auditor u = { .a = a, .f = f, .e = e };
	struct misfits m;
	bool all_read = true;
	size_t i, k;

	memset(a, 0, sizeof *a);
	a->ckpt = c;
	if (!c->config.family)
		return 0;
	for (i = 0; i < c->n_shards; i++)
		all_read = all_read && c->shards[i].fd >= 0;
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
	for (i = 0, k = 0; i < c->n; i++) { /* both are sorted by name */
		while (k < a->inv.n && strcmp(a->inv.wants[k].name, c->tensors[i].name) < 0)
			k++;
		if (k < a->inv.n && !strcmp(a->inv.wants[k].name, c->tensors[i].name))
			a->want[i] = &a->inv.wants[k];
	}
	m = (struct misfits){ .c = c,
		.inv = &a->inv,
		.want = a->want,
		.forms = a->forms,
		.all_read = all_read,
		.f = f,
		.e = e };
	if (misfits_report(&m)) {
		audit_free(a);
		return -1;
	}
	a->wrong = m.total;
	return 0;
}

void audit_free(struct audit *a)
{
	inventory_free(&a->inv);
	free(a->want);
	memset(a, 0, sizeof *a);
}
