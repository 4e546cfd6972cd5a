/* SPDX-License-Identifier: MIT */
#include "quant/cb4_learn.h"

#include "quant/cb4_lloyd.h"
#include "quant/num.h"

#include <math.h>
#include <string.h>

enum {
	RUN = 16,                    /* rows that are read together */
	SAMPLE = 2 << 20,            /* bytes of codes */
	SCALES = SAMPLE / CB4_BLOCK, /* and their scales */
	PAGE = 1 << 20,              /* scales that are read together when all of them are */
	POINTS = CB4_MAGNITUDES * CB4_TRIES * 256,
	AGAIN = 10,      /* times that the sample is encoded */
	HEADROOM = 134,  /* amax is below 2^9, and 2^15 times as much has a scale: 127 + 15 - 8 */
	LEAST = -100,    /* of the power: levels are normal numbers of FP32 */
	NUMBER_BITS = 8, /* codes of E5M3 to a power of two */
	LOW = 7,         /* numbers that the level zero may have */
	HIGH = 8
};

struct room {
	struct cb4 look;
	struct cb4_point point[POINTS];
	double w[POINTS + 1], wx[POINTS + 1];
	uint32_t count[CB4_MAGNITUDES][CB4_TRIES]
		      [256]; /* values of blocks with that largest magnitude and scale */
	uint8_t codes[SAMPLE], scales[SCALES];
	uint8_t page[PAGE];
	size_t blocks; /* of the sample */
	bool zeros;    /* it has some, beside others in their block */
};

size_t cb4_learn_room(void)
{
	return sizeof(struct room);
}

static unsigned largest(const uint8_t *codes)
{
	unsigned n = 0, c;
	size_t i;

	for (i = 0; i < CB4_BLOCK; i++) {
		c = codes[i] & 127u;
		n = c > n ? c : n;
	}
	return n;
}

/* --- power --- */

/* Raises *top to the largest of n scales whose blocks are not all zeros; codes of the rows are read where one is larger. */
static int raise_top(int *top, const struct cb4_table *t, const uint8_t *scales, size_t n,
	uint64_t row, uint8_t *codes, struct err *e)
{
	size_t i;
	bool above = false;

	for (i = 0; i < n; i++)
		above = above || (scales[i] > *top && scales[i] != NUM_E8M0_NAN);
	if (!above)
		return 0;
	if (t->read(t->ctx, false, row * t->cols, codes, n * CB4_BLOCK, e))
		return -1;
	for (i = 0; i < n; i++)
		if (scales[i] > *top && scales[i] != NUM_E8M0_NAN && largest(codes + i * CB4_BLOCK))
			*top = scales[i];
	return 0;
}

/* Reads all scales for the largest, and codes of RUN rows where it may be among them. */
static int find_power(int *power, const struct cb4_table *t, struct room *r, struct err *e)
{
	size_t each = t->cols / CB4_BLOCK, rows = PAGE / each / RUN * RUN, n, k, run;
	uint64_t row;
	int top = -1;

	for (row = 0; row < t->rows; row += n) {
		n = t->rows - row < rows ? (size_t)(t->rows - row) : rows;
		if (t->read(t->ctx, true, row * each, r->page, n * each, e))
			return -1;
		for (k = 0; k < n; k += run) {
			run = n - k < RUN ? n - k : RUN;
			if (raise_top(&top, t, r->page + k * each, run * each, row + k, r->codes,
				    e))
				return -1;
		}
	}
	*power = top < 0 ? 0 : top - HEADROOM < LEAST ? LEAST : top - HEADROOM;
	return 0;
}

/* --- sample --- */

static int read_sample(const struct cb4_table *t, struct room *r, struct err *e)
{
	uint64_t runs = SAMPLE / (RUN * t->cols), all = (t->rows + RUN - 1) / RUN, j, row;
	size_t each = t->cols / CB4_BLOCK, n, at = 0;

	/* rows are below 2^46, and runs below 2^14: the product has room */
	for (j = 0; j < (all < runs ? all : runs); j++) {
		row = all <= runs ? j * RUN : j * t->rows / runs;
		n = t->rows - row < RUN ? (size_t)(t->rows - row) : RUN;
		if (t->read(t->ctx, false, row * t->cols, r->codes + at * CB4_BLOCK, n * t->cols,
			    e) ||
			t->read(t->ctx, true, row * each, r->scales + at, n * each, e))
			return -1;
		at += n * each;
	}
	r->blocks = at;
	return 0;
}

/* Whether block i is one by whose values levels are chosen; its largest magnitude. */
static bool is_of_it(const struct room *r, size_t i, unsigned *amax)
{
	*amax = largest(r->codes + i * CB4_BLOCK);
	return *amax && *amax < CB4_MAGNITUDES && r->scales[i] != NUM_E8M0_NAN &&
		r->look.first[*amax] + NUMBER_BITS * r->scales[i] >= NUMBER_BITS + 2;
}

