/* SPDX-License-Identifier: MIT */
#include "verify/atlas/atlas_file.h"

#include "core/file.h"
#include "formats/conversion/atlas_head.h"
#include "formats/format_id.h"
#include "formats/json/jread.h"
#include "formats/json/jwrite.h"
#include "verify/atlas/rollup.h"

#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_CAP = 256 << 20, NAME_CAP = 512, DEPTH = 1 };

#define BEGINS "{\"format\": \"" FORMAT_ATLAS "\""

static bool is_atlas(const struct io *io, int fd, uint64_t size)
{
	return dest_begins(io, fd, size, BEGINS, strlen(BEGINS));
}

const struct dest_kind atlas_kind = { "an error atlas", is_atlas };

bool atlas_is_file(const struct io *io, const char *path)
{
	struct err ignored = { 0 };
	const char *name;
	struct stat st;
	int dir, fd;
	bool is;

	if (file_open_above(io, path, &dir, &name, &ignored))
		return false;
	fd = io->open(io, dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	(void)io->close(io, dir); /* read only */
	if (fd < 0)
		return false;
	is = !io->fstat(io, fd, &st) && S_ISREG(st.st_mode) &&
		dest_begins(io, fd, (uint64_t)st.st_size, "{", 1);
	(void)io->close(io, fd); /* read only */
	return is;
}

/* --- writing --- */

static void f64_or_null(struct jwrite *o, const char *key, double v, bool known)
{
	if (known)
		jwrite_f64(o, key, v); /* NaN is null by itself */
	else
		jwrite_null(o, key);
}

static void put_head(const struct atlas *a, const char *made_by, size_t n, struct text *t)
{
	struct jwrite o;

	jwrite_begin(&o, t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_ATLAS);
	jwrite_str(&o, "made_by", made_by);
	jwrite_u64(&o, "tensors", n);
	if (*a->imatrix)
		jwrite_str(&o, "imatrix_sha256", a->imatrix);
	else
		jwrite_null(&o, "imatrix_sha256");
	jwrite_hex(&o, "source_xxh3_128", a->source.b, sizeof a->source.b);
	jwrite_hex(&o, "out_xxh3_128", a->out.b, sizeof a->out.b);
	if (a->has_made)
		jwrite_hex(&o, "files_xxh3_128", a->made.b, sizeof a->made.b);
	else
		jwrite_null(&o, "files_xxh3_128");
	jwrite_close(&o, '}');
}

/* What a tensor and a roll-up have alike. */
static void put_figures(struct jwrite *o, const struct sums *s, uint64_t bytes, bool clips,
	bool weighed)
{
	jwrite_u64(o, "values", s->n);
	jwrite_u64(o, "bytes", bytes);
	jwrite_f64(o, "bits_per_weight", atlas_bits(bytes, s->n));
	jwrite_f64(o, "relative_rms", sums_rms(s->error, s->energy));
	jwrite_f64(o, "sqnr_db", sums_sqnr(s->error, s->energy));
	jwrite_f64(o, "max_abs", s->max_abs);
	jwrite_f64(o, "cosine", sums_cosine(s));
	jwrite_u64(o, "exact", s->exact);
	jwrite_f64(o, "exact_fraction", (double)s->exact / (double)s->n);
	jwrite_u64(o, "flushed", s->flushed);
	if (clips)
		jwrite_u64(o, "clipped", s->clipped);
	else
		jwrite_null(o, "clipped");
	jwrite_u64(o, "not_finite", s->odd);
	jwrite_f64(o, "energy", s->energy);
	jwrite_f64(o, "error", s->error);
	jwrite_f64(o, "cross", s->cross);
	jwrite_f64(o, "out_energy", s->out);
	f64_or_null(o, "weighed_rms", sums_rms(s->weighed_error, s->weighed_energy), weighed);
	f64_or_null(o, "weighed_energy", s->weighed_energy, weighed);
	f64_or_null(o, "weighed_error", s->weighed_error, weighed);
}

static void put_entry(const struct atlas_entry *x, struct text *t)
{
	char block[ATLAS_WORD];
	long expert = atlas_expert(x->tensor);
	struct jwrite o;

	atlas_block(x->tensor, block);
	jwrite_begin(&o, t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "tensor", x->tensor);
	jwrite_str(&o, "role", x->role);
	jwrite_str(&o, "block", block);
	if (expert < 0)
		jwrite_null(&o, "expert");
	else
		jwrite_u64(&o, "expert", (uint64_t)expert);
	jwrite_str(&o, "from", x->from);
	jwrite_str(&o, "to", x->to);
	put_figures(&o, &x->s, x->bytes, x->clips, x->weighed);
	f64_or_null(&o, "tokens", x->use, x->use >= 0);
	jwrite_hex(&o, "source_xxh3_128", x->source.b, sizeof x->source.b);
	jwrite_hex(&o, "out_xxh3_128", x->out.b, sizeof x->out.b);
	jwrite_close(&o, '}');
}

static void put_rollup(const struct rollup *r, struct text *t)
{
	struct jwrite o;

	jwrite_begin(&o, t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "rollup", r->by);
	jwrite_str(&o, "name", rollup_name(r));
	jwrite_u64(&o, "tensors", r->tensors);
	put_figures(&o, &r->s, r->bytes, r->clips, r->weighed);
	f64_or_null(&o, "relative_rms_by_use", sums_rms(r->used_error, r->used_energy),
		r->used_energy > 0);
	if (r->worst)
		jwrite_str(&o, "worst", r->worst->tensor);
	else
		jwrite_null(&o, "worst");
	jwrite_close(&o, '}');
}

int atlas_put(const struct atlas *a, const char *made_by, struct text *out, struct err *e)
{
	char last[ATLAS_LAST_LINE];
	struct rollups sums;
	size_t i, n = 0;

	if (rollups_make(&sums, a, e)) {
		rollups_free(&sums);
		return -1;
	}
	for (i = 0; i < a->n; i++)
		n += a->v[i].s.n != 0;
	put_head(a, made_by, n, out);
	for (i = 0; i < a->n; i++)
		if (a->v[i].s.n)
			put_entry(&a->v[i], out);
	for (i = 0; i < sums.n; i++)
		put_rollup(&sums.v[i], out);
	n += 1 + sums.n;
	rollups_free(&sums);
	if (out->failed)
		return err_nomem(e);
	atlas_last_line(last, n, xxh_of(out->s, out->n));
	text_fmt(out, "%s", last);
	return out->failed ? err_nomem(e) : 0;
}

/* --- reading --- */

/* What a member is, and where it goes; what follows from others is passed over. */
enum member { PASSED, COUNT, COUNT_OR_NULL, REAL, REAL_OR_NULL, WORD, DIGEST };

static const struct field {
	const char *name;
	enum member is;
	size_t at;   /* in struct atlas_entry */
	size_t flag; /* a bool that says that it was no null; 0: none */
} fields[] = {
#define AT(m) offsetof(struct atlas_entry, m)
	{ "tensor", PASSED, 0, 0 },
	{ "role", PASSED, 0, 0 },
	{ "block", PASSED, 0, 0 },
	{ "expert", PASSED, 0, 0 },
	{ "from", WORD, AT(from), 0 },
	{ "to", WORD, AT(to), 0 },
	{ "values", COUNT, AT(s.n), 0 },
	{ "bytes", COUNT, AT(bytes), 0 },
	{ "bits_per_weight", PASSED, 0, 0 },
	{ "relative_rms", PASSED, 0, 0 },
	{ "sqnr_db", PASSED, 0, 0 },
	{ "max_abs", REAL, AT(s.max_abs), 0 },
	{ "cosine", PASSED, 0, 0 },
	{ "exact", COUNT, AT(s.exact), 0 },
	{ "exact_fraction", PASSED, 0, 0 },
	{ "flushed", COUNT, AT(s.flushed), 0 },
	{ "clipped", COUNT_OR_NULL, AT(s.clipped), AT(clips) },
	{ "not_finite", COUNT, AT(s.odd), 0 },
	{ "energy", REAL, AT(s.energy), 0 },
	{ "error", REAL, AT(s.error), 0 },
	{ "cross", REAL, AT(s.cross), 0 },
	{ "out_energy", REAL, AT(s.out), 0 },
	{ "weighed_rms", PASSED, 0, 0 },
	{ "weighed_energy", REAL_OR_NULL, AT(s.weighed_energy), AT(weighed) },
	{ "weighed_error", REAL_OR_NULL, AT(s.weighed_error), 0 },
	{ "tokens", REAL_OR_NULL, AT(use), 0 },
	{ "source_xxh3_128", DIGEST, AT(source), 0 },
	{ "out_xxh3_128", DIGEST, AT(out), 0 },
#undef AT
};
enum { FIELDS = sizeof fields / sizeof *fields };

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_ATLAS_FILE, ERR_NOPOS, "%s", what);
}

