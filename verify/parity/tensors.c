/* SPDX-License-Identifier: MIT */
#include "verify/parity/tensors.h"

#include "core/cli/value.h"
#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "quant/lib/dsv4.h"

#include <stdio.h>
#include <string.h>

int tensors_failed(struct err *e, const struct dsv4_error *why)
{
	static const enum err_kind kinds[] = { [DSV4_OK] = ERR_SYSTEM,
		[DSV4_DATA] = ERR_DATA,
		[DSV4_MISMATCH] = ERR_MISMATCH,
		[DSV4_UNSUPPORTED] = ERR_UNSUPPORTED,
		[DSV4_USAGE] = ERR_USAGE,
		[DSV4_SYSTEM] = ERR_SYSTEM };
	const struct rule *r = rule_find(why->rule);

	if (r)
		return err_rule(e, (enum rule_id)(r - rules), ERR_NOPOS, "%s", why->message);
	return err_set(e, kinds[why->kind], "%s", why->message);
}

/* --- as text --- */

static const char *stack_of(const struct dsv4_tensor *t, char *s, size_t room)
{
	if (!t->stack)
		return "";
	snprintf(s, room, "  %s/%u %s, %llu of %u x %llu bytes", t->stack->layout,
		t->stack->version, t->stack->order, (unsigned long long)t->stack->count,
		t->stack->rows, (unsigned long long)t->stack->row_bytes);
	return s;
}

static void put_tensor(struct text *out, const struct dsv4_tensor *t)
{
	char shape[200] = "", stack[160];
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < t->rank; i++)
		n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%llu", i ? "," : "",
			(unsigned long long)t->shape[i]);
	text_fmt(out, "    %-46s %-8s %-18s %14llu %14llu%s\n", text_quote(t->name).s, t->dtype,
		shape, (unsigned long long)t->offset, (unsigned long long)t->bytes,
		stack_of(t, stack, sizeof stack));
}

static void put_folder(struct text *out, const struct dsv4 *d, const struct dsv4_folder *f)
{
	const struct dsv4_file *file;
	uint32_t i;
	size_t k;

	text_fmt(out, "\n%s", *f->name ? f->name : "the folder itself");
	if (f->ranks)
		text_fmt(out, " (rank %u of %u", f->rank, f->ranks);
	if (f->ranks && f->stages > 1)
		text_fmt(out, ", stage %u of %u", f->stage, f->stages);
	text_fmt(out, "%s: %u files, %zu tensors\n", f->ranks ? ")" : "", f->files, f->tensors);
	for (i = f->first_file; i < f->first_file + f->files; i++) {
		file = dsv4_file(d, i);
		text_fmt(out, "  %s: %llu bytes, payload from %llu, %zu tensors\n", file->name,
			(unsigned long long)file->bytes, (unsigned long long)file->payload,
			file->tensors);
		for (k = file->first_tensor; k < file->first_tensor + file->tensors; k++)
			put_tensor(out, dsv4_tensor(d, k));
	}
}

/* As a rank, where all are wanted. */
#define ALL UINT64_MAX

/* A whole model is rank 0. */
static bool wanted(const struct dsv4_folder *f, uint64_t rank)
{
	return rank == ALL || f->rank == rank;
}

static void put_text(struct text *out, const struct dsv4 *d, uint64_t rank)
{
	const struct dsv4_info *n = dsv4_info(d);
	uint32_t i;

	text_fmt(out, "%s: target %s, by %s\nplan %s\n", n->kind, text_quote(n->target).s,
		text_quote(n->tool).s, n->plan);
	text_fmt(out, "%u folders, %u files, %zu tensors, %llu bytes\n", n->folders, n->files,
		n->tensors, (unsigned long long)n->bytes);
	for (i = 0; i < n->folders; i++)
		if (wanted(dsv4_folder(d, i), rank))
			put_folder(out, d, dsv4_folder(d, i));
}

/* --- as JSON --- */

