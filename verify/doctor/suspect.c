/* SPDX-License-Identifier: MIT */
#include "verify/doctor/suspect.h"

#include "core/mem.h"
#include "verify/report/role_sum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct judge {
	struct report *r;
	const struct scan *s;
	const struct suspect_opts *o;
	struct roles roles;
	size_t *role;    /* owns; [s->n] */
	uint8_t *middle; /* owns; [roles.n] median of the medians of scales; 0: too few to say */
};

/* What a check sees in a tensor. Codes: how many; byte of the first in the tensor; to: after the last, where
 * that is known. */
struct hit {
	uint64_t codes, first, to;
};

typedef bool (*check_fn)(const struct judge *j, size_t i, struct hit *h);

static bool of_spot(const struct scan_spot *s, unsigned unit, struct hit *h)
{
	*h = (struct hit){ s->n, s->first, s->n == 1 ? s->first + unit : 0 };
	return s->n;
}

static bool is_scale(const struct scan_item *t)
{
	return t->holds == SCAN_E8M0 || t->holds == SCAN_F32_SCALE || t->holds == SCAN_E4M3_SCALE;
}

static bool is_plain(const struct scan_item *t)
{
	return t->holds == SCAN_BF16 || t->holds == SCAN_F32;
}

static bool scale_nan(const struct judge *j, size_t i, struct hit *h)
{
	const struct scan_item *t = &j->s->v[i];

	return is_scale(t) && of_spot(&t->m.nan, t->holds == SCAN_F32_SCALE ? 4 : 1, h);
}

static bool scale_number(const struct judge *j, size_t i, struct hit *h)
{
	return j->s->v[i].holds == SCAN_F32_SCALE && of_spot(&j->s->v[i].m.odd, 4, h);
}

static bool scale_sign(const struct judge *j, size_t i, struct hit *h)
{
	return j->s->v[i].holds == SCAN_E4M3_SCALE && of_spot(&j->s->v[i].m.odd, 1, h);
}

static bool scale_range(const struct judge *j, size_t i, struct hit *h)
{
	return j->o->engine && of_spot(&j->s->v[i].m.range, 1, h);
}

/* 2^-127: legal, but no quantizer of weights comes near it, and several readers make 0 of it. */
static bool scale_zero(const struct judge *j, size_t i, struct hit *h)
{
	return of_spot(&j->s->v[i].m.least, 1, h);
}

static bool fp8_nan(const struct judge *j, size_t i, struct hit *h)
{
	return j->s->v[i].holds == SCAN_FP8 && of_spot(&j->s->v[i].m.nan, 1, h);
}

static bool not_finite(const struct judge *j, size_t i, struct hit *h)
{
	const struct scan_item *t = &j->s->v[i];

	return is_plain(t) && of_spot(&t->m.nan, t->holds == SCAN_BF16 ? 2 : 4, h);
}

static bool some_zeros(const struct scan_item *t, struct hit *h)
{
	*h = (struct hit){ t->m.end - t->m.zeros, t->m.zeros, t->m.end };
	return t->m.end;
}

/* Quantizers scale a group by its largest value, so that some code of it is large: a region where all codes
 * and scales are zero was not made by one. */
static bool quant_zeros(const struct judge *j, size_t i, struct hit *h)
{
	return !is_plain(&j->s->v[i]) && some_zeros(&j->s->v[i], h);
}

/* Rows of tokens that nobody uses may be zero, so this is no proof. */
static bool plain_zeros(const struct judge *j, size_t i, struct hit *h)
{
	return is_plain(&j->s->v[i]) && some_zeros(&j->s->v[i], h);
}

/* Many ids that are too large, none of them by much: the table is that of a model with more experts. Damage makes
 * few, or any number. */
enum { PRUNED_AMONG = 16, PRUNED_SHARE = 20, PRUNED_TIMES = 16 };
static bool pruned(const struct scan_item *t)
{
	return t->holds == SCAN_IDS && t->m.odd.n >= PRUNED_AMONG &&
		t->m.odd.n * PRUNED_SHARE >= t->bytes / 8 && t->m.top < PRUNED_TIMES * t->limit;
}

static bool expert_id(const struct judge *j, size_t i, struct hit *h)
{
	return j->s->v[i].holds == SCAN_IDS && !pruned(&j->s->v[i]) &&
		of_spot(&j->s->v[i].m.odd, 8, h);
}

