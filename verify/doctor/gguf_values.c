/* SPDX-License-Identifier: MIT */
#include "verify/doctor/gguf_values.h"

#include "core/file.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/gguf_config.h"
#include "quant/ggml_back.h"
#include "quant/ggml_floats.h"
#include "quant/ggml_lowbit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE = 1 << 20,       /* bytes that are read together, and of an end that is looked at */
	MX = GGML_MXFP4_BYTES, /* bytes of a block of MXFP4 */
	NAN_E8M0 = 255,
	SPREAD = 64, /* bytes of real scales lie closer than that */
	ENOUGH = 64  /* blocks below which nothing is said of their order */
};

/* What was seen of a tensor. */
struct seen {
	uint64_t odd;    /* numbers that are NaN or infinite */
	uint64_t first;  /* byte of the first of them in the tensor */
	uint64_t blocks; /* of MXFP4 */
	uint64_t set;    /* bytes that are not zero */
	uint64_t ids;    /* of a hash table: how many experts there are */
	uint64_t at
		[2]
		[256]; /* how often each byte stands at the beginning, and at the end, of a block */
};

struct look {
	struct report *r;
	const struct folder *at;
	const struct gguf_in *x;
	bool full;
	unsigned features;
	uint8_t *p; /* owns; PIECE */
	struct err *e;
};

static void odd(struct seen *s, uint64_t at)
{
	s->first = s->odd++ ? s->first : at;
}

/* Sixteen bits with an exponent of all ones; mask: those of the exponent. */
static void see_halves(struct seen *s, const uint8_t *p, size_t n, size_t step, unsigned mask,
	uint64_t at)
{
	size_t i;

	for (i = 0; i + step <= n; i += step)
		if (((unsigned)(p[i + step - 2] | p[i + step - 1] << 8) & mask) == mask)
			odd(s, at + i);
}

static void see_bf16(struct seen *s, const uint8_t *p, size_t n, uint64_t at)
{
	see_halves(s, p, n, 2, 0x7f80, at);
}

/* The upper half of an F32 has its exponent. */
static void see_f32(struct seen *s, const uint8_t *p, size_t n, uint64_t at)
{
	see_halves(s, p, n, 4, 0x7f80, at);
}

static void see_f16(struct seen *s, const uint8_t *p, size_t n, uint64_t at)
{
	see_halves(s, p, n, 2, 0x7c00, at);
}

static void see_q8_0(struct seen *s, const uint8_t *p, size_t n, uint64_t at)
{
	size_t i;

	for (i = 0; i + GGML_Q8_0_BYTES <= n; i += GGML_Q8_0_BYTES)
		see_halves(s, p + i, 2, 2, 0x7c00, at + i);
}

static void see_mxfp4(struct seen *s, const uint8_t *p, size_t n, uint64_t at)
{
	size_t i;

	for (i = 0; i + MX <= n; i += MX) {
		s->blocks++;
		s->at[0][p[i]]++;
		s->at[1][p[i + MX - 1]]++;
		if (p[i] == NAN_E8M0)
			odd(s, at + i);
	}
}

/* Blocks of any type that is decoded: at the beginning of a block, if one of its values is no number. */
static void see_values(struct seen *s, uint32_t type, const uint8_t *p, size_t n, unsigned features,
	uint64_t at)
{
	const struct ggml_type_row *r = ggml_type_find(type);
	float v[GGML_LOWBIT_MOST];
	size_t i, k;

	for (i = 0; i + r->bytes <= n; i += r->bytes) {
		(void)ggml_floats(type, p + i, r->items, features, v);
		for (k = 0; k < r->items && isfinite(v[k]); k++)
			;
		if (k < r->items)
			odd(s, at + i);
	}
}

/* Ids, of which the hash tables have those of experts. */
static void see_ids(struct seen *s, const uint8_t *p, size_t n, uint64_t at)
{
	uint32_t id;
	size_t i;

	for (i = 0; i + sizeof id <= n; i += sizeof id) {
		memcpy(&id, p + i, sizeof id);
		if (id >= s->ids)
			odd(s, at + i);
	}
}

static const struct {
	uint32_t type;
	void (*see)(struct seen *s, const uint8_t *p, size_t n, uint64_t at);
} sees[] = {
	{ GGML_F32, see_f32 },
	{ GGML_F16, see_f16 },
	{ GGML_BF16, see_bf16 },
	{ GGML_Q8_0, see_q8_0 },
	{ GGML_MXFP4, see_mxfp4 },
	{ GGML_I32, see_ids },
};
enum { SEES = sizeof sees / sizeof *sees };

/* How far bytes are apart, but for the hundredth that is farthest on each side. */
static unsigned spread(const uint64_t n[256], uint64_t all)
{
	uint64_t cut = all / 100, sum;
	unsigned lo, hi;

	for (lo = 0, sum = 0; lo < 255 && (sum += n[lo]) <= cut; lo++)
		;
	for (hi = 255, sum = 0; hi > 0 && (sum += n[hi]) <= cut; hi--)
		;
	return hi > lo ? hi - lo : 0;
}

