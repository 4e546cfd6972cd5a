/* SPDX-License-Identifier: MIT */
#include "verify/doctor/formed.h"

#include "core/text.h"
#include "formats/model/drafts.h"
#include "formats/model/family.h"
#include "formats/model/matrix.h"
#include "formats/model/misfit.h"
#include "formats/model/mlx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const formed_classes[FORMED_CLASSES] = { "dense matrices", "routed experts of layers",
	"routed experts of drafts", "dense matrices of drafts" };

/* --- one matrix --- */

enum codec formed_matrix(const struct ckpt *c, const char *name, uint64_t rows, uint64_t cols)
{
	struct matrix_parts m;

	(void)matrix_find(&m, c, name, rows, cols);
	return m.form;
}

/* Whether the expert's matrix lies in a stack of all E experts of its block, MXFP4 as MLX has it. */
static bool in_stack(const struct ckpt *c, const struct want *w, uint64_t E)
{
	char name[ST_NAME_MAX + 1], scale[ST_NAME_MAX + 1];
	const struct tensor *t, *s;
	uint32_t id;

	if (w->expert < 0 || !mlx_stacked(name, sizeof name, w->name, &id))
		return false;
	snprintf(scale, sizeof scale, "%.*sscales", (int)(strlen(name) - strlen("weight")), name);
	t = ckpt_find(c, name);
	s = ckpt_find(c, scale);
	return t && s && t->dtype == DT_U32 && s->dtype == DT_U8 && t->rank == 3 && s->rank == 3 &&
		t->dim[0] == E && s->dim[0] == E && t->dim[1] == w->dim[0] &&
		s->dim[1] == w->dim[0] && t->dim[2] * 8 == w->dim[1] && s->dim[2] * 32 == w->dim[1];
}

bool formed_module(const struct want *w, char *out, size_t room)
{
	size_t n = text_stem(w->name, ".weight");

	if (w->scale || w->role->store == STORE_PLAIN || w->role->store == STORE_TABLE || !n ||
		n >= room)
		return false;
	memcpy(out, w->name, n);
	out[n] = 0;
	return true;
}

enum codec formed_part(const struct formed *f, const char *tensor)
{
	const char *dot = strrchr(tensor, '.');
	char name[ST_NAME_MAX + 1], full[ST_NAME_MAX + 16];
	const struct want *w;

	if (!dot || dot - tensor > ST_NAME_MAX)
		return CODEC_NONE;
	snprintf(name, sizeof name, "%.*s", (int)(dot - tensor), tensor);
	snprintf(full, sizeof full, "%s.weight", name);
	w = inventory_find(&f->inv, full);
	return w && w->role->store != STORE_PLAIN ? formed_matrix(f->c, name, w->dim[0], w->dim[1])
						  : CODEC_NONE;
}

static enum formed_class class_of(const struct want *w)
{
	if (w->role->store != STORE_EXPERT)
		return w->stage >= 0 ? FORMED_DENSE_DRAFTS : FORMED_DENSE;
	return w->stage >= 0 ? FORMED_DRAFTS : FORMED_EXPERTS;
}

/* --- all of them --- */

struct tally {
	uint64_t n[FORMED_CLASSES][CODEC_COUNT];
	char first[FORMED_CLASSES][CODEC_COUNT][ST_NAME_MAX + 1];
	uint64_t absent;
	const char *absent_first;
	uint64_t other; /* tensors of another type or shape than the model has */
	const struct want *other_first;
};

/* A tensor that no number format is of, tables of Engram and their scales too, has the type and shape that the model has. */
static void count_plain(const struct formed *f, struct tally *t, const struct want *w)
{
	const struct tensor *x = ckpt_find(f->c, w->name);

	if (!x && !w->optional && !t->absent++)
		t->absent_first = w->name;
	if (x && !misfits_fits(x, w) && !t->other++)
		t->other_first = w;
}

static void count(struct formed *f, struct tally *t)
{
	char name[ST_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < f->inv.n; i++) {
		const struct want *w = &f->inv.wants[i];
		enum formed_class k = class_of(w);
		enum codec c;

		if (w->scale && w->role->store != STORE_TABLE)
			continue;
		if (!formed_module(w, name, sizeof name)) {
			count_plain(f, t, w);
			continue;
		}
		if (w->optional)
			continue;
		c = formed_matrix(f->c, name, w->dim[0], w->dim[1]);
		if (c == CODEC_NONE && in_stack(f->c, w, f->config.E)) {
			c = CODEC_MXFP4;
			f->stacked = true;
		}
		if (!t->n[k][c]++)
			snprintf(t->first[k][c], sizeof t->first[k][c], "%s", name);
	}
}

static void judge_class(struct formed *f, const struct tally *t, enum formed_class k,
	struct report *r)
{
	enum codec most = CODEC_NONE;
	unsigned c;