static bool expert_pruned(const struct judge *j, size_t i, struct hit *h)
{
	return pruned(&j->s->v[i]) && of_spot(&j->s->v[i].m.odd, 8, h);
}

static bool expert_twice(const struct judge *j, size_t i, struct hit *h)
{
	return of_spot(&j->s->v[i].m.twice, 8, h);
}

static bool cast_spread(const struct judge *j, size_t i, struct hit *h)
{
	return j->o->casts && of_spot(&j->s->v[i].m.spread, 0, h);
}

/* A scale is 2^(byte-127) and the largest weight of its group is 3 to 6 (FP4), or 224 to 448 (FP8), times
 * that. Weights of a network that has norms before each matrix lie far below 1, so bytes lie well below 127
 * (in models that we know, and those mkmodel makes, 105 to 122); read or written as reciprocals they are
 * 254 - byte, on the other side of 127. A median of 128 or more says that typical weights exceed 6. */
static bool reciprocal(const struct judge *j, size_t i, struct hit *h)
{
	const struct scan_mark *m = &j->s->v[i].m;

	*h = (struct hit){ 0 };
	return m->scaled && m->median > 127;
}

/* The same matrix of different layers has weights of one size, give or take a few octaves; 2^12 apart is a
 * tensor of something else, or scales with a constant multiplied in or lost. */
enum { OUTLIER = 12, OUTLIER_AMONG = 8 };
static bool outlier(const struct judge *j, size_t i, struct hit *h)
{
	const struct scan_mark *m = &j->s->v[i].m;
	int middle = j->middle[j->role[i]];

	*h = (struct hit){ 0 };
	return m->scaled && middle && abs(m->median - middle) > OUTLIER;
}

/* One FP32 value in 65,536 has a lower half of zero; eight in a tensor, and no other, came from BF16. Powers
 * of two (which scales and initial values are) are not counted. */
enum { NARROW_AMONG = 8 };
static bool narrowed(const struct judge *j, size_t i, struct hit *h)
{
	const struct scan_item *t = &j->s->v[i];

	*h = (struct hit){ 0 };
	return t->holds == SCAN_F32 && t->m.rich >= NARROW_AMONG && !t->m.fine;
}

/* Norms begin as all ones and other weights as noise; training leaves neither alone. */
enum { CONSTANT_BYTES = 256 };
static bool constant(const struct judge *j, size_t i, struct hit *h)
{
	const struct scan_item *t = &j->s->v[i];

	*h = (struct hit){ 0 };
	return is_plain(t) && t->bytes >= CONSTANT_BYTES && !t->m.varied && !t->m.end;
}

/* clang-format off */
static const struct check {
	enum rule_id rule;
	check_fn hit;
	const char *what; /* after "12 ", and of how many tensors */
} checks[] = {
	{ RULE_DATA_SCALE_NAN,        scale_nan,    "scales are NaN" },
	{ RULE_DATA_SCALE_NUMBER,     scale_number, "scales are no power of two (was the exponent byte written as a number?)" },
	{ RULE_DATA_SCALE_NUMBER,     scale_sign,   "scales of NVFP4 are below zero" },
	{ RULE_DATA_SCALE_RANGE,      scale_range,  "scale bytes are misread by the engine" },
	{ RULE_DATA_FP8_NAN,          fp8_nan,      "FP8 codes are NaN" },
	{ RULE_DATA_NOT_FINITE,       not_finite,   "values are NaN or infinite" },
	{ RULE_DATA_ZEROS,            quant_zeros,  "bytes in a row are zero (a file cut off, or never written)" },
	{ RULE_DATA_EXPERT_ID,        expert_id,    "ids of experts that there are not" },
	{ RULE_DATA_EXPERT_PRUNED,    expert_pruned, "ids are of experts that were taken out of the model; its hash tables were not made anew" },
	{ RULE_SUSPECT_ZEROS,         plain_zeros,  "bytes in a row are zero" },
	{ RULE_SUSPECT_SCALE_ZERO,    scale_zero,   "scale bytes are 0, which is 2^-127, and 0 to some readers" },
	{ RULE_SUSPECT_EXPERT_TWICE,  expert_twice, "tokens go to an expert twice" },
	{ RULE_SUSPECT_CAST_SPREAD,   cast_spread,  "blocks of 128 x 128 have scales more than 2^14 apart: small weights may be lost in a cast to FP8" },
	{ RULE_SUSPECT_RECIPROCAL,    reciprocal,   "suspect: half of the scales are 2 or more; are they reciprocals?" },
	{ RULE_SUSPECT_SCALE_OUTLIER, outlier,      "suspect: scales more than 2^12 from those of the same matrix elsewhere" },
	{ RULE_SUSPECT_NARROWED,      narrowed,     "suspect: every FP32 value fits BF16; were they stored as BF16 once?" },
	{ RULE_SUSPECT_CONSTANT,      constant,     "suspect: all values are the same; was this ever trained?" },
};
/* clang-format on */
enum { CHECKS = sizeof checks / sizeof *checks };