/* A number that may stand in a sum of squares, or null. */
static int read_real(struct jread *j, const struct field *f, char *x)
{
	double v;

	if (f->is == REAL_OR_NULL && jread_peek(j) == 'n')
		return jread_skip(j);
	if (jread_real(j, &v))
		return -1;
	if (!isfinite(v) || (v < 0 && strcmp(f->name, "cross") != 0))
		return wrong(j->e, "a figure is negative or infinite");
	memcpy(x + f->at, &v, sizeof v);
	if (f->flag)
		x[f->flag] = true;
	return 0;
}

static int read_count(struct jread *j, const struct field *f, char *x)
{
	uint64_t v;

	if (f->is == COUNT_OR_NULL && jread_peek(j) == 'n')
		return jread_skip(j);
	if (jread_u64(j, (uint64_t)1 << 53, &v))
		return -1;
	memcpy(x + f->at, &v, sizeof v);
	if (f->flag)
		x[f->flag] = true;
	return 0;
}

static int read_field(struct jread *j, const struct field *f, struct atlas_entry *x)
{
	char *to = (char *)x;

	switch (f->is) {
	case COUNT:
	case COUNT_OR_NULL:
		return read_count(j, f, to);
	case REAL:
	case REAL_OR_NULL:
		return read_real(j, f, to);
	case WORD:
		if (jread_string(j, sizeof x->from - 1))
			return -1;
		memcpy(to + f->at, j->str.s, j->str.n + 1);
		return 0;
	case DIGEST:
		if (jread_string(j, 32))
			return -1;
		return j->str.n == 32 && hex_to(j->str.s, (uint8_t *)(to + f->at), 16)
			? 0
			: wrong(j->e, "a digest is none");
	default:
		return jread_skip(j);
	}
}