	for (c = CODEC_NONE + 1; c < CODEC_COUNT; c++)
		most = t->n[k][c] > t->n[k][most] || most == CODEC_NONE ? (enum codec)c : most;
	f->form[k] = t->n[k][most] ? most : CODEC_NONE;
	if (t->n[k][CODEC_NONE])
		report_add(r, RULE_FORM_MATRIX, NULL,
			"%llu of the %s are in no number format that is known, or lack a tensor of it; the first is %s",
			(unsigned long long)t->n[k][CODEC_NONE], formed_classes[k],
			text_quote(t->first[k][CODEC_NONE]).s);
	for (c = CODEC_NONE + 1; c < CODEC_COUNT; c++)
		if (c != most && t->n[k][c])
			report_add(r, RULE_FORM_MIXED, NULL,
				"%llu of the %s are %s, the others %s; the first is %s",
				(unsigned long long)t->n[k][c], formed_classes[k], codecs[c].name,
				codecs[most].name, text_quote(t->first[k][c]).s);
	if (f->form[k] != CODEC_NONE)
		report_row(r, "looked at", formed_classes[k], t->n[k][most], 0, codecs[most].name);
}

static void judge_other(const struct formed *f, const struct tally *t, struct report *r)
{
	const struct want *w = t->other_first;
	const struct tensor *x = ckpt_find(f->c, w->name);
	const struct report_place at = {
		.file = f->c->shards[x->shard].name, .tensors = &x->name, .n_tensors = 1
	};
	bool same = x->rank == w->rank && !memcmp(x->dim, w->dim, x->rank * sizeof *x->dim);
	char is[128], said[128];

	misfits_describe(is, sizeof is, x->dtype, x->dim, x->rank);
	misfits_describe(said, sizeof said, w->dtype, w->dim, w->rank);
	report_add(r, same ? RULE_MODEL_DTYPE : RULE_MODEL_SHAPE, &at,
		"%llu tensors that every form has as they are published have another type or shape than the model; the first, %s, is %s, expected %s",
		(unsigned long long)t->other, text_quote(x->name).s, is, said);
}

/* Whether the model has a tensor of that name, in whatever number format. */
static bool is_known(const struct formed *f, const char *name)
{
	const struct want *w = inventory_find(&f->inv, name);
	const char *dot = strrchr(name, '.');
	char weight[ST_NAME_MAX + 16];

	if ((w && !w->scale) || strstr(name, ".ffn.switch_mlp."))
		return true;
	if (!dot || dot - name > ST_NAME_MAX)
		return false;
	snprintf(weight, sizeof weight, "%.*s.weight", (int)(dot - name), name);
	w = inventory_find(&f->inv, weight);
	return w && w->role->store != STORE_PLAIN;
}

/* FP8 has blocks of one size in a family, and an engine knows no other. */
static void judge_blocks(const struct formed *f, struct report *r)
{
	const enum codec meant = family_fp8(f->config.family);
	unsigned k;

	for (k = 0; k < FORMED_CLASSES; k++) {
		const enum codec c = f->form[k];
		const struct codec_form *is = &codecs[c], *has = &codecs[meant];

		if (c != meant && (c == CODEC_FP8 || c == CODEC_FP8_32))
			report_add(r, RULE_FORM_MATRIX, NULL,
				"the %s have a scale for %u x %u; models of %s have one for %u x %u",
				formed_classes[k], is->rows, is->cols, f->config.family->what,
				has->rows, has->cols);
	}
}

/* Tensors that the model of config.json has not: drafts that it does not count, and all others. */
static void judge_strangers(const struct formed *f, struct report *r)
{
	uint64_t drafts = 0, others = 0;
	const char *draft = NULL, *other = NULL;
	size_t i;

	for (i = 0; i < f->c->n; i++) {
		const char *name = f->c->tensors[i].name;

		if (is_known(f, name))
			continue;
		if (drafts_own(name) && !drafts++)
			draft = name;
		if (!drafts_own(name) && !others++)
			other = name;
	}
	if (drafts)
		report_add(r, RULE_CONFIG_STAGES, &(struct report_place){ .file = "config.json" },
			"config.json counts %llu drafts, and %llu tensors are of others, or no part of them; the first is %s",
			(unsigned long long)f->config.stages, (unsigned long long)drafts,
			text_quote(draft).s);
	if (others)
		report_add(r, RULE_MODEL_UNEXPECTED, NULL,
			"%llu tensors are not part of the model; the first is %s",
			(unsigned long long)others, text_quote(other).s);
}

/* --- factors of whole matrices --- */

/* The value of NAME.END into *v; false: it is not there, or no one number. */
static bool factor(const struct ckpt *c, const char *name, const char *end, float *v)
{
	const struct tensor *t = matrix_part(c, name, end, DT_F32);
	struct err e = { 0 };

	return t && t->end - t->begin == sizeof *v && !ckpt_read(c, t, 0, v, sizeof *v, &e);
}

struct seconds {
	uint64_t bad, apart;
	char bad_first[ST_NAME_MAX + 32], apart_first[ST_NAME_MAX + 1];
};

