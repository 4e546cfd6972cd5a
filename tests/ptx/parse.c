/* parse.c -- PTX text to a module: statements end with ";", names become slots, opcodes rows of op.c.
 *
 * SPDX-License-Identifier: MIT */
#include "core/mem.h"
#include "tests/ptx/module.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const char *at, *end;
	uint32_t line;
	struct ptx *p;
	struct kernel *k; /* NULL between kernels */
	struct err *e;
};

static int bad(struct reader *r, const char *what, const char *name)
{
	return err_set(r->e, ERR_UNSUPPORTED, "PTX line %u: %s%s", r->line, what, name);
}

/* --- tokens: a word (letters, digits, _ . $ % and a leading sign), or one other character --- */

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$' || c == '%';
}

static void skip(struct reader *r)
{
	while (r->at < r->end) {
		if (r->at + 1 < r->end && r->at[0] == '/' && r->at[1] == '/') {
			while (r->at < r->end && *r->at != '\n')
				r->at++;
		} else if (isspace((unsigned char)*r->at)) {
			r->line += *r->at++ == '\n';
		} else {
			return;
		}
	}
}

struct token {
	char s[NAME];
};

/* The next token; empty at the end, or where it is too long. */
static struct token next(struct reader *r)
{
	struct token t = { "" };
	size_t n = 0;

	skip(r);
	if (r->at == r->end)
		return t;
	if (!word_char(*r->at) && !(*r->at == '-' && r->at + 1 < r->end && word_char(r->at[1]))) {
		t.s[0] = *r->at++;
		return t;
	}
	do {
		if (n + 1 >= sizeof t.s)
			return (struct token){ "" };
		t.s[n++] = *r->at++;
	} while (r->at < r->end && word_char(*r->at));
	return t;
}

static char peek(struct reader *r)
{
	skip(r);
	return r->at < r->end ? *r->at : 0;
}

static bool take(struct reader *r, const char *s)
{
	struct reader back = *r;

	if (!strcmp(next(r).s, s))
		return true;
	*r = back;
	return false;
}

static int want(struct reader *r, const char *s)
{
	return take(r, s) ? 0 : bad(r, "there should be a ", s);
}

static bool number(const char *s, uint64_t *v)
{
	char *end;
	float f;
	double d;
	uint32_t u;

	if (!strncmp(s, "0f", 2) || !strncmp(s, "0F", 2)) {
		u = (uint32_t)strtoul(s + 2, &end, 16);
		memcpy(&f, &u, sizeof f);
		*v = u;
		return strlen(s) == 10 && !*end;
	}
	if (!strncmp(s, "0d", 2) || !strncmp(s, "0D", 2)) {
		*v = strtoull(s + 2, &end, 16);
		memcpy(&d, v, sizeof d);
		return strlen(s) == 18 && !*end;
	}
	if (!isdigit((unsigned char)s[0]) && !(s[0] == '-' && isdigit((unsigned char)s[1])))
		return false;
	*v = s[0] == '-' ? (uint64_t)-strtoll(s + 1, &end, 0) : strtoull(s, &end, 0);
	return !*end || (*end == 'U' && !end[1]);
}

/* --- names --- */

static int constant(struct reader *r, uint64_t v, slot *out)
{
	struct kernel *k = r->k;
	size_t i;

	for (i = 0; i < k->n_constants; i++) {
		if (k->constants[i].v == v) {
			*out = k->constants[i].at;
			return 0;
		}
	}
	if (k->slots >= UINT16_MAX)
		return bad(r, "too many registers", "");
	if (mem_grow(&k->constants, &k->cap_constants, k->n_constants + 1, sizeof *k->constants))
		return err_nomem(r->e);
	*out = (slot)k->slots++;
	k->constants[k->n_constants++] = (struct constant){ v, *out };
	return 0;
}

static const struct symbol *symbol(const struct reader *r, const char *name)
{
	size_t i;

	for (i = 0; r->k && i < r->k->n_symbols; i++) {
		if (!strcmp(r->k->symbols[i].name, name))
			return &r->k->symbols[i];
	}
	for (i = 0; i < r->p->n_globals; i++) {
		if (!strcmp(r->p->globals[i].name, name))
			return &r->p->globals[i];
	}
	return NULL;
}

static bool reg(const struct reader *r, const char *name, slot *out)
{
	const struct bank *b;
	size_t n;
	char *end;
	unsigned long i;

	for (b = r->k->bank; b < r->k->bank + r->k->n_banks; b++) {
		n = strlen(b->prefix);
		if (strncmp(b->prefix, name, n) || !isdigit((unsigned char)name[n]))
			continue;
		i = strtoul(name + n, &end, 10);
		if (*end || i >= b->n)
			return false;
		*out = (slot)(b->first + i);
		return true;
	}
	return false;
}

