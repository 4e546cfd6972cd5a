/* fiber.c -- see fiber.h. Compiled without ThreadSanitizer even where kernels are compiled with it, and
 * allocates nothing while a kernel runs: both would be reported as races.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fiber/fiber.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/fiber/switch.h"

enum { STACK = 256 * 1024, GUARD = 4096, WARPS = FIBER_MAX / FIBER_WARP };
enum state { READY, RUNNING, AT_BARRIER, AT_WARP, DONE };

struct fiber {
	struct fiber_ids ids; /* first: fiber_now points to it */
	enum state state;
	const char *file; /* where it waits */
	int line;
	uint32_t mask; /* of its warp operation */
	enum fiber_op op;
	int arg;
	uint64_t in, out;
	char *stack;
	struct switch_ctx ctx;
};

static struct {
	struct fiber f[FIBER_MAX];
	unsigned n, live, waiting, barriers;
	unsigned short queue[FIBER_MAX]; /* a ring of those that can go on */
	unsigned head, queued;
	struct fiber *self;
	struct switch_ctx scheduler;
	const struct fiber_job *launch;
	const char *name;
	char begin, end, barrier[2], warp[WARPS]; /* addresses for TSan's order of things */
} run;

const int fiber_here = 1;
const struct fiber_ids *fiber_now;
unsigned fiber_grid[3], fiber_block[3];
int (*fiber_instead)(void *ctx, const char *kernel, const struct fiber_job *l);
void *fiber_instead_ctx;
int fiber_order;
unsigned long fiber_launches, fiber_replaced;

/* Static arrays of kernels are in this section, except under ASan, which would not guard them there. */
__attribute__((weak)) extern char __start_fiber_shared[], __stop_fiber_shared[];

static bool same_place(const struct fiber *a, const struct fiber *b)
{
	return a->state == b->state && a->line == b->line && a->file == b->file;
}

/* Who waits where; then the end. */
static _Noreturn void stuck(const char *why)
{
	static const char *const name[] = { "ready", "running", "at __syncthreads",
		"at a warp operation", "ended" };
	unsigned i, j, lines = 0;

	fprintf(stderr, "fiber: %s in kernel %s, block %u\n", why, run.name, run.f[0].ids.block[0]);
	for (i = 0; i < run.n && lines++ < 12; i = j) {
		for (j = i + 1; j < run.n && same_place(&run.f[i], &run.f[j]); j++)
			;
		fprintf(stderr, "fiber:   threads %u..%u %s", i, j - 1, name[run.f[i].state]);
		if (run.f[i].file && run.f[i].state != DONE)
			fprintf(stderr, " %s:%d", run.f[i].file, run.f[i].line);
		if (run.f[i].state == AT_WARP)
			fprintf(stderr, " mask %08x", run.f[i].mask);
		fprintf(stderr, "\n");
	}
	abort();
}

static void wake(struct fiber *f)
{
	f->state = READY;
	run.queue[(run.head + run.queued++) % FIBER_MAX] = (unsigned short)(f - run.f);
}

/* Puts the running fiber aside; returns when it was woken and chosen. */
static void aside(struct fiber *f)
{
	switch_to(&f->ctx, &run.scheduler);
	f->state = RUNNING;
}

/* All that live have come. */
static void open_barrier(void)
{
	unsigned i;

	run.waiting = 0;
	run.barriers++;
	for (i = 0; i < run.n; i++) {
		if (run.f[i].state == AT_BARRIER)
			wake(&run.f[i]);
	}
}

void fiber_barrier(const char *file, int line)
{
	struct fiber *f = run.self;
	unsigned i = (unsigned)(f - run.f), first = i - i % FIBER_WARP;
	char *order = &run.barrier[run.barriers & 1];

	f->file = file;
	f->line = line;
	f->state = AT_BARRIER;
	for (i = first; i < run.n && i < first + FIBER_WARP; i++) {
		if (run.f[i].state == AT_BARRIER &&
			(run.f[i].line != line || strcmp(run.f[i].file, file)))
			stuck("threads of one warp wait at different barriers");
	}
	switch_release(order);
	run.waiting++;
	if (run.waiting == run.live)
		open_barrier();
	aside(f);
	switch_acquire(order);
}

/* The lane that lane i reads in op, or i itself where there is none. */
static unsigned source(const struct fiber *f, unsigned i)
{
	unsigned arg = (unsigned)f->arg, from = i;

	if (f->op == FIBER_FROM)
		from = arg % FIBER_WARP;
	else if (f->op == FIBER_XOR)
		from = i ^ arg;
	else if (f->op == FIBER_DOWN)
		from = i + arg;
	return from < FIBER_WARP ? from : i;
}

/* All lanes of the mask are there: gives each its result. */
static void exchange(struct fiber *warp, unsigned lanes, uint32_t mask)
{
	uint64_t votes = 0;
	unsigned i, from;

	for (i = 0; i < lanes; i++)
		votes |= (mask >> i & 1) && warp[i].in ? (uint64_t)1 << i : 0;
	for (i = 0; i < lanes; i++) {
		if (!(mask >> i & 1))
			continue;
		from = source(&warp[i], i);
		if (warp[i].op != FIBER_SYNC && warp[i].op != FIBER_BALLOT &&
			!(from < lanes && mask >> from & 1))
			stuck("a shuffle reads a lane that its mask does not name");
		warp[i].out = warp[i].op == FIBER_BALLOT ? votes : warp[from].in;
	}
}