/* One factor of an expert's w1 and of its w3, which engines multiply as one matrix. */
static void judge_factor(const struct ckpt *c, const char *name, const char *end, struct seconds *s)
{
	char mate[ST_NAME_MAX + 1];
	size_t n = strlen(name);
	float v = 0, other;

	if (!factor(c, name, end, &v) || !isfinite(v) || v <= 0) {
		if (!s->bad++)
			snprintf(s->bad_first, sizeof s->bad_first, "%s.%s", name, end);
		return;
	}
	if (!text_ends(name, "w1"))
		return;
	snprintf(mate, sizeof mate, "%.*s3", (int)(n - 1), name);
	if (factor(c, mate, end, &other) && memcmp(&v, &other, sizeof v) && !s->apart++)
		snprintf(s->apart_first, sizeof s->apart_first, "%s", name);
}

/* A name of the scale that activations are quantized with is ModelOpt's alone. */
static const char input_scale[] = "input_scale";

static void judge_seconds(const struct formed *f, struct report *r)
{
	struct seconds s = { 0 };
	char name[ST_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < f->inv.n; i++) {
		const struct want *w = &f->inv.wants[i];
		enum codec c;

		if (!formed_module(w, name, sizeof name))
			continue;
		c = formed_matrix(f->c, name, w->dim[0], w->dim[1]);
		if (codecs[c].second.name)
			judge_factor(f->c, name, codecs[c].second.name, &s);
		if (c == CODEC_NVFP4)
			judge_factor(f->c, name, input_scale, &s);
	}
	if (s.bad)
		report_add(r, RULE_FORM_FACTOR, NULL,
			"%llu factors are missing, or no positive number; the first is %s",
			(unsigned long long)s.bad, text_quote(s.bad_first).s);
	if (s.apart)
		report_add(r, RULE_FORM_FACTOR, NULL,
			"w1 and w3 of %llu experts have different factors, and engines multiply both with one; the first is %s",
			(unsigned long long)s.apart, text_quote(s.apart_first).s);
}

/* --- rows and columns of packed matrices --- */

/* Whether what NAME.weight_shape says, if it is there, is rows x columns. */
static bool shape_is(const struct ckpt *c, const char *name, const char *end, const struct want *w)
{
	const struct tensor *t = matrix_part(c, name, end, DT_I64);
	struct err e = { 0 };
	int64_t v[2];

	return !t ||
		(t->end - t->begin == sizeof v && !ckpt_read(c, t, 0, v, sizeof v, &e) &&
			v[0] >= 0 && v[1] >= 0 && (uint64_t)v[0] == w->dim[0] &&
			(uint64_t)v[1] == w->dim[1]);
}

static void judge_shapes(const struct formed *f, struct report *r)
{
	char name[ST_NAME_MAX + 1], first[ST_NAME_MAX + 1] = "";
	const char *end = NULL;
	uint64_t bad = 0;
	enum codec c;
	size_t i;

	for (i = 0; i < f->inv.n; i++) {
		const struct want *w = &f->inv.wants[i];

		if (!formed_module(w, name, sizeof name))
			continue;
		c = formed_matrix(f->c, name, w->dim[0], w->dim[1]);
		if (!codecs[c].shape || shape_is(f->c, name, codecs[c].shape, w))
			continue;
		end = codecs[c].shape;
		if (!bad++)
			memcpy(first, name, sizeof first);
	}
	if (bad)
		report_add(r, RULE_FORM_SHAPE, NULL,
			"%llu tensors %s do not say rows and columns of their matrix; the first is of %s",
			(unsigned long long)bad, end, text_quote(first).s);
}

/* --- */

int formed_make(struct formed *f, const struct ckpt *c, struct report *r, struct err *e)
{
	struct tally *t;
	unsigned k;

	memset(f, 0, sizeof *f);
	f->c = c;
	if (!c->doc.o)
		return err_rule(e, RULE_CONFIG_MISSING, ERR_NOPOS, "there is no config.json");
	/* FP8 so that dim is rows x columns: a code is a byte. */
	if (matrix_alone(c, e) || config_read_shapes(&f->config, &c->doc, e) ||
		inventory_make(&f->inv, &f->config, (struct model_forms){ CODEC_FP8, CODEC_FP8 },
			e))
		return -1;
	t = calloc(1, sizeof *t);
	if (!t)
		return err_nomem(e);
	count(f, t);
	for (k = 0; k < FORMED_CLASSES; k++)
		judge_class(f, t, (enum formed_class)k, r);
	if (t->absent)
		report_add(r, RULE_MODEL_MISSING, NULL,
			"%llu tensors are not there; the first is %s",
			(unsigned long long)t->absent, t->absent_first);
	if (t->other)
		judge_other(f, t, r);
	judge_blocks(f, r);
	judge_strangers(f, r);
	free(t);
	judge_seconds(f, r);
	judge_shapes(f, r);
	return 0;
}

void formed_free(struct formed *f)
{
	inventory_free(&f->inv);
	config_free(&f->config);
}
