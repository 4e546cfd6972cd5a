/* run.c -- a grid of blocks, a block of warps, a warp of 32 lanes that part and meet (ptx.h).
 *
 * SPDX-License-Identifier: MIT */
#include "core/mem.h"
#include "tests/ptx/module.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 1024, MAX_WARPS = MAX_THREADS / LANES, MAX_SHARED = 48 * 1024 };

/* Where the lanes of a warp are. */
struct lanes {
	struct warp w;
	uint32_t pc[LANES];
	uint32_t live, waiting; /* bits; waiting: at the barrier */
};

struct block {
	const struct kernel *k;
	const uint8_t *param;
	uint8_t *shared;
	struct lanes lanes[MAX_WARPS];
	unsigned n;
	uint64_t count;
	struct err *e;
};

static int fault(const struct block *b, const struct ins *i, const char *what)
{
	return err_set(b->e, ERR_DATA, "kernel %s, PTX line %u (%s): %s", b->k->name, i->line,
		i->op->name, what);
}

/* --- memory --- */

/* The bytes that lane l means; NULL: a fault was reported. */
static uint8_t *place(const struct block *b, const struct warp *w, const struct ins *i, unsigned l)
{
	uint64_t at = w->reg[i->a][l] + (uint64_t)i->imm, n = (uint64_t)i->op->bytes * i->vec;
	uint64_t end;

	if (i->space == SPACE_SHARED)
		at = (uint32_t)at;
	if (at % n) {
		fault(b, i, "an address that is not aligned");
		return NULL;
	}
	if (i->space == SPACE_GLOBAL || i->space == SPACE_CONST) {
		if (at < 4096)
			fault(b, i, "a null pointer");
		return at < 4096 ? NULL : (uint8_t *)(uintptr_t)at;
	}
	end = i->space == SPACE_SHARED ? b->k->shared_size : b->k->param_size;
	if (at > end || n > end - at) {
		fault(b, i,
			i->space == SPACE_SHARED ? "beyond shared memory" : "beyond the parameter");
		return NULL;
	}
	return (i->space == SPACE_SHARED ? b->shared : (uint8_t *)b->param) + at;
}

static uint64_t extend(uint64_t v, const struct op *op)
{
	if (!op->sign)
		return v;
	return (uint64_t)(op->bytes == 1 ? (int8_t)v : op->bytes == 2 ? (int16_t)v : (int32_t)v);
}

static int load(const struct block *b, struct warp *w, const struct ins *i, uint32_t mask)
{
	unsigned l, v;
	uint64_t x;
	uint8_t *p;

	for (l = 0; l < LANES; l++) {
		if (!(mask >> l & 1))
			continue;
		if (!(p = place(b, w, i, l)))
			return -1;
		for (v = 0; v < i->vec; v++) {
			x = 0;
			memcpy(&x, p + (size_t)v * i->op->bytes, i->op->bytes);
			w->reg[i->d[v]][l] = extend(x, i->op);
		}
	}
	return 0;
}

static int store(const struct block *b, struct warp *w, const struct ins *i, uint32_t mask)
{
	unsigned l, v;
	uint8_t *p;

	for (l = 0; l < LANES; l++) {
		if (!(mask >> l & 1))
			continue;
		if (i->space == SPACE_PARAM || i->space == SPACE_CONST)
			return fault(b, i, "a store to what is read only");
		if (!(p = place(b, w, i, l)))
			return -1;
		for (v = 0; v < i->vec; v++)
			memcpy(p + (size_t)v * i->op->bytes, &w->reg[i->d[v]][l], i->op->bytes);
	}
	return 0;
}

static int pack(const struct block *b, struct warp *w, const struct ins *i, uint32_t mask)
{
	unsigned l, bits = i->op->bytes * 8u;
	uint64_t low = ((uint64_t)1 << bits) - 1, x;

	(void)b;
	for (l = 0; l < LANES; l++) {
		if (!(mask >> l & 1))
			continue;
		x = w->reg[i->a][l];
		if (i->op->form == FORM_PACK) {
			w->reg[i->d[0]][l] = (x & low) | (w->reg[i->b][l] & low) << bits;
		} else {
			w->reg[i->d[0]][l] = x & low;
			w->reg[i->d[1]][l] = x >> bits & low;
		}
	}
	return 0;
}

/* --- what lanes do together: all that the mask names must be here --- */

static int together(const struct block *b, const struct warp *w, const struct ins *i, uint32_t mask,
	uint32_t live)
{
	unsigned l;

	for (l = 0; l < LANES; l++) {
		if (mask >> l & 1 && ((uint32_t)w->reg[i->m][l] & live) != mask)
			return fault(b, i, "lanes that the mask names are elsewhere, or not named");
	}
	return 0;
}

