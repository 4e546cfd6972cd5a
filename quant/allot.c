/* SPDX-License-Identifier: MIT */
#include "quant/allot.h"

#include "core/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* From one option of a unit's hull to the next. */
struct hop {
	size_t unit;
	size_t to;      /* option */
	uint64_t bytes; /* more than before */
	double error;   /* less than before */
	double worth;   /* error for a byte; within a unit it falls from hop to hop */
};

struct hops {
	struct hop *v; /* owns */
	size_t n, cap;
};

/* --- the hull of a unit --- */

/* Orders options by bytes, of the same bytes the one of less error first, of the same error too the first. */
static bool comes_before(const struct allot_option *v, size_t a, size_t b)
{
	if (v[a].bytes != v[b].bytes)
		return v[a].bytes < v[b].bytes;
	return v[a].error < v[b].error || (!(v[b].error < v[a].error) && a < b);
}

static void sort_options(const struct allot_option *v, size_t n, size_t order[ALLOT_OPTIONS])
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		for (k = i; k && comes_before(v, i, order[k - 1]); k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
}

static double worth(const struct allot_option *from, const struct allot_option *to)
{
	return (from->error - to->error) / (double)(to->bytes - from->bytes);
}

/* Writes the options of the lower convex hull to hull, by bytes, and returns how many: each has less error than the one before,
 * and saves less for a byte than it did. */
static size_t hull_of(const struct allot_unit *u, size_t hull[ALLOT_OPTIONS])
{
	const struct allot_option *v = u->v;
	size_t order[ALLOT_OPTIONS], i, n = 0;

	assert(u->n && u->n <= ALLOT_OPTIONS);
	sort_options(v, u->n, order);
	for (i = 0; i < u->n; i++) {
		if (n && !(v[order[i]].error < v[hull[n - 1]].error))
			continue;
		while (n > 1 &&
			worth(&v[hull[n - 2]], &v[hull[n - 1]]) <=
				worth(&v[hull[n - 1]], &v[order[i]]))
			n--;
		hull[n++] = order[i];
	}
	return n;
}

/* Picks the first option of each unit's hull, and adds the hops from there. */
static int add_hops(struct hops *h, struct allot_unit *u, size_t unit, struct err *e)
{
	size_t hull[ALLOT_OPTIONS], n = hull_of(u, hull), i;
	const struct allot_option *from, *to;

	u->pick = hull[0];
	if (mem_grow(&h->v, &h->cap, h->n + n, sizeof *h->v))
		return err_nomem(e);
	for (i = 1; i < n; i++) {
		from = &u->v[hull[i - 1]];
		to = &u->v[hull[i]];
		h->v[h->n++] = (struct hop){ unit, hull[i], to->bytes - from->bytes,
			from->error - to->error, worth(from, to) };
	}
	return 0;
}

static int by_worth(const void *a, const void *b)
{
	const struct hop *x = a, *y = b;

	if (x->worth > y->worth || x->worth < y->worth)
		return x->worth > y->worth ? -1 : 1;
	if (x->unit != y->unit)
		return x->unit < y->unit ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* never: worth falls within a unit */
}

/* All hops in the order in which they are taken; every unit's pick is the first of its hull. */
static int make_hops(struct hops *h, struct allot_unit *u, size_t n, struct err *e)
{
	size_t i;

	*h = (struct hops){ 0 };
	for (i = 0; i < n; i++)
		if (add_hops(h, &u[i], i, e)) {
			free(h->v);
			return -1;
		}
	if (h->n)
		qsort(h->v, h->n, sizeof *h->v, by_worth);
	return 0;
}

/* --- choices --- */

static uint64_t bytes_of(const struct allot_unit *u, size_t n)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (!mem_add(sum, u[i].v[u[i].pick].bytes, &sum))
			return UINT64_MAX;
	return sum;
}

static double error_of(const struct allot_unit *u, size_t n)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += u[i].v[u[i].pick].error;
	return sum;
}

uint64_t allot_least(const struct allot_unit *u, size_t n)
{
	uint64_t sum = 0, least;
	size_t i, k;

	for (i = 0; i < n; i++) {
		for (least = u[i].v[0].bytes, k = 1; k < u[i].n; k++)
			least = u[i].v[k].bytes < least ? u[i].v[k].bytes : least;
		if (!mem_add(sum, least, &sum))
			return UINT64_MAX;
	}
	return sum;
}

/* Takes the option that saves most within so many bytes more, over and over. Each time the sum of errors falls. */
static void fill(struct allot_unit *u, size_t n, uint64_t room)
{
	const struct allot_option *is, *to;
	size_t i, k, unit, best;
	double save;

	for (;;) {
		unit = best = 0;
		save = 0;
		for (i = 0; i < n; i++)
			for (is = &u[i].v[u[i].pick], k = 0; k < u[i].n; k++) {
				to = &u[i].v[k];
				if (is->error - to->error > save &&
					(to->bytes <= is->bytes || to->bytes - is->bytes <= room)) {
					save = is->error - to->error;
					unit = i;
					best = k;
				}
			}
		if (!(save > 0))
			return;
		room += u[unit].v[u[unit].pick].bytes;
		room -= u[unit].v[best].bytes;
		u[unit].pick = best;
	}
}

/* Takes hops as long as all before them fit. Sets *bound to what the first that does not would reach in part. */
static void take_hops(struct allot_unit *u, size_t n, const struct hops *h, uint64_t *room,
	double *bound)
{
	size_t i;

	for (i = 0; i < h->n && h->v[i].bytes <= *room; i++) {
		u[h->v[i].unit].pick = h->v[i].to;
		*room -= h->v[i].bytes;
	}
	*bound = error_of(u, n);
	if (i < h->n)
		*bound -= h->v[i].worth * (double)*room;
	*bound = *bound > 0 ? *bound : 0;
}

int allot_choose(struct allot_unit *u, size_t n, uint64_t budget, struct allot_result *r,
	struct err *e)
{
	uint64_t least = allot_least(u, n), room;
	struct hops h;

	memset(r, 0, sizeof *r);
	if (least > budget)
		return err_set(e, ERR_USAGE, "fewer bytes than any choice has");
	if (make_hops(&h, u, n, e))
		return -1;
	room = budget - least;
	take_hops(u, n, &h, &room, &r->bound);
	fill(u, n, room);
	r->bytes = bytes_of(u, n);
	r->error = error_of(u, n);
	/* Sums of the same errors in another order can differ in their last bits. */
	r->bound = r->bound < r->error ? r->bound : r->error;
	free(h.v);
	return 0;
}

int allot_frontier(struct allot_unit *u, size_t n, struct allot_point **v, size_t *n_points,
	struct err *e)
{
	struct hops h;
	size_t i;

	*v = NULL;
	*n_points = 0;
	if (make_hops(&h, u, n, e))
		return -1;
	*v = malloc((h.n + 1) * sizeof **v);
	if (!*v) {
		free(h.v);
		return err_nomem(e);
	}
	for (i = 0;; i++) {
		(*v)[i] = (struct allot_point){ bytes_of(u, n), error_of(u, n) };
		if (i == h.n)
			break;
		u[h.v[i].unit].pick = h.v[i].to;
	}
	*n_points = h.n + 1;
	free(h.v);
	return 0;
}