static void tell(const struct look *l, const struct gguf_tensor *t, const struct gguf_part *p,
	const struct seen *s)
{
	const struct report_place at = { .file = p->name,
		.from = p->file.data_at + t->at,
		.to = p->file.data_at + t->at + t->bytes,
		.tensors = &t->name,
		.n_tensors = 1 };

	if (s->odd && t->type == GGML_I32)
		report_add(l->r, RULE_DATA_EXPERT_ID, &at,
			"tensor %s: %llu ids are of no expert, the first at byte %llu of it: there are %llu",
			text_quote(t->name).s, (unsigned long long)s->odd,
			(unsigned long long)s->first, (unsigned long long)s->ids);
	else if (s->odd)
		report_add(l->r, t->type == GGML_MXFP4 ? RULE_DATA_SCALE_NAN : RULE_DATA_NOT_FINITE,
			&at, "tensor %s: %llu %s, the first at byte %llu of it",
			text_quote(t->name).s, (unsigned long long)s->odd,
			t->type == GGML_MXFP4 ? "scale bytes are NaN (255)"
					      : "numbers, or blocks of them, are NaN or infinite",
			(unsigned long long)s->first);
	if (!s->set && t->rank > 1 && t->type != GGML_I32)
		report_add(l->r, RULE_DATA_ZEROS, &at,
			"tensor %s: all of what was looked at is zero", text_quote(t->name).s);
	if (s->blocks >= ENOUGH && spread(s->at[0], s->blocks) > SPREAD &&
		spread(s->at[1], s->blocks) <= SPREAD)
		report_add(l->r, RULE_SUSPECT_SCALE_PLACE, &at,
			"tensor %s: the bytes at the beginning of blocks are no scales, those at the end may be: in MXFP4 of ggml the scale is the first byte",
			text_quote(t->name).s);
}

static uint64_t count_set(const uint8_t *p, size_t n)
{
	uint64_t set = 0;
	size_t i;

	for (i = 0; i < n; i++)
		set += p[i] != 0;
	return set;
}

/* Reads bytes from .. to of a tensor, whole blocks. */
static int see(const struct look *l, int fd, const struct gguf_part *p, const struct gguf_tensor *t,
	uint64_t from, uint64_t to, unsigned how, struct seen *s)
{
	uint64_t block = ggml_type_find(t->type)->bytes, at;
	size_t n, most = (size_t)(PIECE / block * block);

	for (at = from; at < to; at += n) {
		n = to - at < most ? (size_t)(to - at) : most;
		if (file_read(l->at->io, fd, l->p, n, p->file.data_at + t->at + at, l->e))
			return err_at(l->e, "%s", text_quote(p->name).s);
		s->set += count_set(l->p, n);
		if (how < SEES)
			sees[how].see(s, l->p, n, at);
		else
			see_values(s, t->type, l->p, n, l->features, at);
	}
	report_count(l->r, "looked at", "values", 0, to - from);
	return 0;
}

/* How many experts the keys say; no limit where they say nothing, which is told elsewhere. */
static uint64_t experts(const struct look *l)
{
	const struct gguf_entry *x = gguf_config_entry(&l->x->meta, "expert_count");

	return x && gguf_entry_number(x) && x->number >= 0 && x->number < UINT32_MAX
		? (uint64_t)x->number
		: UINT64_MAX;
}

static int tensor(const struct look *l, int fd, const struct gguf_part *p,
	const struct gguf_tensor *t)
{
	uint64_t block = ggml_type_find(t->type)->bytes, end = PIECE / block * block;
	struct seen s = { 0 };
	unsigned how;

	for (how = 0; how < SEES && sees[how].type != t->type; how++)
		;
	if (how == SEES && !ggml_decodes(t->type)) {
		report_count(l->r, "not looked at", ggml_type_name(t->type), 1, 0);
		return 0;
	}
	if (t->type == GGML_I32 && !strstr(t->name, "_tid2eid")) {
		report_count(l->r, "not looked at", ggml_type_name(t->type), 1, 0);
		return 0;
	}
	s.ids = experts(l);
	if (l->full || t->type == GGML_I32 || t->bytes <= 2 * end) {
		if (see(l, fd, p, t, 0, t->bytes, how, &s))
			return -1;
	} else if (see(l, fd, p, t, 0, end, how, &s) ||
		see(l, fd, p, t, t->bytes - end, t->bytes, how, &s)) {
		return -1;
	}
	tell(l, t, p, &s);
	return 0;
}

static int part(const struct look *l, const struct gguf_part *p)
{
	struct stat st;
	char blob[65];
	size_t i;
	int fd, rc = 0;

	if (gguf_part_open(l->at->io, l->at->dir, p->name, &fd, &st, blob, l->e))
		return -1;
	for (i = 0; !rc && i < p->file.n; i++)
		rc = tensor(l, fd, p, &p->file.tensors[i]);
	(void)l->at->io->close(l->at->io, fd); /* read only */
	return rc;
}

int gguf_values_look(struct report *r, const struct folder *at, const struct gguf_in *x, bool full,
	unsigned features, struct err *e)
{
	struct look l = { .r = r,
		.at = at,
		.x = x,
		.full = full,
		.features = features,
		.p = malloc(PIECE),
		.e = e };
	size_t i;
	int rc = l.p ? 0 : err_nomem(e);

	for (i = 0; !rc && i < x->set.n; i++)
		rc = part(&l, &x->set.parts[i]);
	free(l.p);
	return rc;
}
