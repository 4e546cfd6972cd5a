/* SPDX-License-Identifier: MIT */
#include "verify/compare/diff.h"

#include "formats/gguf/ggml_type.h"

#include "core/par.h"
#include "quant/num.h"
#include "verify/report/role_sum.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 << 10 };

/* --- values --- */

static double f16(uint16_t h)
{
	int e = h >> 10 & 31, m = h & 1023;
	double v = e == 31 ? (m ? (double)NAN : (double)INFINITY)
		: e        ? ldexp(1024 + m, e - 25)
			   : ldexp(m, -24);

	return h >> 15 ? -v : v;
}

static double signed_of(uint64_t v, unsigned bits)
{
	return bits < 64 && v >> (bits - 1) ? (double)v - ldexp(1, (int)bits) : (double)(int64_t)v;
}

/* The value of an element; two FP4 codes in a byte, also where the type says I8. */
static double value_of(unsigned dtype, const uint8_t *p, size_t i)
{
	unsigned bits = dtypes[dtype].bits;
	uint64_t v = 0;
	double d;

	if (dtype == DT_F4 || dtype == DT_I8)
		return (double)num_e2m1(p[i / 2] >> (i % 2 * 4) & 15);
	memcpy(&v, p + i * (bits / 8), bits / 8); /* little-endian, as the files are */
	switch (dtype) {
	case DT_F8_E4M3:
		return (double)num_e4m3((unsigned)v);
	case DT_F8_E8M0:
		return (double)num_e8m0((unsigned)v);
	case DT_BF16:
		return (double)num_bf16((uint16_t)v);
	case DT_F16:
		return f16((uint16_t)v);
	case DT_F32:
		return (double)num_f32((uint32_t)v);
	case DT_F64:
		memcpy(&d, &v, sizeof d);
		return d;
	case DT_I16:
	case DT_I32:
	case DT_I64:
		return signed_of(v, bits);
	default:
		return (double)v;
	}
}

static bool has_values(unsigned dtype)
{
	switch (dtype) {
	case DT_F6_E2M3:
	case DT_F6_E3M2:
	case DT_F8_E5M2:
	case DT_F8_E4M3FNUZ:
	case DT_F8_E5M2FNUZ:
	case DT_C64:
		return false;
	default:
		return true;
	}
}

static void add_value(struct diff_sum *s, double a, double b, uint64_t at)
{
	double d = fabs(a - b), top = fabs(a) > fabs(b) ? fabs(a) : fabs(b);

	s->changed++;
	if (!isfinite(d)) {
		s->odd++;
		return;
	}
	if (d > s->max_abs || (s->changed == s->odd + 1 && !s->at)) {
		s->max_abs = d;
		s->at = at;
	}
	if (top > 0 && d / top > s->max_rel)
		s->max_rel = d / top;
}

bool diff_values(struct diff_sum *s, unsigned dtype, const uint8_t *a, const uint8_t *b, size_t n,
	uint64_t first)
{
	unsigned bits = dtype == DT_I8 ? 4 : dtypes[dtype].bits;
	size_t count = n * 8 / bits, i, at, len = bits / 8;

	if (!has_values(dtype))
		return false;
	s->values += count;
	for (i = 0; i < count; i++) {
		at = i * bits / 8;
		if (len ? !memcmp(a + at, b + at, len)
			: !((a[at] ^ b[at]) >> (i % 2 * 4) & 15)) /* a nibble */
			continue;
		add_value(s, value_of(dtype, a, i), value_of(dtype, b, i), first + i);
	}
	return true;
}

/* --- tensors --- */

/* A key that both have. */
struct pair {
	const struct tensors_entry *a, *b;
	bool differs, known; /* known: by digest, nothing was read */
	bool measured;
	uint64_t bytes; /* that differ */
	struct diff_sum sum;
	struct err *
		err; /* owns; what reading met; NULL: nothing. A checkpoint may have a million pairs. */
};

struct diff {
	const struct diff_opts *o;
	struct tensors a, b;
	struct pair *pairs; /* owns */
	size_t n, cap;
	struct progress *progress;
	pthread_mutex_t lock; /* guards next */
	size_t next;
};

static bool same_type(const struct tensors_entry *a, const struct tensors_entry *b)
{
	return a->dtype == b->dtype && a->ggml == b->ggml && a->rank == b->rank &&
		(!a->rank || !memcmp(a->dim, b->dim, a->rank * sizeof *a->dim));
}

static void only(struct report *r, const struct tensors *t, const struct tensors_entry *v,
	const char *where)
{
	report_add(r, RULE_DIFF_ONLY,
		&(struct report_place){
			.file = t->files[v->file].path, .tensors = &v->key, .n_tensors = 1 },
		"tensor %s is only in %s", text_quote(v->key).s, where);
}