/* A register, special register, number or name of memory, to be read. */
static int source(struct reader *r, slot *out)
{
	static const struct {
		const char *name;
		slot at;
	} special[] = { { "%tid.x", SP_TID }, { "%ntid.x", SP_NTID }, { "%laneid", SP_LANE },
		{ "%ctaid.x", SP_CTAID }, { "%ctaid.y", SP_CTAID + 1 },
		{ "%ctaid.z", SP_CTAID + 2 }, { "%nctaid.x", SP_NCTAID },
		{ "%nctaid.y", SP_NCTAID + 1 }, { "%nctaid.z", SP_NCTAID + 2 },
		{ "%tid.y", SP_ZERO }, { "%tid.z", SP_ZERO } };
	struct token t = next(r);
	const struct symbol *s;
	uint64_t v;
	size_t i;

	if (reg(r, t.s, out))
		return 0;
	for (i = 0; i < sizeof special / sizeof *special; i++) {
		if (!strcmp(special[i].name, t.s)) {
			*out = special[i].at;
			return 0;
		}
	}
	if (number(t.s, &v))
		return constant(r, v, out);
	if ((s = symbol(r, t.s)) && s->space != SPACE_PARAM)
		return constant(r, s->at, out);
	return bad(r, "not an operand that is known here: ", t.s);
}

static int target(struct reader *r, slot *out)
{
	struct token t = next(r);

	return reg(r, t.s, out) ? 0 : bad(r, "not a register: ", t.s);
}

/* {a, b, ...} of registers, or of what may be read; or one without braces. */
static int list(struct reader *r, slot *out, uint8_t *n, int (*one)(struct reader *, slot *))
{
	bool many = take(r, "{");

	*n = 0;
	do {
		if (*n == MAX_VEC)
			return bad(r, "more than four registers", "");
		if (one(r, &out[(*n)++]))
			return -1;
	} while (many && take(r, ","));
	return many ? want(r, "}") : 0;
}

/* [register + number] or [name + number]. */
static int address(struct reader *r, struct ins *i)
{
	struct token t;
	const struct symbol *s;
	uint64_t v = 0;

	if (want(r, "["))
		return -1;
	t = next(r);
	i->a = SP_ZERO;
	if (!reg(r, t.s, &i->a)) {
		if (!(s = symbol(r, t.s)))
			return bad(r, "not an address: ", t.s);
		if (s->space != i->space)
			return bad(r, "memory of another kind: ", t.s);
		i->imm = (int64_t)s->at;
	}
	if (take(r, "+") && !number(next(r).s, &v))
		return bad(r, "not an offset", "");
	i->imm += (int64_t)v;
	return want(r, "]");
}

/* --- instructions --- */

/* "ld.global.nc.v4.f32" is row "ld.f32" with space and count beside it. */
static int memory_name(struct reader *r, const char *name, struct ins *i, struct token *row)
{
	static const char *const spaces[] = { ".global", ".shared", ".param", ".const" };
	const char *p = name + 2;
	size_t n;
	unsigned s;

	for (s = 0; s < 4; s++) {
		n = strlen(spaces[s]);
		if (!strncmp(p, spaces[s], n))
			break;
	}
	if (s == 4)
		return bad(r, "memory of no known kind: ", name);
	i->space = (uint8_t)s;
	p += n;
	if (s == SPACE_GLOBAL && name[0] == 'l' && !strncmp(p, ".nc.", 4))
		p += 3;
	i->vec = 1;
	if (!strncmp(p, ".v2", 3) || !strncmp(p, ".v4", 3)) {
		i->vec = (uint8_t)(p[2] - '0');
		p += 3;
	}
	snprintf(row->s, sizeof row->s, "%.2s%s", name, p);
	return 0;
}

static int plain(struct reader *r, struct ins *i)
{
	slot *const in[] = { &i->a, &i->b, &i->c, &i->m };
	unsigned n;

	if (target(r, &i->d[0]))
		return -1;
	for (n = 1; n < i->op->n; n++) {
		if (want(r, ",") || source(r, in[n - 1]))
			return -1;
	}
	return 0;
}

static int load_or_store(struct reader *r, struct ins *i)
{
	uint8_t n = 0;

	if (i->op->form == FORM_LOAD) {
		if (list(r, i->d, &n, target) || want(r, ",") || address(r, i))
			return -1;
	} else if (address(r, i) || want(r, ",") || list(r, i->d, &n, source)) {
		return -1;
	}
	return n == i->vec ? 0 : bad(r, "as many registers as the name says are wanted", "");
}

