/* SPDX-License-Identifier: MIT */
#include "verify/doctor/values.h"

#include "core/text.h"
#include "verify/doctor/scan.h"
#include "verify/doctor/suspect.h"

#include <stdio.h>
#include <string.h>

/* What a tensor that is no part of a quantized matrix holds; false: nothing that a scan knows. */
static bool plain_class(const struct values *v, const struct tensor *x, struct scan_item *t)
{
	const struct config *c = v->f ? &v->f->config : &v->c->config;

	switch (x->dtype) {
	case DT_F32:
		t->holds = SCAN_F32;
		return true;
	case DT_BF16:
		t->holds = SCAN_BF16;
		return true;
	case DT_I64:
		t->holds = SCAN_IDS;
		t->width = x->rank == 2 ? x->dim[1] : 0;
		t->limit = c->E ? c->E : UINT64_MAX;
		return t->width && t->width <= 1024 && text_ends(x->name, "tid2eid");
	default:
		return false;
	}
}

/* What tensor x of a checkpoint holds. */
static bool class_of(const struct values *v, const struct tensor *x, struct scan_item *t)
{
	bool scale = text_ends(x->name, ".scale");
	const struct tensor *w;
	char name[ST_NAME_MAX + 8];

	snprintf(name, sizeof name, "%.*s.weight", (int)(strlen(x->name) - (scale ? 6 : 0)),
		x->name);
	w = ckpt_find(v->c, name);
	switch (x->dtype) {
	case DT_F8_E8M0:
		t->holds = SCAN_E8M0;
		t->width = w && (w->dtype == DT_I8 || w->dtype == DT_F4) && x->rank == 2 ? x->dim[1]
											 : 0;
		return true;
	case DT_F8_E4M3:
		t->holds = SCAN_FP8;
		return true;
	case DT_I8:
	case DT_F4:
		t->holds = SCAN_FP4;
		return true;
	case DT_F32:
		/* a gain such as attn_hc.scale, as some tools name it, is a number like any other */
		t->holds = scale && w ? SCAN_F32_SCALE : SCAN_F32;
		return true;
	default:
		return plain_class(v, x, t);
	}
}

/* What tensor x of a model in other number formats holds, by the format of the matrix that it is part of: of itself the
 * type of a tensor does not say it. Factors are judged by formed.h. */
static bool formed_class(const struct values *v, const struct tensor *x, struct scan_item *t)
{
	static const uint8_t scales[] = { [SCALE_E8M0] = SCAN_E8M0,
		[SCALE_E4M3] = SCAN_E4M3_SCALE,
		[SCALE_F32] = SCAN_F32_SCALE,
		[SCALE_BF16] = SCAN_BF16 };
	const char *end = strrchr(x->name, '.');
	enum codec c = formed_part(v->f, x->name);

	if (c == CODEC_NONE || !end)
		return plain_class(v, x, t);
	if (!strcmp(end + 1, codecs[c].codes)) {
		if (codecs[c].bits > 8)
			return plain_class(v, x, t);
		/* no whole number is NaN, as no FP4 is */
		t->holds = codecs[c].code == DT_F8_E4M3 ? SCAN_FP8 : SCAN_FP4;
		return true;
	}
	if (!codecs[c].scales || strcmp(end + 1, codecs[c].scales) != 0)
		return false;
	t->holds = (enum scan_class)scales[codecs[c].meant];
	return true;
}

static int list_items(const struct values *v, struct scan *s, struct err *e)
{
	const struct ckpt_payload *y = v->c->payload;
	struct report_place at = { 0 };
	size_t i, lost = 0;

	for (i = 0; i < v->c->n; i++) {
		const struct tensor *x = &v->c->tensors[i];
		const struct shard *f = &v->c->shards[x->shard];
		struct scan_item t = { .file = f->name,
			.name = x->name,
			.fd = y ? -1 : f->fd,
			.tensor = (uint32_t)i,
			.at = y ? (uint64_t)i : f->data_at + x->begin,
			.bytes = x->end - x->begin };

		if (y && !y->has(y->ctx, t.tensor)) {
			lost++;
			continue;
		}
		if ((!y && f->fd < 0) || !t.bytes ||
			!(v->f ? formed_class(v, x, &t) : class_of(v, x, &t)))
			continue;
		if (scan_add(s, &t, e))
			return -1;
	}
	if (lost)
		report_add(v->r, RULE_SET_INCOMPLETE, &at,
			"%zu tensors are not whole in the folders that are there (missing: %s)",
			lost, y->missing(y->ctx) ? text_quote(y->missing(y->ctx)).s : "nothing");
	return 0;
}

int values_look(const struct values *v, struct err *e)
{
	struct scan s = { .io = v->o->io,
		.payload = v->c->payload,
		.full = v->o->full,
		.spread = v->who && v->who->casts,
		.e_min = v->who ? v->who->e_min : 0,
		.e_max = v->who ? v->who->e_max : 254,
		.threads = v->o->threads };
	struct suspect_opts so = { .engine = v->who ? v->who->name : NULL,
		.casts = v->who && v->who->casts };
	struct err why = { 0 };
	int rc = list_items(v, &s, e);

	if (!rc && scan_run(&s, &why)) {
		if (why.kind == ERR_DATA || why.kind == ERR_MISMATCH)
			report_take(v->r, NULL, &why);
		else
			rc = err_move(e, &why);
	}
	rc = rc ? rc : suspect_judge(v->r, &s, &so, e);
	report_row(v->r, "looked at", v->o->full ? "values" : "scales and samples", s.n, s.looked,
		NULL);
	scan_free(&s);
	return rc;
}
