/* SPDX-License-Identifier: MIT */
#include "verify/doctor/rankfiles.h"

#include "core/file.h"
#include "core/text.h"
#include "formats/model/ranks.h"
#include "verify/doctor/scan.h"
#include "verify/doctor/suspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exam {
	const struct doctor_opts *o;
	struct report *r;
	struct rankset s; /* owns */
	struct err *e;
};

static void say(const struct exam *k, enum rule_id rule, const struct rank_file *f,
	const struct tensor *t, const char *what)
{
	const char *name = t ? t->name : NULL;
	struct report_place at = {
		.file = f ? f->name : NULL, .tensors = &name, .n_tensors = t ? 1 : 0
	};

	report_add(k->r, rule, &at, "%s%s%s%s", f ? f->name : "", f ? ": " : "",
		t ? text_quote(t->name).s : "", what);
}

/* --- opening --- */

static int open_all(struct exam *k, int dir)
{
	struct findings f = { 0 };
	int rc = rankset_open(&k->s, k->o->io, dir, k->o->header_cap, &f, k->e);

	report_findings(k->r, &f);
	finding_free(&f);
	return rc;
}

/* --- one rank --- */

static bool is_routed(const char *name)
{
	return strstr(name, ".ffn.experts.");
}

static bool has_partner(const struct rank_file *f, const char *name, bool scale)
{
	char other[ST_NAME_MAX + 8];

	snprintf(other, sizeof other, "%.*s%s", (int)(strlen(name) - (scale ? 5 : 6)), name,
		scale ? "weight" : "scale");
	return rankset_find(f, other);
}

static void check_tensor(const struct exam *k, const struct rank_file *f, const struct tensor *t)
{
	bool scale = text_ends(t->name, ".scale");
	const struct role *r = ranks_role(t->name, scale);

	if (!r || (scale && (r->store == STORE_PLAIN || text_ends(r->name, "attn.wo_a.weight")))) {
		say(k, RULE_MODEL_UNEXPECTED, f, t, " is not part of such a model");
		return;
	}
	if (!ranks_dtype(r, scale, (enum dtype)t->dtype))
		say(k, scale ? RULE_MODEL_SCALE_FORM : RULE_MODEL_DTYPE, f, t,
			" is of another type than the official converter writes");
	if (scale && !has_partner(f, t->name, true))
		say(k, RULE_MODEL_SCALE_ORPHAN, f, t, " is a scale without its weight");
	if (!scale && r->store != STORE_PLAIN && t->dtype != DT_BF16 &&
		!has_partner(f, t->name, false))
		say(k, RULE_MODEL_SCALE_MISSING, f, t, " has no scale");
}

/* Of a block, on one rank: heads have their sinks, what wo_a makes wo_b takes. */
static void check_fit(const struct exam *k, const struct rank_file *f, const struct tensor *sink)
{
	static const char tail[] = "attn_sink";
	const struct tensor *q, *kv, *a, *b;
	char name[ST_NAME_MAX + 32];
	int n = (int)(strlen(sink->name) - (sizeof tail - 1));

	snprintf(name, sizeof name, "%.*swq_b.weight", n, sink->name);
	q = rankset_find(f, name);
	snprintf(name, sizeof name, "%.*skv_norm.weight", n, sink->name);
	kv = rankset_find(f, name);
	snprintf(name, sizeof name, "%.*swo_a.weight", n, sink->name);
	a = rankset_find(f, name);
	snprintf(name, sizeof name, "%.*swo_b.weight", n, sink->name);
	b = rankset_find(f, name);
	if (q && kv && sink->rank == 1 && q->rank == 2 && kv->rank == 1 && kv->dim[0] &&
		(q->dim[0] % kv->dim[0] || q->dim[0] / kv->dim[0] != sink->dim[0]))
		say(k, RULE_RANK_SHAPE, f, sink,
			" has another number of heads than wq_b.weight of the rank");
	if (a && b && a->rank == 2 && b->rank == 2 && a->dim[0] != b->dim[1])
		say(k, RULE_RANK_SHAPE, f, a,
			" has another number of rows than wo_b.weight of the rank has columns");
}

/* --- ranks beside each other --- */

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
	return a->rank == b->rank && a->dtype == b->dtype &&
		!memcmp(a->dim, b->dim, a->rank * sizeof *a->dim);
}

static void compare(const struct exam *k, const struct rank_file *a, const struct rank_file *b)
{
	size_t i = 0, n = 0;
	const struct tensor *t, *first = NULL;
	const struct rank_file *where = b;

	for (i = 0; i < b->h.n; i++) {
		t = rankset_find(a, b->h.tensors[i].name);
		if (is_routed(b->h.tensors[i].name) || (t && same_shape(t, &b->h.tensors[i])))
			continue;
		first = first ? first : &b->h.tensors[i];
		n++;
	}
	for (i = 0; i < a->h.n; i++) {
		if (is_routed(a->h.tensors[i].name) || rankset_find(b, a->h.tensors[i].name))
			continue;
		where = first ? where : a;
		first = first ? first : &a->h.tensors[i];
		n++;
	}
	if (n)
		say(k, RULE_RANK_UNEVEN, where, first,
			" (and perhaps others) differs from the other rank in shape or type, or is on one only");
}

static int cmp_pointer(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Number of experts that the routers know, over all blocks, times the matrices of one. */
static uint64_t wanted(const struct rank_file *f)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < f->h.n; i++)
		if (text_ends(f->h.tensors[i].name, ".ffn.gate.weight") &&
			f->h.tensors[i].rank == 2)
			n += f->h.tensors[i].dim[0] * 3;
	return n;
}