static int pack(struct reader *r, struct ins *i)
{
	slot s[MAX_VEC];
	uint8_t n;

	if (i->op->form == FORM_UNPACK) {
		if (list(r, i->d, &n, target) || want(r, ",") || source(r, &i->a))
			return -1;
	} else {
		if (target(r, &i->d[0]) || want(r, ",") || list(r, s, &n, source))
			return -1;
		i->a = s[0];
		i->b = s[1];
	}
	return n == 2 ? 0 : bad(r, "two parts are wanted", "");
}

static int shuffle(struct reader *r, struct ins *i)
{
	if (target(r, &i->d[0]))
		return -1;
	i->second = take(r, "|");
	if (i->second && target(r, &i->d[1]))
		return -1;
	return want(r, ",") || source(r, &i->a) || want(r, ",") || source(r, &i->b) ||
			want(r, ",") || source(r, &i->c) || want(r, ",") || source(r, &i->m)
		? -1
		: 0;
}

static int vote(struct reader *r, struct ins *i)
{
	if (target(r, &i->d[0]) || want(r, ","))
		return -1;
	i->not_a = take(r, "!");
	return source(r, &i->a) || want(r, ",") || source(r, &i->m) ? -1 : 0;
}

static int branch(struct reader *r, struct ins *i)
{
	struct token t = next(r);
	struct kernel *k = r->k;

	/* The label may come later: its name's place is kept, fixed in the end. */
	i->target = (uint32_t)k->n_labels;
	if (mem_grow(&k->labels, &k->cap_labels, k->n_labels + 1, sizeof *k->labels))
		return err_nomem(r->e);
	snprintf(k->labels[k->n_labels].name, NAME, "%s", t.s);
	k->labels[k->n_labels++].at = UINT32_MAX;
	return 0;
}

static int barrier(struct reader *r, struct ins *i)
{
	if (source(r, &i->a))
		return -1;
	return peek(r) == ';' ? 0 : bad(r, "a barrier of some threads", "");
}

static int warp_barrier(struct reader *r, struct ins *i)
{
	return source(r, &i->m);
}

static int nothing(struct reader *r, struct ins *i)
{
	(void)r, (void)i;
	return 0;
}

static int operands(struct reader *r, struct ins *i)
{
	static int (*const form[])(struct reader *, struct ins *) = { [FORM_PLAIN] = plain,
		[FORM_LOAD] = load_or_store,
		[FORM_STORE] = load_or_store,
		[FORM_PACK] = pack,
		[FORM_UNPACK] = pack,
		[FORM_SHUFFLE] = shuffle,
		[FORM_VOTE] = vote,
		[FORM_BRANCH] = branch,
		[FORM_BARRIER] = barrier,
		[FORM_WARP_BARRIER] = warp_barrier,
		[FORM_END] = nothing };

	return form[i->op->form](r, i);
}

/* A mov with braces is a pack or unpack. */
static bool is_pack(struct reader *r, const char *name, struct token *row)
{
	struct reader back = *r;
	bool first = take(&back, "{"), second;
	const char *bits = strrchr(name, '.');

	while (!first && peek(&back) && peek(&back) != ',' && peek(&back) != ';')
		next(&back);
	second = !first && take(&back, ",") && take(&back, "{");
	if (strncmp(name, "mov.", 4) || !(first || second))
		return false;
	snprintf(row->s, sizeof row->s, "%s%s", first ? "unpack" : "pack", bits);
	return true;
}

static int instruction(struct reader *r, struct token t)
{
	struct kernel *k = r->k;
	struct ins i = { .line = r->line };
	struct token row = t;

	if (t.s[0] == '@') {
		i.has_guard = true;
		i.guard_not = take(r, "!");
		if (source(r, &i.guard))
			return -1;
		t = row = next(r);
	}
	if ((!strncmp(t.s, "ld.", 3) || !strncmp(t.s, "st.", 3)) && memory_name(r, t.s, &i, &row))
		return -1;
	is_pack(r, t.s, &row);
	i.op = op_find(row.s);
	if (!i.op)
		return bad(r, "an instruction that this runner does not know: ", t.s);
	if (i.op->form == FORM_SHUFFLE)
		i.shuffle = (uint8_t)t.s[10];
	else if (i.op->form == FORM_VOTE)
		i.shuffle = (uint8_t)(t.s[10] == 'b' ? 'b' : t.s[11] == 'l' ? 'a' : 'y');
	if (operands(r, &i) || want(r, ";"))
		return -1;
	if (mem_grow(&k->code, &k->cap, k->n + 1, sizeof *k->code))
		return err_nomem(r->e);
	k->code[k->n++] = i;
	return 0;
}

