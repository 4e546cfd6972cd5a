/* SPDX-License-Identifier: MIT */
#include "convert/plan/inputs.h"

#include "core/file.h"
#include "core/text.h"

#include <fcntl.h>
#include <float.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAP = 64 << 20, PROJECTIONS = 2 };
/* The scale of the largest magnitude: 6, the largest code, times 448, the largest scale of a block. */
static const double amax_over = 6.0 * 448.0;

static int bad(struct err *e, const char *word, const char *what)
{
	return err_rule(e, RULE_PLAN_INPUT_SCALE, ERR_NOPOS, "--input-scale %s: %s",
		text_quote(word).s, what);
}

/* 0 of w1 and w3, 1 of w2. */
static unsigned projection(const struct want *w)
{
	return strstr(w->role->name, ".w2.") != NULL;
}

static float *at(const struct inputs *x, const struct want *w)
{
	return &x->v[(w->place * x->E + (uint64_t)w->expert) * PROJECTIONS + projection(w)];
}

float inputs_of(const struct inputs *x, const struct want *w)
{
	return *at(x, w);
}

static bool is_expert(const struct want *w)
{
	return w->role->store == STORE_EXPERT && !w->scale;
}

static bool is_scale(double v)
{
	return v <= (double)FLT_MAX && (float)v > 0;
}

/* Takes the larger of what is there and v. */
static void take(struct inputs *x, const struct want *w, double v)
{
	float *f = at(x, w);

	x->given += *f == 0;
	*f = (float)v > *f ? (float)v : *f;
}

/* --- a file of measured maxima --- */

static int take_file(struct inputs *x, const struct audit *a, const char *word, const json_t *o,
	struct err *e)
{
	static const char tail[] = "_input_quantizer._amax";
	char name[256], what[400];
	const struct want *w;
	const char *key;
	json_t *v;
	size_t n;

	json_object_foreach((json_t *)(uintptr_t)o, key, v)
	{
		n = strlen(key);
		if (n >= sizeof tail && !strcmp(key + n - (sizeof tail - 1), tail))
			n -= sizeof tail - 1;
		snprintf(name, sizeof name, "%.*s.weight", (int)(n < 200 ? n : 200), key);
		w = inventory_find(&a->inv, name);
		if (!w || !is_expert(w)) {
			snprintf(what, sizeof what, "%.120s is no expert's matrix of this model",
				text_quote(key).s);
			return bad(e, word, what);
		}
		if (!is_scale(json_number_value(v))) {
			snprintf(what, sizeof what, "%.120s is no number above zero",
				text_quote(key).s);
			return bad(e, word, what);
		}
		take(x, w, json_number_value(v) / amax_over);
	}
	return 0;
}

static int read_file(struct inputs *x, const struct audit *a, const char *word, struct err *e)
{
	struct text t = { 0 };
	json_error_t je;
	json_t *o;
	int rc;

	if (file_load(a->ckpt->io, AT_FDCWD, word, CAP, &t, e))
		return -1;
	o = json_loadb(t.s, t.n, JSON_REJECT_DUPLICATES, &je);
	text_free(&t);
	rc = json_is_object(o) ? take_file(x, a, word, o, e)
			       : bad(e, word, "neither a number nor a JSON object of maxima");
	json_decref(o);
	return rc;
}

/* --- another export --- */

static int take_tensor(struct inputs *x, const struct ckpt *c, const struct want *w,
	const char *word, struct err *e)
{
	char name[ST_NAME_MAX + 16];
	const struct tensor *t;
	float f;

	snprintf(name, sizeof name, "%.*s.input_scale", (int)(strlen(w->name) - strlen(".weight")),
		w->name);
	t = ckpt_find(c, name);
	if (!t)
		return 0;
	if (t->dtype != DT_F32 || t->end - t->begin != sizeof f)
		return bad(e, word, "an input_scale that is no F32 number");
	if (ckpt_read(c, t, 0, &f, sizeof f, e))
		return -1;
	if (!is_scale((double)f))
		return bad(e, word, "an input_scale that is no number above zero");
	take(x, w, (double)f);
	return 0;
}

