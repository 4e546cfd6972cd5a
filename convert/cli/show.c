/* SPDX-License-Identifier: MIT */
#include "convert/cli/show.h"

#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <string.h>

static void put_files(struct text *out, const struct plan *p)
{
	size_t i;

	text_fmt(out, "\n  %-40s %9s %19s\n", "file", "tensors", "bytes");
	for (i = 0; i < p->n_files; i++)
		text_fmt(out, "  %-40s %9s %19s\n", p->files[i].name,
			text_thousands(p->files[i].n).s, text_thousands(p->files[i].bytes).s);
	for (i = 0; i < p->n_smalls; i++)
		text_fmt(out, "  %-40s %29s\n", p->smalls[i].name,
			p->smalls[i].kind == SMALL_COPY ? "copied" : "made");
}

static void put_fates(struct text *out, const struct plan *p)
{
	int f;

	text_fmt(out, "\n  %-40s %9s %19s  %s\n", "source tensors", "number", "bytes",
		"how and why");
	for (f = 1; f < FATE_COUNT; f++)
		if (p->fate_n[f])
			text_fmt(out, "  %-40s %9s %19s  %s\n", fates[f].name,
				text_thousands(p->fate_n[f]).s, text_thousands(p->fate_bytes[f]).s,
				fates[f].what);
	text_fmt(out, "  %-40s %9s\n", "unexplained", text_thousands(p->fate_n[FATE_NONE]).s);
}

void show_plan_text(struct text *out, const struct show_plan *s)
{
	const struct plan *p = s->p;
	size_t i;

	text_fmt(out, "plan %s\n", p->hash);
	text_fmt(out, "target %s", p->opts.target);
	if (!strcmp(p->opts.target, "official"))
		text_fmt(out, ", %llu rank%s", (unsigned long long)p->opts.ranks,
			p->opts.ranks > 1 ? "s" : "");
	text_fmt(out, ", experts %s\n", expert_form_name(p->experts));
	text_fmt(out, "disk: %s bytes to write (%s)", text_thousands(p->bytes).s,
		text_bytes(p->bytes).s);
	if (s->room_known)
		text_fmt(out, ", %s free%s", text_bytes(s->room).s,
			s->room < p->bytes ? ": NOT ENOUGH" : "");
	text_fmt(out,
		"\nmemory: at most %s, limit %s (%u thread%s, %u file%s at a time each, pieces of "
		"%zu KiB)\n",
		text_bytes(s->budget.peak).s, text_bytes(s->limit).s, s->budget.threads,
		s->budget.threads > 1 ? "s" : "", s->budget.lanes, s->budget.lanes > 1 ? "s" : "",
		s->budget.piece >> 10);
	put_files(out, p);
	put_fates(out, p);
	if (!s->tensors)
		return;
	text_fmt(out, "\n");
	for (i = 0; i < p->ckpt->n; i++)
		text_fmt(out, "%s\t%s\n", fates[p->fate[i]].name,
			text_quote(p->ckpt->tensors[i].name).s);
}

void show_plan_json(struct text *out, const struct show_plan *s)
{
	const struct plan *p = s->p;
	struct jwrite o;
	size_t i;
	int f;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "disk", '{');
	if (s->room_known)
		jwrite_u64(&o, "free", s->room);
	if (s->room_known)
		jwrite_bool(&o, "fits", s->room >= p->bytes);
	jwrite_u64(&o, "needed", p->bytes);
	jwrite_close(&o, '}');
	jwrite_str(&o, "experts", expert_form_name(p->experts));
	jwrite_open(&o, "files", '[');
	for (i = 0; i < p->n_files; i++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "bytes", p->files[i].bytes);
		jwrite_str(&o, "name", p->files[i].name);
		jwrite_u64(&o, "tensors", p->files[i].n);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_PLAN_JSON);
	jwrite_open(&o, "memory", '{');
	jwrite_u64(&o, "lanes", s->budget.lanes);
	jwrite_u64(&o, "limit", s->limit);
	jwrite_u64(&o, "peak", s->budget.peak);
	jwrite_u64(&o, "piece", s->budget.piece);
	jwrite_u64(&o, "threads", s->budget.threads);
	jwrite_close(&o, '}');
	jwrite_str(&o, "plan", p->hash);
	jwrite_u64(&o, "ranks", p->opts.ranks);
	jwrite_open(&o, "small_files", '[');
	for (i = 0; i < p->n_smalls; i++)
		jwrite_str(&o, NULL, p->smalls[i].name);
	jwrite_close(&o, ']');
	jwrite_open(&o, "sources", '{');
	for (f = 0; f < FATE_COUNT; f++) {
		jwrite_open(&o, fates[f].name, '{');
		jwrite_u64(&o, "bytes", p->fate_bytes[f]);
		jwrite_u64(&o, "tensors", p->fate_n[f]);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, '}');
	jwrite_str(&o, "target", p->opts.target);
	if (s->tensors) {
		jwrite_open(&o, "tensors", '{');
		for (i = 0; i < p->ckpt->n; i++)
			jwrite_str(&o, p->ckpt->tensors[i].name, fates[p->fate[i]].name);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, '}');
}

void show_run_text(struct text *out, const struct plan *p, const struct run_result *r)
{
	char hex[65];
	size_t i;

	for (i = 0; p->opts.sha256 && i < p->n_files; i++) {
		hex_of(r->sha256[i], 32, hex);
		text_fmt(out, "%s  %s\n", hex, p->files[i].name);
	}
}

void show_run_json(struct text *out, const struct plan *p, const struct run_result *r)
{
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "bytes_written", r->written);
	jwrite_u64(&o, "cast_blocks", r->blocks);
	jwrite_u64(&o, "cast_blocks_inexact", r->inexact);
	jwrite_open(&o, "files", '[');
	for (i = 0; i < p->n_files; i++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "bytes", p->files[i].bytes);
		jwrite_str(&o, "name", p->files[i].name);
		if (p->opts.sha256)
			jwrite_hex(&o, "sha256", r->sha256[i], 32);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_u64(&o, "files_kept", r->kept);
	jwrite_u64(&o, "files_made", r->made);
	jwrite_str(&o, "format", FORMAT_RUN_JSON);
	jwrite_str(&o, "plan", p->hash);
	jwrite_close(&o, '}');
}