/* --- declarations --- */

static int type_bytes(const char *s)
{
	static const char *const types[] = { ".b8.u8.s8", ".b16.u16.s16", ".b32.u32.s32.f32",
		".b64.u64.s64.f64" };
	int i;

	for (i = 0; i < 4; i++) {
		if (s[0] == '.' && s[1] && strstr(types[i], s))
			return 1 << i;
	}
	return 0;
}

/* ".align 4 .b8 name[512]": its name and size. */
static int variable(struct reader *r, struct token *name, size_t *size, size_t *align, int *bytes)
{
	struct token t;
	uint64_t n = 1;

	*align = 1;
	if (take(r, ".align")) {
		if (!number(next(r).s, &n))
			return bad(r, "not an alignment", "");
		*align = n;
		n = 1;
	}
	t = next(r);
	if (!(*bytes = type_bytes(t.s)))
		return bad(r, "not a type: ", t.s);
	if (*align < (size_t)*bytes)
		*align = (size_t)*bytes;
	*name = next(r);
	if (take(r, "[") && (!number(next(r).s, &n) || want(r, "]")))
		return bad(r, "memory without a size: ", name->s);
	if (!n || n > 1 << 20)
		return bad(r, "memory of no or too great size: ", name->s);
	*size = n * (size_t)*bytes;
	return 0;
}

static int add_symbol(struct reader *r, struct symbol s)
{
	struct symbol **list = r->k ? &r->k->symbols : &r->p->globals;
	size_t *n = r->k ? &r->k->n_symbols : &r->p->n_globals;
	size_t *cap = r->k ? &r->k->cap_symbols : &r->p->cap_globals;

	if (mem_grow(list, cap, *n + 1, sizeof **list))
		return err_nomem(r->e);
	(*list)[(*n)++] = s;
	return 0;
}

static int shared(struct reader *r)
{
	struct symbol s = { .space = SPACE_SHARED };
	struct token name;
	size_t size, align;
	int bytes;

	if (variable(r, &name, &size, &align, &bytes))
		return -1;
	memcpy(s.name, name.s, sizeof s.name);
	s.at = (r->k->shared_size + align - 1) / align * align;
	r->k->shared_size = s.at + size;
	return add_symbol(r, s) || want(r, ";") ? -1 : 0;
}

/* ".const .align 4 .b8 name[n] = {1, 2}" or .global, read only. */
static int table(struct reader *r)
{
	struct symbol s = { .space = SPACE_CONST };
	struct token name;
	size_t size, align, at = 0;
	uint8_t *mem;
	uint64_t v;
	int bytes;

	if (variable(r, &name, &size, &align, &bytes))
		return -1;
	memcpy(s.name, name.s, sizeof s.name);
	if (want(r, "=") || want(r, "{"))
		return -1;
	if (!(mem = calloc(1, size + 16)))
		return err_nomem(r->e);
	s.at = (uint64_t)(uintptr_t)mem;
	if (add_symbol(r, s)) {
		free(mem);
		return -1;
	}
	do {
		if (at + (size_t)bytes > size || !number(next(r).s, &v))
			return bad(r, "not a value of ", name.s);
		memcpy(mem + at, &v, (size_t)bytes);
		at += (size_t)bytes;
	} while (take(r, ","));
	return want(r, "}") || want(r, ";") ? -1 : 0;
}

static int registers(struct reader *r)
{
	struct kernel *k = r->k;
	struct token type = next(r), name = next(r);
	struct bank *b = &k->bank[k->n_banks];
	uint64_t n;

	if (strcmp(type.s, ".pred") && !type_bytes(type.s))
		return bad(r, "registers of type ", type.s);
	if (k->n_banks == sizeof k->bank / sizeof *k->bank || strlen(name.s) >= sizeof b->prefix)
		return bad(r, "registers of too many kinds: ", name.s);
	if (want(r, "<") || !number(next(r).s, &n) || want(r, ">") || want(r, ";"))
		return bad(r, "registers without a number: ", name.s);
	if (n + k->slots > 30000)
		return bad(r, "too many registers: ", name.s);
	snprintf(b->prefix, sizeof b->prefix, "%.15s", name.s);
	b->n = (uint32_t)n;
	b->first = k->slots;
	k->slots += b->n;
	k->n_banks++;
	return 0;
}

