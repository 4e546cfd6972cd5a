/* SPDX-License-Identifier: MIT */
#include "convert/plan/inputs.h"

#include "core/file.h"
#include "core/text.h"
#include "formats/conversion/tensor_digest.h"
#include "quant/num.h"

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

/* *st of the folder that the file lies in. Returns false where it cannot be looked at. */
static bool folder_of(const struct io *io, const char *file, struct stat *st)
{
	const char *slash = strrchr(file, '/');
	char *s = slash ? strndup(file, (size_t)(slash - file) + 1) : strdup(".");
	int fd = s ? io->open(io, AT_FDCWD, s, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) : -1;
	bool ok = fd >= 0 && !io->fstat(io, fd, st);

	if (fd >= 0)
		(void)io->close(io, fd); /* a folder has nothing to flush */
	free(s);
	return ok;
}

/* Takes the larger of what is there and v. */
static void take(struct inputs *x, const struct want *w, double v)
{
	float *f = at(x, w);

	x->given += *f == 0;
	*f = (float)v > *f ? (float)v : *f;
}

/* --- names --- */

/* How names end behind that of a matrix, and what is divided by to make its value a scale. ModelOpt's dumps have the
 * maxima, exports the scales. */
static const struct ending {
	const char *end;
	double over;
	bool scale;
} endings[] = {
	{ ".input_scale", 1, true },
	{ "_input_quantizer._amax", amax_over, false },
	{ ".input_quantizer._amax", amax_over, false },
	{ ".input_amax", amax_over, false },
};
enum { ENDINGS = sizeof endings / sizeof *endings };

/* The ending of a name; NULL: it has none of them. *n: bytes before it. */
static const struct ending *ending_of(const char *name, size_t *n)
{
	size_t i, k;

	*n = strlen(name);
	for (i = 0; i < ENDINGS; i++) {
		k = strlen(endings[i].end);
		if (*n > k && !strcmp(name + *n - k, endings[i].end)) {
			*n -= k;
			return &endings[i];
		}
	}
	return NULL;
}

static int bad_name(struct err *e, const char *word, const char *name, const char *what)
{
	char text[400];

	snprintf(text, sizeof text, "%.200s %s", text_quote(name).s, what);
	return bad(e, word, text);
}

/* The expert's matrix that the first n bytes of a name are; NULL: the model has none. */
static const struct want *matrix_of(const struct audit *a, const char *s, size_t n)
{
	char name[256];
	const struct want *w;

	snprintf(name, sizeof name, "%.*s.weight", (int)(n < 200 ? n : 200), s);
	w = inventory_find(&a->inv, name);
	return w && is_expert(w) ? w : NULL;
}

/* Takes the value v under that name: a maximum, or what its ending says. */
static int take_named(struct inputs *x, const struct audit *a, const char *word, const char *name,
	double v, struct err *e)
{
	size_t n;
	const struct ending *end = ending_of(name, &n);
	const struct want *w = matrix_of(a, name, n);

	if (!w)
		return bad_name(e, word, name, "is no expert's matrix of this model");
	if (!is_scale(v))
		return bad_name(e, word, name, "is no number above zero");
	take(x, w, v / (end ? end->over : amax_over));
	x->seen[w - a->inv.wants] = true;
	x->exported = x->exported || (end && end->scale);
	return 0;
}

/* --- a file of measured maxima --- */

static int read_json(struct inputs *x, const struct audit *a, const char *word,
	const struct text *t, struct err *e)
{
	json_error_t je;
	json_t *o = json_loadb(t->s, t->n, JSON_REJECT_DUPLICATES, &je), *v;
	const char *key;
	int rc = json_is_object(o)
		? 0
		: bad(e, word,
			  "neither a number, nor a JSON object or a safetensors file of maxima");

	json_object_foreach(o, key, v)
	{
		if (!rc)
			rc = take_named(x, a, word, key, json_number_value(v), e);
	}
	json_decref(o);
	return rc;
}

/* --- tensors, of such a file or of another export --- */

/* Where the payload of a shard begins. */
struct place {
	int fd;
	uint64_t data_at;
	const struct tensor_digests
		*said; /* of the folder; NULL: a file alone, of which nothing is said */
};

static int value_of(const struct io *io, const struct place *p, const struct tensor *t, double *v,
	struct err *e)
{
	uint32_t bits = 0;
	size_t n = (size_t)(t->end - t->begin);

	if (n > sizeof bits)
		n = sizeof bits;
	if (file_read(io, p->fd, &bits, n, p->data_at + t->begin, e) ||
		(p->said && tensor_digests_check_bytes(p->said, t, &bits, n, e)))
		return -1;
	*v = (double)(t->dtype == DT_BF16 ? num_bf16((uint16_t)bits) : num_f32(bits));
	return 0;
}

static int take_tensors(struct inputs *x, const struct audit *a, const char *word,
	const struct tensor *t, size_t n, const struct place *places, struct err *e)
{
	double v;
	size_t i, k;

	for (i = 0; i < n; i++) {
		/* others belong to the weights, or to matrices that are no experts' */
		if (!ending_of(t[i].name, &k) || !strstr(t[i].name, ".experts."))
			continue;
		if ((t[i].dtype != DT_F32 || t[i].end - t[i].begin != 4) &&
			(t[i].dtype != DT_BF16 || t[i].end - t[i].begin != 2))
			return bad_name(e, word, t[i].name, "is no one number in F32 or BF16");
		if (value_of(a->ckpt->io, &places[t[i].shard], &t[i], &v, e))
			return err_at(e, "--input-scale %s", text_quote(word).s);
		if (take_named(x, a, word, t[i].name, v, e))
			return -1;
	}
	return 0;
}