static void put_shape(struct text *t, const struct tensors_entry *v)
{
	unsigned i;

	text_fmt(t, "%s [", v->ggml ? ggml_type_name(v->ggml) : dtypes[v->dtype].name);
	for (i = 0; i < v->rank; i++)
		text_fmt(t, i ? ", %llu" : "%llu", (unsigned long long)v->dim[i]);
	text_str(t, "]");
}

static void other_type(struct report *r, const struct tensors *t, const struct tensors_entry *a,
	const struct tensors_entry *b)
{
	struct text x = { 0 }, y = { 0 };

	put_shape(&x, a);
	put_shape(&y, b);
	report_add(r,
		a->dtype != b->dtype || a->ggml != b->ggml ? RULE_DIFF_DTYPE : RULE_DIFF_SHAPE,
		&(struct report_place){
			.file = t->files[b->file].path, .tensors = &a->key, .n_tensors = 1 },
		"tensor %s is %s in the first and %s in the second", text_quote(a->key).s,
		x.s ? x.s : "", y.s ? y.s : "");
	text_free(&x);
	text_free(&y);
}

/* Walks both lists, which are sorted. */
static int match(struct diff *d, struct report *r, struct err *e)
{
	const struct tensors_entry *a = d->a.v, *b = d->b.v;
	const struct tensors_entry *a_end = a + d->a.n, *b_end = b + d->b.n;
	int c;

	while (a < a_end || b < b_end) {
		c = a == a_end ? 1 : b == b_end ? -1 : strcmp(a->key, b->key);
		if (c < 0) {
			only(r, &d->a, a++, "the first");
		} else if (c > 0) {
			only(r, &d->b, b++, "the second");
		} else if (!same_type(a, b)) {
			other_type(r, &d->b, a++, b);
			b++;
		} else {
			if (mem_grow(&d->pairs, &d->cap, d->n + 1, sizeof *d->pairs))
				return err_nomem(e);
			d->pairs[d->n++] = (struct pair){ .a = a++, .b = b++ };
		}
	}
	return 0;
}

/* --- reading --- */

static int compare_pair(struct diff *d, struct pair *p, uint8_t *x, uint8_t *y, struct err *e)
{
	unsigned bits = p->a->dtype == DT_I8 ? 4 : dtypes[p->a->dtype].bits;
	uint64_t at, i;
	size_t n;

	for (at = 0; at < p->a->bytes; at += n) {
		n = p->a->bytes - at < PIECE ? (size_t)(p->a->bytes - at) : PIECE;
		if (tensors_read(&d->a, p->a, at, x, n, e) ||
			tensors_read(&d->b, p->b, at, y, n, e))
			return -1;
		progress_add(d->progress, n);
		if (!memcmp(x, y, n))
			continue;
		p->differs = true;
		for (i = 0; i < n; i++)
			p->bytes += x[i] != y[i];
		p->measured =
			!p->a->ggml && diff_values(&p->sum, p->a->dtype, x, y, n, at * 8 / bits);
	}
	return 0;
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct diff *d = par_ctx(par);
	uint8_t *x = malloc(PIECE), *y = malloc(PIECE);
	struct err met;
	struct pair *p;
	size_t i;
	bool ok = x && y;

	(void)me;
	while (ok && !par_stopping(par)) {
		pthread_mutex_lock(&d->lock);
		i = d->next++;
		pthread_mutex_unlock(&d->lock);
		if (i >= d->n)
			break;
		p = &d->pairs[i];
		p->known = p->a->has_xxh && p->b->has_xxh &&
			!memcmp(&p->a->xxh, &p->b->xxh, sizeof p->a->xxh);
		memset(&met, 0, sizeof met);
		if (p->known || !compare_pair(d, p, x, y, &met))
			continue;
		p->err = malloc(sizeof *p->err);
		ok = p->err;
		if (ok)
			*p->err = met;
	}
	free(x);
	free(y);
	return ok ? 0 : err_nomem(e);
}

/* --- telling --- */