static int label(struct reader *r, const char *name)
{
	struct kernel *k = r->k;

	if (mem_grow(&k->labels, &k->cap_labels, k->n_labels + 1, sizeof *k->labels))
		return err_nomem(r->e);
	snprintf(k->labels[k->n_labels].name, NAME, "%s", name);
	k->labels[k->n_labels++].at = (uint32_t)k->n;
	return 0;
}

/* Branches name a row of labels: finds the one that is a place. */
static int fix(struct reader *r)
{
	struct kernel *k = r->k;
	size_t i, j;

	for (i = 0; i < k->n; i++) {
		if (k->code[i].op->form != FORM_BRANCH)
			continue;
		for (j = 0; j < k->n_labels; j++) {
			if (k->labels[j].at != UINT32_MAX &&
				!strcmp(k->labels[j].name, k->labels[k->code[i].target].name))
				break;
		}
		if (j == k->n_labels)
			return bad(r, "no such label: ", k->labels[k->code[i].target].name);
		k->code[i].target = k->labels[j].at;
	}
	if (!k->n ||
		(k->code[k->n - 1].op->form != FORM_END &&
			k->code[k->n - 1].op->form != FORM_BRANCH))
		return bad(r, "a kernel that runs past its end: ", k->name);
	return 0;
}

static int statement(struct reader *r, struct token t)
{
	if (!strcmp(t.s, ".reg"))
		return registers(r);
	if (!strcmp(t.s, ".shared"))
		return shared(r);
	if (!strcmp(t.s, ".pragma")) {
		while (r->at < r->end && *r->at != ';')
			r->at++;
		return want(r, ";");
	}
	if (t.s[0] == '.')
		return bad(r, "a declaration that this runner does not know: ", t.s);
	if (take(r, ":"))
		return label(r, t.s);
	return instruction(r, t);
}

static int body(struct reader *r)
{
	struct token t;

	for (;;) {
		t = next(r);
		if (!strcmp(t.s, "}"))
			return fix(r);
		if (!t.s[0])
			return bad(r, "the text ends in a kernel, or a word is too long", "");
		if (statement(r, t))
			return -1;
	}
}

static int entry(struct reader *r)
{
	struct ptx *p = r->p;
	struct token name = next(r);
	struct symbol s = { .space = SPACE_PARAM };
	size_t align;
	int bytes;

	if (mem_grow(&p->kernels, &p->cap, p->n + 1, sizeof *p->kernels))
		return err_nomem(r->e);
	r->k = &p->kernels[p->n++];
	*r->k = (struct kernel){ .slots = SP_COUNT };
	memcpy(r->k->name, name.s, sizeof name.s);
	if (want(r, "(") || want(r, ".param"))
		return -1;
	if (variable(r, &name, &r->k->param_size, &align, &bytes) || want(r, ")"))
		return -1;
	memcpy(s.name, name.s, sizeof s.name);
	if (add_symbol(r, s))
		return -1;
	while (peek(r) == '.') { /* .maxntid 128 and the like: of ptxas */
		next(r);
		do
			next(r);
		while (take(r, ","));
	}
	if (want(r, "{") || body(r))
		return -1;
	r->k = NULL;
	return 0;
}

static int top(struct reader *r)
{
	struct token t = next(r);

	if (!strcmp(t.s, ".version") || !strcmp(t.s, ".address_size")) {
		next(r);
		return 0;
	}
	if (!strcmp(t.s, ".target")) {
		t = next(r);
		snprintf(r->p->target, sizeof r->p->target, "%.15s", t.s);
		return 0;
	}
	if (!strcmp(t.s, ".visible"))
		t = next(r);
	if (!strcmp(t.s, ".entry"))
		return entry(r);
	if (!strcmp(t.s, ".const"))
		return table(r);
	return bad(r, "not known here: ", t.s);
}

struct ptx *ptx_parse(const char *text, size_t n, struct err *e)
{
	struct ptx *p = calloc(1, sizeof *p);
	struct reader r = { .at = text, .end = text + n, .line = 1, .p = p, .e = e };

	if (!p) {
		err_nomem(e);
		return NULL;
	}
	while (peek(&r)) {
		if (top(&r)) {
			ptx_free(p);
			return NULL;
		}
	}
	return p;
}

void ptx_free(struct ptx *p)
{
	size_t i;

	for (i = 0; p && i < p->n; i++) {
		free(p->kernels[i].code);
		free(p->kernels[i].constants);
		free(p->kernels[i].symbols);
		free(p->kernels[i].labels);
	}
	for (i = 0; p && i < p->n_globals; i++)
		free((void *)(uintptr_t)p->globals[i].at);
	if (p) {
		free(p->kernels);
		free(p->globals);
	}
	free(p);
}

const char *ptx_target(const struct ptx *p)
{
	return p->target;
}