/* A file begins as safetensors do: with the number of bytes of a JSON object that begins behind it. */
static bool begins_as_tensors(const uint8_t p[9], uint64_t size)
{
	uint64_t n;

	memcpy(&n, p, sizeof n);
	return size > 9 && n < size && n <= ST_HEADER_CAP && p[8] == '{';
}

static int read_tensors(struct inputs *x, const struct audit *a, const char *word, int fd,
	uint64_t size, struct err *e)
{
	struct arena arena = { 0 };
	struct st_header h;
	int rc = st_read(&h, a->ckpt->io, fd, size, ST_HEADER_CAP, &arena, e);

	if (!rc)
		rc = take_tensors(x, a, word, h.tensors, h.n,
			&(struct place){ fd, h.data_at, NULL }, e);
	else
		err_at(e, "%s", text_quote(word).s);
	st_free(&h);
	arena_free(&arena);
	return rc;
}

static int read_file(struct inputs *x, const struct audit *a, const char *word, struct err *e)
{
	const struct io *io = a->ckpt->io;
	struct text t = { 0 };
	uint8_t first[9] = { 0 };
	struct stat st;
	int fd, rc;

	if (file_open(io, AT_FDCWD, word, &fd, &st, e))
		return err_of_call(e, "--input-scale");
	rc = st.st_size >= (off_t)sizeof first ? file_read(io, fd, first, sizeof first, 0, e) : 0;
	if (!rc && begins_as_tensors(first, (uint64_t)st.st_size)) {
		x->has_folder = folder_of(io, word, &x->folder);
		rc = read_tensors(x, a, word, fd, (uint64_t)st.st_size, e);
	} else if (!rc) {
		rc = file_load(io, AT_FDCWD, word, CAP, &t, e) || read_json(x, a, word, &t, e);
	}
	text_free(&t);
	(void)io->close(io, fd); /* read only */
	return rc ? err_of_call(e, "--input-scale") : 0;
}

static int read_export(struct inputs *x, const struct audit *a, const char *word, struct err *e)
{
	struct ckpt_opts o = { .follow_links = true };
	struct findings f = { 0 };
	struct tensor_digests said = { 0 };
	struct place *places = NULL;
	struct ckpt c;
	size_t i;
	int rc;

	if (ckpt_open(&c, a->ckpt->io, word, &o, &f, e))
		return -1;
	x->has_folder = !c.io->fstat(c.io, c.dir, &x->folder);
	rc = finding_first_but(&f, "config.", e);
	if (!rc && tensor_digests_read(&said, &c, e))
		rc = err_at(e, "--input-scale %s", text_quote(word).s);
	places = rc ? NULL : calloc(c.n_shards + 1, sizeof *places);
	if (!rc && !places)
		rc = err_nomem(e);
	for (i = 0; !rc && i < c.n_shards; i++)
		places[i] = (struct place){ c.shards[i].fd, c.shards[i].data_at, &said };
	if (!rc)
		rc = take_tensors(x, a, word, c.tensors, c.n, places, e);
	free(places);
	tensor_digests_free(&said);
	finding_free(&f);
	ckpt_close(&c);
	return rc;
}

/* --- what is missing --- */

/* An exporter writes the scale of every expert of a block, or of none: those of drafts it may leave as they were. */
static int check_exported(const struct inputs *x, const struct audit *a, const char *word,
	struct err *e)
{
	bool *some = calloc(x->places + 1, sizeof *some);
	const struct want *w;
	char name[ST_NAME_MAX + 16];
	size_t i;
	int rc = some ? 0 : err_nomem(e);

	for (i = 0; !rc && i < a->inv.n; i++)
		if (x->seen[i])
			some[a->inv.wants[i].place] = true;
	for (i = 0; !rc && i < a->inv.n; i++) {
		w = &a->inv.wants[i];
		if (!is_expert(w) || x->seen[i] || (w->stage >= 0 && !some[w->place]))
			continue;
		snprintf(name, sizeof name, "%.*s.input_scale",
			(int)(strlen(w->name) - strlen(".weight")), w->name);
		rc = bad_name(e, word, name, "is not there");
	}
	free(some);
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
	if (x->exported && check_exported(x, a, word, e))
		return -1;
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
	*x = (struct inputs){ .E = config_experts_max(&a->ckpt->config), .places = a->inv.places };
	x->v = calloc((size_t)(x->places * x->E * PROJECTIONS + 1), sizeof *x->v);
	x->seen = calloc(a->inv.n + 1, sizeof *x->seen);
	if (!x->v || !x->seen) {
		inputs_free(x);
		return err_nomem(e);
	}
	if (!read_any(x, a, word, e))
		return 0;
	inputs_free(x);
	return -1;
}

void inputs_free(struct inputs *x)
{
	free(x->v);
	free(x->seen);
	memset(x, 0, sizeof *x);
}