static int check_experts(struct exam *k)
{
	const char **names;
	size_t n = 0, i, f, twice = 0, first = 0;
	char what[256];

	for (f = 0; f < k->s.n; f++)
		n += k->s.v[f].h.n;
	names = malloc((n + 1) * sizeof *names);
	if (!names)
		return err_nomem(k->e);
	for (n = 0, f = 0; f < k->s.n; f++)
		for (i = 0; i < k->s.v[f].h.n; i++)
			if (is_routed(k->s.v[f].h.tensors[i].name) &&
				text_ends(k->s.v[f].h.tensors[i].name, ".weight"))
				names[n++] = k->s.v[f].h.tensors[i].name;
	qsort(names, n, sizeof *names, cmp_pointer);
	for (i = 1; i < n; i++)
		if (!strcmp(names[i], names[i - 1])) {
			first = twice ? first : i;
			twice++;
		}
	if (twice) {
		snprintf(what, sizeof what,
			"%zu expert matrices are on more than one rank, first %.100s", twice,
			text_quote(names[first]).s);
		say(k, RULE_RANK_EXPERT_TWICE, NULL, NULL, what);
	}
	if (k->s.whole && k->s.n && n - twice < wanted(&k->s.v[0])) {
		snprintf(what, sizeof what, "%llu expert matrices are on no rank",
			(unsigned long long)(wanted(&k->s.v[0]) - (n - twice)));
		say(k, RULE_MODEL_MISSING, NULL, NULL, what);
	}
	free(names);
	return 0;
}

/* --- values --- */

static bool class_of(const struct rank_file *f, const struct tensor *t, struct scan_item *s)
{
	bool scale = text_ends(t->name, ".scale");
	const struct tensor *gate;
	char name[ST_NAME_MAX + 32];

	s->holds = t->dtype == DT_F8_E8M0 ? SCAN_E8M0
		: t->dtype == DT_F32      ? (scale ? SCAN_F32_SCALE : SCAN_F32)
		: t->dtype == DT_F8_E4M3  ? SCAN_FP8
		: t->dtype == DT_F4       ? SCAN_FP4
		: t->dtype == DT_BF16     ? SCAN_BF16
					  : SCAN_IDS;
	if (s->holds != SCAN_IDS)
		return t->end > t->begin;
	if (t->dtype != DT_I64 || !text_ends(t->name, ".tid2eid") || t->rank != 2 ||
		t->dim[1] > 1024)
		return false;
	snprintf(name, sizeof name, "%.*sweight", (int)(strlen(t->name) - strlen("tid2eid")),
		t->name);
	gate = rankset_find(f, name);
	s->width = t->dim[1];
	s->limit = gate && gate->rank == 2 ? gate->dim[0] : UINT64_MAX;
	return s->width && t->end > t->begin;
}

static int look(struct exam *k, const struct consumer *who)
{
	struct scan s = { .io = k->o->io,
		.full = k->o->full,
		.e_min = who ? who->e_min : 0,
		.e_max = who ? who->e_max : 254,
		.threads = k->o->threads };
	const struct suspect_opts so = { .engine = who ? who->name : NULL };
	size_t f, i;
	int rc = 0;

	for (f = 0; !rc && f < k->s.n; f++)
		for (i = 0; !rc && k->s.v[f].fd >= 0 && i < k->s.v[f].h.n; i++) {
			const struct tensor *t = &k->s.v[f].h.tensors[i];
			struct scan_item x = { .file = k->s.v[f].name,
				.name = t->name,
				.fd = k->s.v[f].fd,
				.at = k->s.v[f].h.data_at + t->begin,
				.bytes = t->end - t->begin };

			if (class_of(&k->s.v[f], t, &x))
				rc = scan_add(&s, &x, k->e);
		}
	rc = rc ? rc : scan_run(&s, k->e);
	rc = rc ? rc : suspect_judge(k->r, &s, &so, k->e);
	report_row(k->r, "looked at", k->o->full ? "values" : "scales and samples", s.n, s.looked,
		NULL);
	scan_free(&s);
	return rc;
}

int rankfiles_run(struct report *r, int dir, const struct doctor_opts *o,
	const struct consumer *who, struct err *e)
{
	struct exam k = { .o = o, .r = r, .e = e };
	size_t f, i, first = 0;
	int rc = open_all(&k, dir);

	if (!rc && !k.s.n)
		report_add(r, RULE_RANK_MISSING, NULL, "no rank file is there");
	while (first < k.s.n && k.s.v[first].fd < 0)
		first++;
	for (f = 0; !rc && f < k.s.n; f++) {
		for (i = 0; i < k.s.v[f].h.n; i++) {
			check_tensor(&k, &k.s.v[f], &k.s.v[f].h.tensors[i]);
			if (text_ends(k.s.v[f].h.tensors[i].name, ".attn.attn_sink"))
				check_fit(&k, &k.s.v[f], &k.s.v[f].h.tensors[i]);
		}
		if (k.s.v[f].fd >= 0 && f != first)
			compare(&k, &k.s.v[first], &k.s.v[f]);
	}
	rc = rc ? rc : check_experts(&k);
	rc = rc ? rc : look(&k, who);
	if (!rc && o->fix_config)
		rc = err_set(e, ERR_USAGE, "rank files have no config.json to correct");
	if (!rc && o->fix_index)
		rc = err_set(e, ERR_USAGE, "rank files have no index to correct");
	rankset_close(&k.s);
	return rc;
}