uint64_t fiber_warp(enum fiber_op op, uint32_t mask, uint64_t value, int arg, const char *file,
	int line)
{
	struct fiber *f = run.self, *o;
	unsigned me = (unsigned)(f - run.f), lane = me % FIBER_WARP, i;
	unsigned lanes = run.n - (me - lane) < FIBER_WARP ? run.n - (me - lane) : FIBER_WARP;
	struct fiber *warp = f - lane;
	char *order = &run.warp[me / FIBER_WARP];
	bool all = true;

	f->file = file;
	f->line = line;
	f->op = op;
	f->in = value;
	f->arg = arg;
	f->state = AT_WARP;
	f->mask = lanes < FIBER_WARP ? mask & ((1u << lanes) - 1) : mask;
	if (!(f->mask >> lane & 1))
		stuck("a warp operation whose mask leaves out its own lane");
	switch_release(order);
	for (i = 0; i < lanes; i++) {
		o = warp + i;
		if (!(f->mask >> i & 1))
			continue;
		if (o->state == DONE)
			stuck("a warp operation waits for a lane that has ended");
		if (o->state == AT_WARP && (o->mask != f->mask || o->op != op))
			stuck("lanes disagree about mask or operation");
		all = all && o->state == AT_WARP;
	}
	if (all) {
		exchange(warp, lanes, f->mask);
		for (i = 0; i < lanes; i++) {
			if (f->mask >> i & 1 && warp + i != f)
				wake(warp + i);
		}
		f->state = RUNNING;
	} else {
		aside(f);
	}
	switch_acquire(order);
	return f->out;
}

static void body(void)
{
	struct fiber *f = run.self;

	switch_entered();
	switch_acquire(&run.begin);
	run.launch->run(run.launch->call);
	switch_release(&run.end);
	f->state = DONE;
	run.live--;
	if (run.live && run.waiting == run.live)
		open_barrier();
	switch_last(&f->ctx, &run.scheduler);
	abort(); /* never chosen again */
}

static int stacks(unsigned n)
{
	unsigned i;
	char *p;

	for (i = 0; i < n; i++) {
		if (run.f[i].stack)
			continue;
		p = mmap(NULL, STACK + GUARD, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED || mprotect(p, GUARD, PROT_NONE))
			return 1;
		run.f[i].stack = p + GUARD;
	}
	return 0;
}

static void run_block(const unsigned *block)
{
	unsigned i, k;

	if (__start_fiber_shared)
		memset(__start_fiber_shared, 0xff,
			(size_t)(__stop_fiber_shared - __start_fiber_shared));
	run.live = run.n;
	run.waiting = run.barriers = run.head = run.queued = 0;
	switch_release(&run.begin);
	for (i = 0; i < run.n; i++) {
		k = fiber_order ? run.n - 1 - i : i;
		memcpy(run.f[k].ids.block, block, sizeof run.f[k].ids.block);
		run.f[k].ids.thread[0] = k;
		run.f[k].file = NULL;
		switch_make(&run.f[k].ctx, run.f[k].stack, STACK, body);
		wake(&run.f[k]);
	}
	while (run.queued) {
		run.self = &run.f[run.queue[run.head]];
		run.head = (run.head + 1) % FIBER_MAX;
		run.queued--;
		run.self->state = RUNNING;
		fiber_now = &run.self->ids;
		switch_to(&run.scheduler, &run.self->ctx);
	}
	if (run.live)
		stuck("no thread can go on");
	switch_acquire(&run.end);
}

int fiber_launch(const struct fiber_job *l)
{
	unsigned b[3];
	Dl_info info;

	if (!l->grid[0] || l->grid[0] > 0x7fffffff || !l->grid[1] || l->grid[1] > 65535 ||
		!l->grid[2] || l->grid[2] > 65535 || !l->block[0] || l->block[0] > FIBER_MAX ||
		l->block[1] != 1 || l->block[2] != 1)
		return 1;
	run.name = dladdr(l->kernel, &info) && info.dli_sname ? info.dli_sname : "(no name)";
	fiber_launches++;
	if (fiber_instead) {
		fiber_replaced++;
		return fiber_instead(fiber_instead_ctx, run.name, l);
	}
	run.launch = l;
	run.n = l->block[0];
	if (stacks(run.n))
		return 1;
	memcpy(fiber_grid, l->grid, sizeof fiber_grid);
	memcpy(fiber_block, l->block, sizeof fiber_block);
	for (b[2] = 0; b[2] < l->grid[2]; b[2]++) {
		for (b[1] = 0; b[1] < l->grid[1]; b[1]++) {
			for (b[0] = 0; b[0] < l->grid[0]; b[0]++)
				run_block(b);
		}
	}
	return 0;
}
