/* module.h -- what parse.c makes of a PTX text and run.c runs. Only for the files beside it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_PTX_MODULE_H
#define TESTS_PTX_MODULE_H
#include "tests/ptx/ptx.h"

#include <stdbool.h>

enum { LANES = 32, NAME = 96, MAX_ARGS = 10, MAX_VEC = 4 };

/* An operand is a column of 32 values: a register, or a constant or special register, which are laid out
 * like one. */
typedef uint16_t slot;

struct ins;
struct warp;
typedef void op_fn(struct warp *w, const struct ins *i, uint32_t mask);

/* What a name says; how it is read; what it does. */
enum form {
	FORM_PLAIN,  /* d, a, b, c: as many as n */
	FORM_LOAD,   /* d or {d, ...}, [a + imm] */
	FORM_STORE,  /* [a + imm], b or {b, ...} */
	FORM_PACK,   /* d, {a, b} */
	FORM_UNPACK, /* {d, e}, a */
	FORM_SHUFFLE,
	FORM_VOTE,
	FORM_BRANCH,
	FORM_BARRIER,
	FORM_WARP_BARRIER,
	FORM_END
};
enum space { SPACE_GLOBAL, SPACE_SHARED, SPACE_PARAM, SPACE_CONST };

struct op {
	const char *name;
	enum form form;
	uint8_t n;     /* operands of FORM_PLAIN */
	uint8_t bytes; /* of an element in memory, or a part of a pack */
	bool sign;     /* a load extends it */
	op_fn *run;    /* FORM_PLAIN */
};
const struct op *op_find(const char *name);

struct ins {
	const struct op *op;
	uint32_t line; /* of the text */
	slot d[MAX_VEC], a, b, c, m;
	uint8_t vec;   /* elements of a load or store */
	uint8_t space; /* enum space */
	bool has_guard, guard_not;
	bool second; /* a shuffle with its predicate, in d[1] */
	bool not_a;  /* a vote over !a */
	slot guard;
	uint8_t shuffle; /* first letter: b, d, u, i; of a vote: b, a (all), y (any) */
	int64_t imm;
	uint32_t target; /* of a branch: index into code */
};

struct constant {
	uint64_t v;
	slot at;
};
struct bank { /* .reg .b32 %r<32> */
	char prefix[16];
	uint32_t n, first;
};
struct symbol {
	char name[NAME];
	enum space space;
	uint64_t at; /* offset; SPACE_CONST: host address */
};
struct label {
	char name[NAME];
	uint32_t at;
};
/* The first slots. */
enum {
	SP_TID,
	SP_NTID,
	SP_LANE,
	SP_CTAID,
	SP_NCTAID = SP_CTAID + 3,
	SP_ZERO = SP_NCTAID + 3,
	SP_COUNT
};

struct kernel {
	char name[NAME], param[NAME];
	size_t param_size, shared_size;
	struct ins *code;
	size_t n, cap;
	struct bank bank[16];
	unsigned n_banks;
	struct constant *constants;
	size_t n_constants, cap_constants;
	struct symbol *symbols;
	size_t n_symbols, cap_symbols;
	struct label *labels;
	size_t n_labels, cap_labels;
	uint32_t slots;
};

struct ptx {
	char target[16];
	struct kernel *kernels;
	size_t n, cap;
	struct symbol *globals; /* their memory is owned */
	size_t n_globals, cap_globals;
	uint64_t count;
};

struct warp {
	uint64_t (*reg)[LANES]; /* a column for each slot */
	struct err *e;
	const struct kernel *k;
};
#endif