static int shuffle(const struct block *b, struct warp *w, const struct ins *i, uint32_t mask)
{
	uint64_t in[LANES];
	unsigned l, from, arg;
	bool inside;

	memcpy(in, w->reg[i->a], sizeof in);
	for (l = 0; l < LANES; l++) {
		if (!(mask >> l & 1))
			continue;
		if ((uint32_t)w->reg[i->c][l] != (i->shuffle == 'u' ? 0 : 31))
			return fault(b, i, "a shuffle in parts of a warp");
		arg = (unsigned)w->reg[i->b][l] & 31;
		from = i->shuffle == 'b'    ? l ^ arg
			: i->shuffle == 'd' ? l + arg
			: i->shuffle == 'u' ? l - arg
					    : arg;
		inside = from < LANES;
		if (!inside)
			from = l;
		if (!(mask >> from & 1))
			return fault(b, i, "a shuffle reads a lane that its mask does not name");
		w->reg[i->d[0]][l] = (uint32_t)in[from];
		if (i->second)
			w->reg[i->d[1]][l] = inside;
	}
	return 0;
}

static int vote(const struct block *b, struct warp *w, const struct ins *i, uint32_t mask)
{
	uint32_t yes = 0;
	unsigned l;

	(void)b;
	for (l = 0; l < LANES; l++) {
		if (mask >> l & 1 && (w->reg[i->a][l] & 1) != i->not_a)
			yes |= 1u << l;
	}
	for (l = 0; l < LANES; l++) {
		if (mask >> l & 1)
			w->reg[i->d[0]][l] = i->shuffle == 'b' ? yes
				: i->shuffle == 'a'            ? yes == mask
							       : yes != 0;
	}
	return 0;
}

static int plain(const struct block *b, struct warp *w, const struct ins *i, uint32_t mask)
{
	(void)b;
	i->op->run(w, i, mask);
	return 0;
}

static int nothing(const struct block *b, struct warp *w, const struct ins *i, uint32_t mask)
{
	(void)b, (void)w, (void)i, (void)mask;
	return 0;
}

/* --- the warp --- */

static uint32_t guarded(const struct warp *w, const struct ins *i, uint32_t mask)
{
	uint32_t yes = 0;
	unsigned l;

	if (!i->has_guard)
		return mask;
	for (l = 0; l < LANES; l++)
		yes |= (uint32_t)((w->reg[i->guard][l] & 1) != i->guard_not) << l;
	return mask & yes;
}

/* The lanes that go on now: those at the lowest address. *other is the next address where some are. */
static uint32_t choose(const struct lanes *x, uint32_t *pc, uint32_t *other)
{
	uint32_t run = x->live & ~x->waiting, mask = 0;
	unsigned l;

	*pc = *other = UINT32_MAX;
	for (l = 0; l < LANES; l++) {
		if (run >> l & 1 && x->pc[l] < *pc)
			*pc = x->pc[l];
	}
	for (l = 0; l < LANES; l++) {
		if (!(run >> l & 1))
			continue;
		if (x->pc[l] == *pc)
			mask |= 1u << l;
		else if (x->pc[l] < *other)
			*other = x->pc[l];
	}
	return mask;
}

static void set_pc(struct lanes *x, uint32_t mask, uint32_t pc)
{
	unsigned l;

	for (l = 0; l < LANES; l++) {
		if (mask >> l & 1)
			x->pc[l] = pc;
	}
}

static int at_barrier(const struct block *b, struct lanes *x, const struct ins *i, uint32_t mask)
{
	unsigned l;

	for (l = 0; l < LANES; l++) {
		if (x->waiting >> l & 1 && x->pc[l] != (uint32_t)(i - b->k->code) + 1)
			return fault(b, i, "lanes of one warp at different barriers");
	}
	x->waiting |= mask;
	return 0;
}

/* Instructions of the chosen lanes that do not part them. Returns the address of the first that may, or
 * of `other`; UINT32_MAX after a fault. */
static uint32_t straight(struct block *b, struct lanes *x, uint32_t pc, uint32_t other,
	uint32_t mask)
{
	static int (*const form[])(const struct block *, struct warp *, const struct ins *,
		uint32_t) = { [FORM_PLAIN] = plain,
		[FORM_LOAD] = load,
		[FORM_STORE] = store,
		[FORM_PACK] = pack,
		[FORM_UNPACK] = pack,
		[FORM_SHUFFLE] = shuffle,
		[FORM_VOTE] = vote,
		[FORM_WARP_BARRIER] = nothing,
		[FORM_END] = NULL };
	const struct ins *i;
	uint32_t m;

	for (; pc < other; pc++) {
		i = &b->k->code[pc];
		if (!form[i->op->form])
			return pc;
		b->count++;
		m = guarded(&x->w, i, mask);
		if (!m)
			continue;
		if ((i->op->form == FORM_SHUFFLE || i->op->form == FORM_VOTE ||
			    i->op->form == FORM_WARP_BARRIER) &&
			together(b, &x->w, i, m, x->live))
			return UINT32_MAX;
		if (form[i->op->form](b, &x->w, i, m))
			return UINT32_MAX;
	}
	return pc;
}