/* --- roles --- */

static int cmp_byte(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* Sets j->middle. */
static int find_middles(struct judge *j, struct err *e)
{
	uint8_t *v = malloc(j->s->n + 1);
	size_t k, i, n;

	if (!v)
		return err_nomem(e);
	for (k = 0; k < j->roles.n; k++) {
		for (n = 0, i = 0; i < j->s->n; i++)
			if (j->role[i] == k && j->s->v[i].m.scaled)
				v[n++] = j->s->v[i].m.median;
		if (n < OUTLIER_AMONG)
			continue;
		qsort(v, n, 1, cmp_byte);
		j->middle[k] = v[n / 2] ? v[n / 2] : 1;
	}
	free(v);
	return 0;
}

static int find_roles(struct judge *j, struct err *e)
{
	const struct role_sum *x;
	size_t i;

	j->role = calloc(j->s->n + 1, sizeof *j->role);
	if (!j->role)
		return err_nomem(e);
	for (i = 0; i < j->s->n; i++) {
		x = roles_of(&j->roles, j->s->v[i].name);
		if (!x)
			return err_nomem(e);
		j->role[i] = (size_t)(x - j->roles.v);
	}
	j->middle = calloc(j->roles.n + 1, 1);
	if (!j->middle)
		return err_nomem(e);
	return find_middles(j, e);
}

/* --- findings --- */

struct group {
	size_t n, of; /* tensors that were hit, of how many that were looked at */
	uint64_t codes;
	const struct scan_item *first;
	struct hit hit; /* of the first */
	const char *names[REPORT_TENSORS];
};

static void put(struct judge *j, const struct check *c, const char *role, const struct group *g)
{
	const struct scan_item *t = g->first;
	struct report_place at = { .file = t->file, .tensors = g->names, .n_tensors = g->n };
	char codes[64] = "", where[96] = "";

	if (g->codes)
		snprintf(codes, sizeof codes, "%llu ", (unsigned long long)g->codes);
	if (g->codes && t->fd >= 0) {
		at.from = t->at + g->hit.first;
		at.to = g->hit.to ? t->at + g->hit.to : at.from + 1;
	}
	if (g->codes)
		snprintf(where, sizeof where, ", byte %llu of it",
			(unsigned long long)g->hit.first);
	report_add(j->r, c->rule, &at, "%s: %s%s; %zu of %zu tensors, first %s%s",
		text_quote(role).s, codes, c->what, g->n, g->of, text_quote(t->name).s, where);
}

static void gather(const struct judge *j, const struct check *c, struct group *groups)
{
	struct group *g;
	struct hit h;
	size_t i;

	memset(groups, 0, j->roles.n * sizeof *groups);
	for (i = 0; i < j->s->n; i++) {
		g = &groups[j->role[i]];
		g->of++;
		if (!c->hit(j, i, &h))
			continue;
		if (!g->n) {
			g->first = &j->s->v[i];
			g->hit = h;
		}
		if (g->n < REPORT_TENSORS)
			g->names[g->n] = j->s->v[i].name;
		g->n++;
		g->codes += h.codes;
	}
}

int suspect_judge(struct report *r, const struct scan *s, const struct suspect_opts *o,
	struct err *e)
{
	struct judge j = { .r = r, .s = s, .o = o };
	struct group *groups = NULL;
	size_t k;
	int c, rc = find_roles(&j, e);

	if (!rc) {
		groups = malloc((j.roles.n + 1) * sizeof *groups);
		rc = groups ? 0 : err_nomem(e);
	}
	for (c = 0; !rc && c < CHECKS; c++) {
		gather(&j, &checks[c], groups);
		for (k = 0; k < j.roles.n; k++)
			if (groups[k].n)
				put(&j, &checks[c], j.roles.v[k].name, &groups[k]);
	}
	free(groups);
	free(j.role);
	free(j.middle);
	roles_free(&j.roles);
	return rc;
}