/* The entry of a line, whose first member is its tensor. */
static int read_members(struct atlas *a, struct jread *j, struct err *e)
{
	struct atlas_entry *x;
	size_t next = 0;
	int more;

	if (jread_object(j) || jread_key(j) != 1 || strcmp(j->str.s, "tensor") != 0 ||
		jread_string(j, NAME_CAP))
		return wrong(e, "a line does not begin with a tensor");
	if (memchr(j->str.s, 0, j->str.n))
		return wrong(e, "a name has a NUL");
	if (a->n && strcmp(a->v[a->n - 1].tensor, j->str.s) >= 0)
		return wrong(e, "tensors are not in order");
	x = atlas_add(a, j->str.s);
	if (!x)
		return err_nomem(e);
	for (next = 1; (more = jread_key(j)) == 1; next++) {
		if (next == FIELDS || strcmp(j->str.s, fields[next].name) != 0)
			return wrong(e, "a line has other members than it must");
		if (read_field(j, &fields[next], x))
			return -1;
	}
	if (more || next != FIELDS || jread_end(j, false))
		return wrong(e, "a line has other members than it must");
	if (!x->s.n || x->s.exact > x->s.n || x->s.flushed > x->s.n || x->s.clipped > x->s.n ||
		x->s.odd > x->s.n)
		return wrong(e, "counts that cannot be");
	return 0;
}