/* The first error about the export's files. What config.json says is of a form that is no checkpoint's, and no matter. */
static int first_of_files(const struct findings *f, struct err *e)
{
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < f->n; i++)
		if (!f->v[i].rule || strncmp(f->v[i].rule, "config.", 7) != 0)
			rc = finding_first(&(struct findings){ .v = &f->v[i], .n = 1, .total = 1 },
				e);
	return rc;
}

static int read_export(struct inputs *x, const struct audit *a, const char *word, struct err *e)
{
	struct ckpt_opts o = { .follow_links = true };
	struct findings f = { 0 };
	struct ckpt c;
	size_t i;
	int rc;

	if (ckpt_open(&c, a->ckpt->io, word, &o, &f, e))
		return -1;
	for (i = 0, rc = first_of_files(&f, e); !rc && i < a->inv.n; i++)
		if (is_expert(&a->inv.wants[i]))
			rc = take_tensor(x, &c, &a->inv.wants[i], word, e);
	finding_free(&f);
	ckpt_close(&c);
	return rc;
}

/* --- */

/* Gives those without an entry the largest of their projection. */
static int fill(struct inputs *x, const struct audit *a, const char *word, struct err *e)
{
	float most[PROJECTIONS] = { 0, 0 };
	const struct want *w;
	size_t i;

	for (i = 0; i < a->inv.n; i++) {
		w = &a->inv.wants[i];
		if (is_expert(w) && *at(x, w) > most[projection(w)])
			most[projection(w)] = *at(x, w);
	}
	if (most[0] <= 0 || most[1] <= 0)
		return bad(e, word, "it has nothing of the experts of this model");
	for (i = 0; i < a->inv.n; i++) {
		w = &a->inv.wants[i];
		if (!is_expert(w) || strstr(w->role->name, ".w3."))
			continue;
		x->of++;
		if (*at(x, w) == 0)
			*at(x, w) = most[projection(w)];
	}
	return 0;
}

/* One number for all. */
static int read_number(struct inputs *x, const char *word, bool *is, struct err *e)
{
	char *end;
	double v = strtod(word, &end);
	uint64_t i;

	*is = end > word && !*end;
	if (!*is)
		return 0;
	if (!is_scale(v))
		return bad(e, word, "no number above zero");
	for (i = 0; i < x->places * x->E * PROJECTIONS; i++)
		x->v[i] = (float)v;
	snprintf(x->said, sizeof x->said, "%.9g", (double)(float)v);
	return 0;
}

static int read_any(struct inputs *x, const struct audit *a, const char *word, struct err *e)
{
	struct stat st;
	bool number;

	if (read_number(x, word, &number, e) || number)
		return number && x->said[0] ? 0 : -1;
	if (a->ckpt->io->lstat(a->ckpt->io, AT_FDCWD, word, &st))
		return bad(e, word, "neither a number, nor a file or folder that is there");
	if (S_ISDIR(st.st_mode) ? read_export(x, a, word, e) : read_file(x, a, word, e))
		return -1;
	if (fill(x, a, word, e))
		return -1;
	snprintf(x->said, sizeof x->said, "%s, %llu of %llu projections",
		S_ISDIR(st.st_mode) ? "export" : "measured", (unsigned long long)x->given,
		(unsigned long long)x->of);
	return 0;
}

int inputs_read(struct inputs *x, const struct audit *a, const char *word, struct err *e)
{
	*x = (struct inputs){ .E = a->ckpt->config.E, .places = a->inv.places };
	x->v = calloc((size_t)(x->places * x->E * PROJECTIONS + 1), sizeof *x->v);
	if (!x->v)
		return err_nomem(e);
	if (!read_any(x, a, word, e))
		return 0;
	inputs_free(x);
	return -1;
}

void inputs_free(struct inputs *x)
{
	free(x->v);
	memset(x, 0, sizeof *x);
}