static void tell_pair(const struct diff *d, struct report *r, struct pair *p)
{
	struct report_place at = { .file = d->b.files[p->b->file].path,
		.from = p->b->at,
		.to = p->b->at + p->b->bytes,
		.tensors = &p->b->key,
		.n_tensors = 1 };
	uint64_t row = p->b->rank > 1 && p->b->dim[0] ? p->sum.values / p->b->dim[0] : 0;

	if (p->err) {
		report_take(r, &at, p->err);
		return;
	}
	if (!p->differs)
		return;
	if (!p->measured)
		report_add(r, RULE_DIFF_BYTES, &at, "%llu of %llu bytes differ",
			(unsigned long long)p->bytes, (unsigned long long)p->b->bytes);
	else
		report_add(r, RULE_DIFF_BYTES, &at,
			"%llu bytes and %llu values differ, by at most %.9g (value %llu%s%llu), "
			"relative at most %.4g; NaN or infinite on one side %llu",
			(unsigned long long)p->bytes, (unsigned long long)p->sum.changed,
			p->sum.max_abs, (unsigned long long)(row ? p->sum.at / row : p->sum.at),
			row ? "," : " of ",
			(unsigned long long)(row ? p->sum.at % row : p->sum.values), p->sum.max_rel,
			(unsigned long long)p->sum.odd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct role_sum *)a)->name, ((const struct role_sum *)b)->name);
}

static int tell_roles(const struct diff *d, struct report *r, struct err *e)
{
	struct roles roles = { 0 };
	struct role_sum *s;
	const struct pair *p;
	char text[160];
	size_t i;
	int rc = 0;

	r->grid.title = "largest relative difference of a value, by layer and expert";
	for (p = d->pairs; !rc && p < d->pairs + d->n; p++) {
		rc = grid_add(&r->grid, p->a->name, p->sum.max_rel, e);
		if (rc)
			break;
		s = roles_of(&roles, p->a->name);
		if (!s) {
			rc = err_nomem(e);
			break;
		}
		s->n++;
		s->bytes += p->a->bytes;
		s->changed += p->differs;
		s->max_abs = p->sum.max_abs > s->max_abs ? p->sum.max_abs : s->max_abs;
		s->max_rel = p->sum.max_rel > s->max_rel ? p->sum.max_rel : s->max_rel;
	}
	if (roles.n)
		qsort(roles.v, roles.n, sizeof *roles.v, by_name);
	for (i = 0; !rc && i < roles.n; i++) {
		s = &roles.v[i];
		if (!s->changed)
			continue;
		snprintf(text, sizeof text,
			"%llu of %llu tensors differ, values by at most %.9g, relative %.4g",
			(unsigned long long)s->changed, (unsigned long long)s->n, s->max_abs,
			s->max_rel);
		report_row(r, "roles that differ", s->name, s->changed, s->bytes, text);
		report_figure(r, "tensors", (double)s->n);
		report_figure(r, "max_abs", s->max_abs);
		report_figure(r, "max_rel", s->max_rel);
	}
	roles_free(&roles);
	return rc;
}

static int tell(struct diff *d, struct report *r, struct err *e)
{
	uint64_t same = 0, same_bytes = 0, known = 0, differ = 0, differ_bytes = 0;
	struct pair *p;

	for (p = d->pairs; p < d->pairs + d->n; p++) {
		*(p->differs ? &differ : &same) += 1;
		*(p->differs ? &differ_bytes : &same_bytes) += p->a->bytes;
		known += p->known;
		tell_pair(d, r, p);
	}
	report_row(r, "tensors", "in the first", d->a.n, 0, NULL);
	report_row(r, "tensors", "in the second", d->b.n, 0, NULL);
	report_row(r, "tensors", "the same", same, same_bytes, NULL);
	if (known)
		report_row(r, "tensors", "of these by digest, not read", known, 0, NULL);
	report_row(r, "tensors", "with other bytes", differ, differ_bytes, NULL);
	return tell_roles(d, r, e);
}

int diff_run(struct report *r, const char *a, const char *b, const struct diff_opts *o,
	struct err *e)
{
	struct diff d = { .o = o, .lock = PTHREAD_MUTEX_INITIALIZER };
	uint64_t bytes = 0;
	size_t i;
	int rc;

	if (tensors_open(&d.a, a, &o->open, r, e))
		return -1;
	if (tensors_open(&d.b, b, &o->open, r, e)) {
		tensors_close(&d.a);
		return -1;
	}
	rc = match(&d, r, e);
	for (i = 0; i < d.n; i++)
		bytes += d.pairs[i].a->bytes;
	if (o->started)
		d.progress = o->started(bytes);
	rc = rc ? rc : par_run(o->threads ? o->threads : 1, work, &d, e);
	progress_stop(d.progress);
	rc = rc ? rc : tell(&d, r, e);
	if (!rc)
		report_sort(r);
	pthread_mutex_destroy(&d.lock);
	for (i = 0; i < d.n; i++)
		free(d.pairs[i].err);
	free(d.pairs);
	tensors_close(&d.a);
	tensors_close(&d.b);
	return rc;
}
