/* SPDX-License-Identifier: MIT */
#include "verify/parity/state.h"

#include "core/text.h"
#include "formats/format_id.h"
#include "formats/json/jfield.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 6, NAME = 1024 };

/* The document on its way. */
struct reading {
	struct state s;
	struct state_tensor t; /* the one that is read */
	char format[32], name[NAME + 1];
};
#define READING(ctx) ((struct reading *)(ctx))
#define AT(field) offsetof(struct reading, field)
#define ROOM(field) sizeof(((struct reading *)0)->field)

/* --- tensors --- */

/* Sorts the dims by descending stride, and finds out whether the elements fill their place. */
static void order(struct state_tensor *t)
{
	uint64_t stride[STATE_DIMS], want = 1, one;
	uint32_t i, k;

	for (i = 0; i < t->rank; i++) {
		one = t->stride[i];
		for (k = i; k > 0 && stride[k - 1] < one; k--) {
			stride[k] = stride[k - 1];
			t->memory[k] = t->memory[k - 1];
		}
		stride[k] = one;
		t->memory[k] = t->dim[i];
	}
	t->dense = true;
	for (i = t->rank; i-- > 0;) {
		t->dense = t->dense && (t->memory[i] == 1 || stride[i] == want);
		if (!mem_mul(want, t->memory[i], &want))
			t->dense = false;
	}
	if (!t->dense)
		memcpy(t->memory, t->dim, sizeof t->memory);
}

static int get_numbers(struct jread *j, uint64_t *v, uint32_t *n, struct err *e)
{
	int more;

	*n = 0;
	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1) {
		if (*n == STATE_DIMS)
			return jfield_wrong(e, "more than %d dimensions", STATE_DIMS);
		if (jread_u64(j, JFIELD_NUMBER_MAX, &v[(*n)++]))
			return -1;
	}
	return more;
}

static int get_shape(struct jread *j, void *ctx, struct err *e)
{
	return get_numbers(j, READING(ctx)->t.dim, &READING(ctx)->t.rank, e);
}

static int get_stride(struct jread *j, void *ctx, struct err *e)
{
	return get_numbers(j, READING(ctx)->t.stride, &READING(ctx)->t.strides, e);
}

/* clang-format off */
static const struct jfield tensor_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(t.bytes) },
	{ "dtype", JFIELD_STRING, .at = AT(t.dtype), .room = ROOM(t.dtype) },
	{ "name", JFIELD_STRING, .at = AT(name), .room = ROOM(name) },
	{ "shape", JFIELD_CALL, .get = get_shape },
	{ "stride", JFIELD_CALL, .get = get_stride },
	{ "xxh3_128", JFIELD_HEX, .at = AT(t.xxh), .room = sizeof(struct xxh_digest) },
	{ 0 } };
/* clang-format on */

static int get_tensor(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct state *s = &r->s;

	if (s->n == STATE_TENSORS)
		return jfield_wrong(e, "more than %d tensors", STATE_TENSORS);
	memset(&r->t, 0, sizeof r->t);
	if (jfield_object(j, tensor_fields, r, e))
		return -1;
	if (r->t.rank != r->t.strides)
		return jfield_wrong(e, "tensor %s has %u dimensions and %u strides",
			text_quote(r->name).s, r->t.rank, r->t.strides);
	order(&r->t);
	r->t.name = arena_strndup(&s->arena, r->name, strlen(r->name));
	if (!r->t.name || mem_grow(&s->v, &s->cap, s->n + 1, sizeof *s->v))
		return err_nomem(e);
	s->v[s->n++] = r->t;
	return 0;
}

/* clang-format off */
static const struct jfield state_fields[] = {
	{ "engine", JFIELD_STRING, .at = AT(s.engine), .room = ROOM(s.engine), .optional = true },
	{ "format", JFIELD_STRING, .at = AT(format), .room = ROOM(format) },
	{ "rank", JFIELD_U32, .at = AT(s.rank), .optional = true },
	{ "ranks", JFIELD_U32, .at = AT(s.ranks), .optional = true },
	{ "stage", JFIELD_U32, .at = AT(s.stage), .optional = true },
	{ "stages", JFIELD_U32, .at = AT(s.stages), .optional = true },
	{ "target", JFIELD_STRING, .at = AT(s.target), .room = ROOM(s.target), .optional = true },
	{ "tensors", JFIELD_ARRAY, .get = get_tensor },
	{ "version", JFIELD_STRING, .at = AT(s.version), .room = ROOM(s.version), .optional = true },
	{ 0 } };
/* clang-format on */

/* --- the document --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct state_tensor *)a)->name,
		((const struct state_tensor *)b)->name);
}

/* What holds for the whole. */
static int settle(struct reading *r, struct err *e)
{
	struct state *s = &r->s;
	size_t i;

	if (strcmp(r->format, FORMAT_STATE) != 0)
		return jfield_wrong(e, "its format is %s, not " FORMAT_STATE,
			text_quote(r->format).s);
	if ((s->ranks || s->rank) && s->rank >= s->ranks)
		return jfield_wrong(e, "rank %u of %u: there is no such", s->rank, s->ranks);
	if ((s->stages || s->stage) && s->stage >= s->stages)
		return jfield_wrong(e, "stage %u of %u: there is no such", s->stage, s->stages);
	if (s->n)
		qsort(s->v, s->n, sizeof *s->v, by_name);
	for (i = 1; i < s->n; i++)
		if (!strcmp(s->v[i - 1].name, s->v[i].name))
			return jfield_wrong(e, "tensor %s is there twice",
				text_quote(s->v[i].name).s);
	return 0;
}

static int read_document(struct reading *r, const struct io *io, int fd, uint64_t size,
	struct err *e)
{
	struct jread j;
	int rc;

	if (jread_open_file(&j, io, fd, 0, size, DEPTH, e))
		return -1;
	rc = jfield_object(&j, state_fields, r, e) || jread_end(&j, true) ? -1 : 0;
	jread_close(&j);
	return rc ? rc : settle(r, e);
}

int state_read(struct state *s, const struct io *io, const char *path, struct err *e)
{
	int fd = io->open(io, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0),
	    rc = -1;
	struct reading *r = calloc(1, sizeof *r);
	struct err why = { 0 };
	struct stat st;

	memset(s, 0, sizeof *s);
	if (fd < 0)
		err_sys(&why, "cannot open it");
	else if (!r)
		err_nomem(&why);
	else if (io->fstat(io, fd, &st))
		err_sys(&why, "cannot stat it");
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > STATE_CAP)
		err_rule(&why, RULE_PARITY_STATE, ERR_NOPOS, "it is no file of at most %d bytes",
			STATE_CAP);
	else
		rc = read_document(r, io, fd, (uint64_t)st.st_size, &why);
	if (fd >= 0)
		(void)io->close(io, fd); /* read only */
	if (!rc)
		*s = r->s;
	else if (r)
		state_free(&r->s);
	free(r);
	if (!rc)
		return 0;
	if (why.rule &&
		!strcmp(why.rule, rules[RULE_SET_FORM].id)) /* of the reader of our own documents */
		err_rule(e, RULE_PARITY_STATE, why.pos, "%s", why.text);
	else
		err_move(e, &why);
	return err_at(e, "%s", text_quote(path).s);
}

void state_free(struct state *s)
{
	free(s->v);
	arena_free(&s->arena);
	memset(s, 0, sizeof *s);
}
