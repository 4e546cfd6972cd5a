/* test_allot.c -- choices under a size (quant/allot.h) against all choices of small cases: what is chosen fits, is no better than the
 * best, and no worse than its stated bound says; hulls, ties, bad budgets.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/allot.h"
#include "tests/check.h"

enum { UNITS = 6, OPTIONS = 5 };

struct small {
	struct allot_option v[UNITS][OPTIONS];
	struct allot_unit u[UNITS];
	size_t n;
};

/* kind 0: any; 1: few different numbers, so that there are ties; 2: errors that fall with bytes as those of types do. */
static void make(struct small *s, unsigned kind)
{
	size_t i, k;

	s->n = 1 + rnd(UNITS);
	for (i = 0; i < s->n; i++) {
		s->u[i] = (struct allot_unit){ s->v[i], 1 + rnd(OPTIONS), 0 };
		for (k = 0; k < s->u[i].n; k++) {
			s->v[i][k].bytes = kind == 1 ? rnd(4) : 1 + rnd(1000);
			s->v[i][k].error = kind == 1 ? rnd(4) : rnd(100000) / 1000.0;
			if (kind == 2)
				s->v[i][k].error = 1e6 /
					((double)s->v[i][k].bytes * (double)s->v[i][k].bytes +
						rnd(1000));
		}
	}
}

/* The least error of all choices of at most so many bytes; -1: there is none. */
static double best_of(const struct small *s, uint64_t budget)
{
	size_t at[UNITS] = { 0 }, i;
	uint64_t bytes;
	double error, best = -1;

	for (;;) {
		for (i = 0, bytes = 0, error = 0; i < s->n; i++) {
			bytes += s->v[i][at[i]].bytes;
			error += s->v[i][at[i]].error;
		}
		if (bytes <= budget && (best < 0 || error < best))
			best = error;
		for (i = 0; i < s->n && ++at[i] == s->u[i].n; i++)
			at[i] = 0;
		if (i == s->n)
			return best;
	}
}

/* What is picked, added up. */
static void sum(const struct small *s, struct allot_result *r)
{
	size_t i;

	r->bytes = 0;
	r->error = 0;
	for (i = 0; i < s->n; i++) {
		r->bytes += s->v[i][s->u[i].pick].bytes;
		r->error += s->v[i][s->u[i].pick].error;
	}
}

static void against_all(void)
{
	struct small s, again;
	struct allot_result r, is;
	unsigned i, equal = 0, feasible = 0;
	uint64_t budget;
	double best, slack = 1e-9;

	for (i = 0; i < 3000; i++) {
		struct err e = { 0 };

		make(&s, i % 3);
		budget = rnd(i % 3 == 1 ? 16 : 3000);
		best = best_of(&s, budget);
		CHECK((best < 0) == (allot_least(s.u, s.n) > budget));
		CHECK((best < 0) == (allot_choose(s.u, s.n, budget, &r, &e) != 0));
		if (best < 0) {
			CHECK(e.kind == ERR_USAGE);
			continue;
		}
		sum(&s, &is);
		CHECK(is.bytes == r.bytes && r.bytes <= budget);
		CHECK(is.error >= r.error - slack && is.error <= r.error + slack);
		CHECK(r.bound <= best + slack && best <= r.error + slack);
		feasible++;
		equal += r.error <= best + slack;
		/* the same once more, whatever was picked before */
		again = s;
		for (size_t k = 0; k < s.n; k++)
			again.u[k] = (struct allot_unit){ again.v[k], s.u[k].n,
				rnd((uint32_t)s.u[k].n) };
		CHECK(!allot_choose(again.u, again.n, budget, &is, &e));
		CHECK(is.bytes == r.bytes && !memcmp(&is.error, &r.error, sizeof r.error));
		for (size_t k = 0; k < s.n; k++)
			CHECK(again.u[k].pick == s.u[k].pick);
	}
	printf("# the best of all in %u of %u\n", equal, feasible);
	CHECK(feasible > 1500 && equal * 10 > feasible * 8);
}

/* Every point of the frontier is the best for its bytes; they begin at the fewest bytes and end at the least error. */
static void frontier(void)
{
	struct small s;
	struct allot_point *v;
	struct allot_result r;
	struct err e = { 0 };
	size_t n, k;
	unsigned i;
	double best;

	for (i = 0; i < 500; i++) {
		make(&s, i % 3);
		CHECK(!allot_frontier(s.u, s.n, &v, &n, &e) && n);
		CHECK(v[0].bytes == allot_least(s.u, s.n));
		for (k = 0; k < n; k++) {
			best = best_of(&s, v[k].bytes);
			CHECK(v[k].error <= best + 1e-9 && v[k].error >= best - 1e-9);
			CHECK(!k || (v[k].bytes > v[k - 1].bytes && v[k].error < v[k - 1].error));
			CHECK(!allot_choose(s.u, s.n, v[k].bytes, &r, &e));
			CHECK(r.error <= best + 1e-9 && r.error - r.bound <= 1e-9);
		}
		best = best_of(&s, UINT64_MAX);
		CHECK(v[n - 1].error <= best + 1e-9);
		free(v);
	}
}

static void limits(void)
{
	static const struct allot_option one[] = { { 10, 1 } }, far[] = { { UINT64_MAX - 5, 1 } },
					 tied[] = { { 10, 2 }, { 10, 2 }, { 10, 1 }, { 10, 1 } };
	struct allot_unit u[2] = { { one, 1, 0 }, { far, 1, 0 } }, t = { tied, 4, 0 };
	struct allot_result r;
	struct err e = { 0 };

	CHECK(allot_least(u, 2) == UINT64_MAX && allot_least(u, 1) == 10);
	CHECK(allot_choose(u, 2, 100, &r, &e) && e.kind == ERR_USAGE);
	e = (struct err){ 0 };
	CHECK(!allot_choose(u, 1, UINT64_MAX, &r, &e) && r.bytes == 10 && !u[0].pick);
	CHECK(!allot_choose(&t, 1, 10, &r, &e) && t.pick == 2);
	CHECK(allot_choose(&t, 1, 9, &r, &e));
	e = (struct err){ 0 };
	CHECK(!allot_choose(NULL, 0, 0, &r, &e) && r.bytes == 0 && !(r.error > 0));
}

static const struct test tests[] = { { "allot: against all", against_all },
	{ "allot: frontier", frontier }, { "allot: limits", limits }, { NULL, NULL } };
TEST_MAIN(tests)