static int read_entry(struct atlas *a, const char *line, size_t n, struct err *e)
{
	struct jread j;
	int rc;

	jread_open_mem(&j, line, n, DEPTH, e);
	rc = read_members(a, &j, e);
	jread_close(&j);
	return rc;
}

/* Reads the first line; *n becomes how many tensors there are. */
static int read_head(struct atlas *a, const char *line, size_t len, uint64_t *n, struct err *e)
{
	struct atlas_head h;

	if (atlas_head_line(&h, line, len, e))
		return -1;
	a->source = h.source;
	a->out = h.out;
	a->made = h.files;
	a->has_made = h.has_files;
	memcpy(a->imatrix, h.imatrix, sizeof a->imatrix);
	*n = h.tensors;
	return 0;
}

/* Where the last line begins; NULL: there is none, or it is not the digest of what stands before it. */
static const char *sealed(const struct text *t)
{
	const char *end = t->n ? t->s + t->n - 1 : NULL, *last;
	char want[ATLAS_LAST_LINE];
	size_t lines = 0, i, n;

	if (!end || *end != '\n')
		return NULL;
	for (last = end; last > t->s && last[-1] != '\n'; last--)
		;
	n = (size_t)(last - t->s);
	for (i = 0; i < n; i++)
		lines += t->s[i] == '\n';
	atlas_last_line(want, lines, xxh_of(t->s, n));
	return strcmp(last, want) ? NULL : last;
}

static int read_lines(struct atlas *a, const struct text *t, const char *last, struct err *e)
{
	const char *at, *end;
	uint64_t n = 0, k;
	int rc = 0;

	for (at = t->s, k = 0; !rc && at < last && k <= n; at = end + 1, k++) {
		end = strchr(at, '\n');
		rc = k ? read_entry(a, at, (size_t)(end - at), e)
		       : read_head(a, at, (size_t)(end - at), &n, e);
	}
	/* what follows are roll-ups, which are made anew */
	return rc ? rc : k == n + 1 ? 0 : wrong(e, "it has fewer tensors than its head says");
}

int atlas_read(struct atlas *a, const struct io *io, const char *path, struct err *e)
{
	struct xxh_digest said[2];
	struct text t = { 0 };
	const char *name, *last;
	int dir, rc;

	if (file_open_above(io, path, &dir, &name, e))
		return -1;
	rc = file_load(io, dir, name, FILE_CAP, &t, e);
	(void)io->close(io, dir); /* read only */
	if (!rc && (!t.n || memchr(t.s, 0, t.n) || strncmp(t.s, BEGINS, strlen(BEGINS)) != 0))
		rc = wrong(e, "it is no error atlas of dsv4-verify");
	last = rc ? NULL : sealed(&t);
	if (!rc && !last)
		rc = wrong(e,
			"it is not as it was written: its last line is not the digest of the others");
	if (!rc && read_lines(a, &t, last, e))
		rc = atlas_file_err(e);
	text_free(&t);
	said[0] = a->source;
	said[1] = a->out;
	rc = rc ? rc : atlas_seal(a, e);
	if (!rc &&
		(memcmp(&said[0], &a->source, sizeof said[0]) != 0 ||
			memcmp(&said[1], &a->out, sizeof said[1]) != 0))
		rc = wrong(e, "its digests are not those of its tensors");
	return rc ? err_at(e, "%s", text_quote(path).s) : 0;
}