/* Until all lanes ended or wait. */
static int run_warp(struct block *b, struct lanes *x)
{
	uint32_t pc, other, mask, m;
	const struct ins *i;

	while ((mask = choose(x, &pc, &other))) {
		pc = straight(b, x, pc, other, mask);
		if (pc == UINT32_MAX)
			return -1;
		set_pc(x, mask, pc);
		if (pc == other)
			continue;
		i = &b->k->code[pc];
		m = guarded(&x->w, i, mask);
		b->count++;
		set_pc(x, mask, pc + 1);
		if (i->op->form == FORM_BRANCH)
			set_pc(x, m, i->target);
		else if (i->op->form == FORM_END)
			x->live &= ~m;
		else if (at_barrier(b, x, i, m))
			return -1;
	}
	return 0;
}

static int run_block(struct block *b)
{
	bool again = true;
	unsigned i;

	while (again) {
		again = false;
		for (i = 0; i < b->n; i++) {
			if (run_warp(b, &b->lanes[i]))
				return -1;
		}
		for (i = 0; i < b->n; i++) {
			again = again || b->lanes[i].waiting;
			b->lanes[i].waiting = 0;
		}
	}
	return 0;
}

/* --- the launch --- */

static void fill(uint64_t *column, uint64_t v)
{
	unsigned l;

	for (l = 0; l < LANES; l++)
		column[l] = v;
}

static void set_up(struct block *b, const unsigned grid[3], unsigned threads, const unsigned at[3])
{
	const struct kernel *k = b->k;
	struct lanes *x;
	unsigned i, l, d;
	size_t c;

	memset(b->shared, 0xff, MAX_SHARED);
	for (i = 0; i < b->n; i++) {
		x = &b->lanes[i];
		memset(x->w.reg, 0xff, (size_t)k->slots * sizeof *x->w.reg);
		x->live = threads - i * LANES >= LANES ? UINT32_MAX
						       : (1u << (threads - i * LANES)) - 1;
		x->waiting = 0;
		memset(x->pc, 0, sizeof x->pc);
		for (l = 0; l < LANES; l++) {
			x->w.reg[SP_TID][l] = i * LANES + l;
			x->w.reg[SP_LANE][l] = l;
		}
		fill(x->w.reg[SP_NTID], threads);
		fill(x->w.reg[SP_ZERO], 0);
		for (d = 0; d < 3; d++) {
			fill(x->w.reg[SP_CTAID + d], at[d]);
			fill(x->w.reg[SP_NCTAID + d], grid[d]);
		}
		for (c = 0; c < k->n_constants; c++)
			fill(x->w.reg[k->constants[c].at], k->constants[c].v);
	}
}

static const struct kernel *find(const struct ptx *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (!strcmp(p->kernels[i].name, name))
			return &p->kernels[i];
	}
	return NULL;
}

int ptx_run(struct ptx *p, const char *kernel, const unsigned grid[3], unsigned threads,
	const void *param, size_t size, struct err *e)
{
	const struct kernel *k = find(p, kernel);
	struct block *b;
	unsigned at[3], i;
	uint64_t(*regs)[LANES];
	int rc = 0;

	if (!k)
		return err_set(e, ERR_UNSUPPORTED, "no kernel %s in this PTX", kernel);
	if (size != k->param_size || !threads || threads > MAX_THREADS ||
		k->shared_size > MAX_SHARED)
		return err_set(e, ERR_UNSUPPORTED, "kernel %s is called wrongly", kernel);
	b = calloc(1, sizeof *b + MAX_SHARED);
	if (!b)
		return err_nomem(e);
	*b = (struct block){ .k = k, .param = param, .shared = (uint8_t *)(b + 1), .e = e };
	b->n = (threads + LANES - 1) / LANES;
	regs = calloc((size_t)b->n * k->slots, sizeof *regs);
	if (!regs) {
		free(b);
		return err_nomem(e);
	}
	for (i = 0; i < b->n; i++)
		b->lanes[i].w = (struct warp){ regs + (size_t)i * k->slots, e, k };
	for (at[2] = 0; !rc && at[2] < grid[2]; at[2]++) {
		for (at[1] = 0; !rc && at[1] < grid[1]; at[1]++) {
			for (at[0] = 0; !rc && at[0] < grid[0]; at[0]++) {
				set_up(b, grid, threads, at);
				rc = run_block(b);
			}
		}
	}
	p->count += b->count;
	free(regs);
	free(b);
	return rc;
}

uint64_t ptx_count(const struct ptx *p)
{
	return p->count;
}
