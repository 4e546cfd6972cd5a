/* switch.h -- from one stack to another, and telling the sanitizers so. Only for fiber.c.
 *
 * On x86-64 seven instructions (a warp exchange is 32 switches); elsewhere swapcontext, which is right
 * and ten times slower.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FIBER_SWITCH_H
#define TESTS_FIBER_SWITCH_H
#include <stddef.h>
#include <stdint.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#define SWITCH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SWITCH_ASAN 1
#endif
#endif
#ifdef SWITCH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void *, unsigned flags);
void __tsan_acquire(void *);
void __tsan_release(void *);
#endif

struct switch_ctx {
#ifdef __x86_64__
	void *sp;
#else
	ucontext_t uc;
#endif
	const void *bottom; /* of its stack, as ASan wants to know */
	size_t size;
	void *fake, *tsan;
};

/* --- the switch itself --- */

#ifdef __x86_64__
void switch_stacks(void **save, void *to);
__asm__(".text\n"
	".type switch_stacks,@function\n"
	"switch_stacks:\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n	pushq %r13\n"
	"	pushq %r14\n	pushq %r15\n"
	"	movq %rsp,(%rdi)\n	movq %rsi,%rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n"
	"	popq %rbx\n	popq %rbp\n	ret\n"
	".size switch_stacks,.-switch_stacks\n");

static inline void switch_prepare(struct switch_ctx *c, char *stack, size_t size, void (*f)(void))
{
	void **top = (void **)(void *)(stack + size - 64);
	int i;

	*--top = NULL; /* where f would return to; and the alignment that a call leaves */
	*--top = (void *)(uintptr_t)f;
	for (i = 0; i < 6; i++)
		*--top = NULL;
	c->sp = top;
}

static inline void switch_raw(struct switch_ctx *from, struct switch_ctx *to)
{
	switch_stacks(&from->sp, to->sp);
}
#else
static inline void switch_prepare(struct switch_ctx *c, char *stack, size_t size, void (*f)(void))
{
	getcontext(&c->uc);
	c->uc.uc_stack.ss_sp = stack;
	c->uc.uc_stack.ss_size = size;
	c->uc.uc_link = NULL;
	makecontext(&c->uc, f, 0);
}

static inline void switch_raw(struct switch_ctx *from, struct switch_ctx *to)
{
	swapcontext(&from->uc, &to->uc);
}
#endif

/* --- what the sanitizers are told --- */

#ifdef SWITCH_ASAN
static struct switch_ctx *switch_from; /* who left, to learn its stack */

static inline void switch_leave(struct switch_ctx *from, struct switch_ctx *to, int last)
{
	switch_from = from;
	__sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->bottom, to->size);
}
static inline void switch_arrive(struct switch_ctx *self)
{
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(self ? self->fake : NULL, &bottom, &size);
	if (switch_from && !switch_from->bottom) {
		switch_from->bottom = bottom;
		switch_from->size = size;
	}
}
static inline void switch_clean(char *stack, size_t size)
{
	__asan_unpoison_memory_region(stack, size);
}
#else
static inline void switch_leave(struct switch_ctx *from, struct switch_ctx *to, int last)
{
	(void)from, (void)to, (void)last;
}
static inline void switch_arrive(struct switch_ctx *self)
{
	(void)self;
}
static inline void switch_clean(char *stack, size_t size)
{
	(void)stack, (void)size;
}
#endif

#ifdef FIBER_TSAN
static inline void switch_acquire(void *p)
{
	__tsan_acquire(p);
}
static inline void switch_release(void *p)
{
	__tsan_release(p);
}
static inline void switch_thread(struct switch_ctx *from, struct switch_ctx *to)
{
	if (!from->tsan)
		from->tsan = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->tsan, 1); /* 1: the switch itself orders nothing */
}
static inline void *switch_thread_new(void)
{
	return __tsan_create_fiber(0);
}
#else
static inline void switch_acquire(void *p)
{
	(void)p;
}
static inline void switch_release(void *p)
{
	(void)p;
}
static inline void switch_thread(struct switch_ctx *from, struct switch_ctx *to)
{
	(void)from, (void)to;
}
static inline void *switch_thread_new(void)
{
	return NULL;
}
#endif

/* --- together --- */

static inline void switch_make(struct switch_ctx *c, char *stack, size_t size, void (*f)(void))
{
	switch_clean(stack, size);
	c->bottom = stack;
	c->size = size;
	c->fake = NULL;
	if (!c->tsan)
		c->tsan = switch_thread_new();
	switch_prepare(c, stack, size, f);
}

static inline void switch_to(struct switch_ctx *from, struct switch_ctx *to)
{
	switch_leave(from, to, 0);
	switch_thread(from, to);
	switch_raw(from, to);
	switch_arrive(from);
}

/* The first thing on a new stack. */
static inline void switch_entered(void)
{
	switch_arrive(NULL);
}

/* Leaves a stack for good. */
static inline void switch_last(struct switch_ctx *from, struct switch_ctx *to)
{
	switch_leave(from, to, 1);
	switch_thread(from, to);
	switch_raw(from, to);
}
#endif