static void json_stack(struct jwrite *o, const struct dsv4_stack *s)
{
	jwrite_open(o, "stack", '{');
	jwrite_u64(o, "bytes", s->bytes);
	jwrite_u64(o, "count", s->count);
	jwrite_str(o, "layout", s->layout);
	jwrite_str(o, "order", s->order);
	jwrite_u64(o, "parts", s->parts);
	jwrite_u64(o, "row_bytes", s->row_bytes);
	jwrite_u64(o, "rows", s->rows);
	jwrite_u64(o, "version", s->version);
	jwrite_close(o, '}');
}

static void json_tensor(struct jwrite *o, const struct dsv4_tensor *t)
{
	char hex[33];
	uint32_t i;

	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", t->bytes);
	jwrite_str(o, "dtype", t->dtype);
	jwrite_str(o, "name", t->name);
	jwrite_u64(o, "offset", t->offset);
	jwrite_open(o, "shape", '[');
	for (i = 0; i < t->rank; i++)
		jwrite_u64(o, NULL, t->shape[i]);
	jwrite_close(o, ']');
	if (t->stack)
		json_stack(o, t->stack);
	jwrite_str(o, "transform", t->transform);
	hex_of(t->xxh3_128, 16, hex);
	jwrite_str(o, "xxh3_128", hex);
	jwrite_close(o, '}');
}

static void json_file(struct jwrite *o, const struct dsv4 *d, const struct dsv4_file *f)
{
	size_t k;

	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", f->bytes);
	jwrite_str(o, "name", f->name);
	jwrite_u64(o, "payload", f->payload);
	jwrite_open(o, "tensors", '[');
	for (k = f->first_tensor; k < f->first_tensor + f->tensors; k++)
		json_tensor(o, dsv4_tensor(d, k));
	jwrite_close(o, ']');
	jwrite_close(o, '}');
}

static void json_folder(struct jwrite *o, const struct dsv4 *d, const struct dsv4_folder *f)
{
	uint32_t i;

	jwrite_open(o, NULL, '{');
	jwrite_open(o, "files", '[');
	for (i = f->first_file; i < f->first_file + f->files; i++)
		json_file(o, d, dsv4_file(d, i));
	jwrite_close(o, ']');
	jwrite_str(o, "name", f->name);
	if (f->ranks) {
		jwrite_u64(o, "rank", f->rank);
		jwrite_u64(o, "ranks", f->ranks);
		jwrite_u64(o, "stage", f->stage);
		jwrite_u64(o, "stages", f->stages);
	}
	jwrite_close(o, '}');
}

static void put_json(struct text *out, const struct dsv4 *d, uint64_t rank)
{
	const struct dsv4_info *n = dsv4_info(d);
	struct jwrite o;
	uint32_t i;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "bytes", n->bytes);
	jwrite_open(&o, "folders", '[');
	for (i = 0; i < n->folders; i++)
		if (wanted(dsv4_folder(d, i), rank))
			json_folder(&o, d, dsv4_folder(d, i));
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_TENSORS_JSON);
	jwrite_str(&o, "kind", n->kind);
	jwrite_str(&o, "plan", n->plan);
	jwrite_str(&o, "target", n->target);
	jwrite_u64(&o, "tensors", n->tensors);
	jwrite_str(&o, "tool", n->tool);
	jwrite_close(&o, '}');
}

static bool has_rank(const struct dsv4 *d, uint64_t rank)
{
	const struct dsv4_folder *f;
	uint32_t i;

	for (i = 0; (f = dsv4_folder(d, i)); i++)
		if (wanted(f, rank))
			return true;
	return false;
}

int tensors_put(struct text *out, const char *path, const char *rank, bool json, struct err *e)
{
	uint64_t want = ALL;
	struct dsv4_error why;
	struct dsv4 *d;
	int rc = 0;

	if (rank && cli_number(rank, 0, UINT32_MAX, &want, e))
		return -1;
	if (dsv4_open(&d, path, NULL, &why))
		return tensors_failed(e, &why);
	if (has_rank(d, want))
		(json ? put_json : put_text)(out, d, want);
	else
		rc = err_rule(e, RULE_CHECK_RANK, ERR_NOPOS, "--rank %s: there is no such rank",
			rank);
	dsv4_close(d);
	return rc;
}