/* Counts the values of block i at scale number k. */
static void count(struct room *r, size_t i, unsigned amax, unsigned k)
{
	const uint8_t *c = r->codes + i * CB4_BLOCK;
	size_t n;

	for (n = 0; n < CB4_BLOCK; n++)
		r->count[amax][k][c[n]]++;
}

/* Number of the scale that block i takes. */
static unsigned taken(struct room *r, size_t i, unsigned amax)
{
	static const uint8_t nth[CB4_TRIES] = { 3, 1, 0, 2 }; /* of q-2, q-1, q, q+1 */
	uint8_t to[CB4_BLOCK / 2], scale;
	bool changed;

	(void)cb4_quick(&r->look, r->codes + i * CB4_BLOCK, r->scales + i, CB4_BLOCK, to, &scale,
		&changed); /* it has no NaN */
	return nth[scale - (r->look.first[amax] + NUMBER_BITS * r->scales[i]) + 2];
}

/* Counts all values, each at the scale that its block has now; first: the largest magnitude. */
static void count_all(struct room *r, bool first)
{
	unsigned amax;
	size_t i;

	memset(r->count, 0, sizeof r->count);
	for (i = 0; i < r->blocks; i++) {
		if (!is_of_it(r, i, &amax))
			continue;
		count(r, i, amax, first ? 0 : taken(r, i, amax));
	}
}

/* --- levels --- */

/* The values that were counted, over their scales. Returns how many there are. */
static size_t points(struct room *r)
{
	double amax, scale, part;
	unsigned a, k, c;
	size_t n = 0;

	for (a = 1; a < CB4_MAGNITUDES; a++)
		for (k = 0; k < CB4_TRIES; k++) {
			amax = (double)num_e4m3(a);
			scale = cb4_scale_at(a, k);
			part = scale / amax;
			r->zeros = r->zeros || r->count[a][k][0] || r->count[a][k][0x80];
			for (c = 0; c < 256; c++)
				if (r->count[a][k][c])
					r->point[n++] =
						(struct cb4_point){ (double)num_e4m3(c) / scale,
							r->count[a][k][c] * (part * part) };
		}
	cb4_lloyd_sort(r->point, n, r->w, r->wx);
	return n;
}

/* Levels from -1 to 1; fixed: the number of the one that is zero, CB4_LEVELS: none. */
static void spread(double *level, unsigned fixed)
{
	unsigned i;

	for (i = 0; i < CB4_LEVELS; i++)
		level[i] = fixed == CB4_LEVELS ? (2.0 * i - 15) / 15
			: i < fixed            ? ((double)i - fixed) / fixed
					       : ((double)i - fixed) / (15 - fixed);
}

/* The first levels, of the n points there are. Returns the number that is zero for good; CB4_LEVELS: none. */
static unsigned begin(double *level, const struct room *r, size_t n)
{
	double low[CB4_LEVELS], high[CB4_LEVELS];

	if (n && !r->zeros) {
		spread(level, CB4_LEVELS);
		cb4_lloyd(level, CB4_LEVELS, r->point, n, r->w, r->wx);
		return CB4_LEVELS;
	}
	spread(low, LOW);
	spread(high, HIGH);
	cb4_lloyd(low, LOW, r->point, n, r->w, r->wx);
	cb4_lloyd(high, HIGH, r->point, n, r->w, r->wx);
	if (cb4_lloyd_error(high, r->point, n) < cb4_lloyd_error(low, r->point, n)) {
		memcpy(level, high, sizeof high);
		return HIGH;
	}
	memcpy(level, low, sizeof low);
	return LOW;
}

/* The levels as a table has them. */
static void put(struct cb4_book *b, const double *level)
{
	unsigned i;

	for (i = 0; i < CB4_LEVELS; i++)
		b->level[i] = (float)ldexp(level[i], b->power);
}

int cb4_learn(struct cb4_book *b, const struct cb4_table *t, unsigned features, void *room,
	struct err *e)
{
	struct room *r = room;
	double level[CB4_LEVELS];
	unsigned fixed, k;
	size_t n;

	*b = (struct cb4_book){ 0 };
	r->zeros = false;
	if (find_power(&b->power, t, r, e) || read_sample(t, r, e))
		return -1;
	cb4_make(&r->look, b, features);
	count_all(r, true);
	n = points(r);
	fixed = begin(level, r, n);
	for (k = 0; n && k < AGAIN; k++) {
		put(b, level);
		cb4_make(&r->look, b, features);
		count_all(r, false);
		n = points(r);
		cb4_lloyd(level, fixed, r->point, n, r->w, r->wx);
	}
	put(b, level);
	return 0;
}
