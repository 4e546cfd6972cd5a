/* SPDX-License-Identifier: MIT */
#include "convert/cli/show_set.h"

#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/layout/engine.h"

#include <string.h>

static void put_fates(struct text *out, const struct set *s)
{
	int f;

	text_fmt(out, "\n  %-40s %9s %19s  %s\n", "source tensors", "number", "bytes",
		"how and why");
	for (f = 1; f < FATE_COUNT; f++)
		if (s->fate_n[f])
			text_fmt(out, "  %-40s %9s %19s  %s\n", fates[f].name,
				text_thousands(s->fate_n[f]).s, text_thousands(s->fate_bytes[f]).s,
				fates[f].what);
	text_fmt(out, "  %-40s %9s\n", "unexplained", text_thousands(s->fate_n[FATE_NONE]).s);
}

void show_set_text(struct text *out, const struct show_set *v)
{
	const struct set *s = v->s;
	const struct engine *g = engine_find(s->opts.target);
	const struct share *h = &s->opts.share;
	size_t k;

	text_fmt(out, "plan %s\n", s->hash);
	text_fmt(out, "target %s: %s\n", g->name, g->what);
	text_fmt(out, "layouts: values %s, scales %s; rows of w1 and w3 %s, of w2 %s\n", g->values,
		g->scales, g->w13, g->w2);
	text_fmt(out, "%llu rank%s", (unsigned long long)h->ranks, h->ranks > 1 ? "s" : "");
	if (h->stages > 1)
		text_fmt(out, " in each of %llu stages", (unsigned long long)h->stages);
	text_fmt(out, ", experts by %s, attention %s\n", h->experts_tp ? "tp" : "ep",
		h->attention_tp ? "tp" : "replicated");
	text_fmt(out, "disk: %s bytes to write (%s)", text_thousands(s->bytes).s,
		text_bytes(s->bytes).s);
	if (v->room_known)
		text_fmt(out, ", %s free%s", text_bytes(v->room).s,
			v->room < s->bytes ? ": NOT ENOUGH" : "");
	text_fmt(out,
		"\nmemory: at most %s, limit %s (%u thread%s, %u file%s at a time each, pieces of "
		"%zu KiB)\n",
		text_bytes(v->budget.peak).s, text_bytes(v->limit).s, v->budget.threads,
		v->budget.threads > 1 ? "s" : "", v->budget.lanes, v->budget.lanes > 1 ? "s" : "",
		v->budget.piece >> 10);
	text_fmt(out, "\n  %-40s %9s %19s\n", "folder", "files", "bytes");
	for (k = 0; k < s->n; k++)
		text_fmt(out, "  %-40s %9s %19s\n", s->parts[k].dir,
			text_thousands(s->parts[k].plan.n_files + s->parts[k].plan.n_smalls).s,
			text_thousands(s->parts[k].plan.bytes).s);
	put_fates(out, s);
}

static void put_part(struct jwrite *o, const struct set_part *p)
{
	size_t i;

	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", p->plan.bytes);
	jwrite_open(o, "files", '[');
	for (i = 0; i < p->plan.n_files; i++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", p->plan.files[i].bytes);
		jwrite_str(o, "name", p->plan.files[i].name);
		jwrite_u64(o, "tensors", p->plan.files[i].n);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
	jwrite_str(o, "name", p->dir);
	jwrite_str(o, "plan", p->plan.hash);
	jwrite_close(o, '}');
}

void show_set_json(struct text *out, const struct show_set *v)
{
	const struct set *s = v->s;
	struct jwrite o;
	size_t k;
	int f;

	jwrite_begin(&o, out, 3);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "disk", '{');
	if (v->room_known) {
		jwrite_bool(&o, "fits", v->room >= s->bytes);
		jwrite_u64(&o, "free", v->room);
	}
	jwrite_u64(&o, "needed", s->bytes);
	jwrite_close(&o, '}');
	jwrite_open(&o, "folders", '[');
	for (k = 0; k < s->n; k++)
		put_part(&o, &s->parts[k]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_PLAN_SET_JSON);
	jwrite_open(&o, "memory", '{');
	jwrite_u64(&o, "limit", v->limit);
	jwrite_u64(&o, "peak", v->budget.peak);
	jwrite_u64(&o, "threads", v->budget.threads);
	jwrite_close(&o, '}');
	jwrite_str(&o, "plan", s->hash);
	jwrite_u64(&o, "ranks", s->opts.share.ranks);
	jwrite_open(&o, "sources", '{');
	for (f = 0; f < FATE_COUNT; f++) {
		jwrite_open(&o, fates[f].name, '{');
		jwrite_u64(&o, "bytes", s->fate_bytes[f]);
		jwrite_u64(&o, "tensors", s->fate_n[f]);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, '}');
	jwrite_u64(&o, "stages", s->opts.share.stages);
	jwrite_str(&o, "target", s->opts.target);
	jwrite_close(&o, '}');
}

/* --- results --- */

void show_made_begin(struct show_made *m, const struct set *s, bool json)
{
	memset(m, 0, sizeof *m);
	m->json = json;
	if (!json)
		return;
	jwrite_begin(&m->j, &m->out, 4);
	jwrite_open(&m->j, NULL, '{');
	jwrite_str(&m->j, "format", FORMAT_RUN_SET_JSON);
	jwrite_str(&m->j, "plan", s->hash);
	jwrite_open(&m->j, "folders", '[');
}

void show_made_part(void *made, const struct set_part *p, const struct run_result *r)
{
	struct show_made *m = made;
	char hex[65];
	size_t i;

	m->sum.made += r->made;
	m->sum.kept += r->kept;
	m->sum.written += r->written;
	for (i = 0; i < 3; i++)
		m->sum.scales[i] += r->scales[i];
	if (m->json) {
		jwrite_open(&m->j, NULL, '{');
		jwrite_u64(&m->j, "bytes_written", r->written);
		jwrite_open(&m->j, "e8m0", '{');
		jwrite_u64(&m->j, "above_247", r->scales[1]);
		jwrite_u64(&m->j, "above_249", r->scales[2]);
		jwrite_u64(&m->j, "zero", r->scales[0]);
		jwrite_close(&m->j, '}');
		jwrite_open(&m->j, "files", '[');
	}
	for (i = 0; i < p->plan.n_files; i++) {
		hex_of(r->sha256[i], 32, hex);
		if (!m->json && p->plan.opts.sha256)
			text_fmt(&m->out, "%s  %s/%s\n", hex, p->dir, p->plan.files[i].name);
		if (!m->json)
			continue;
		jwrite_open(&m->j, NULL, '{');
		jwrite_u64(&m->j, "bytes", p->plan.files[i].bytes);
		jwrite_str(&m->j, "name", p->plan.files[i].name);
		if (p->plan.opts.sha256)
			jwrite_str(&m->j, "sha256", hex);
		jwrite_close(&m->j, '}');
	}
	if (m->json) {
		jwrite_close(&m->j, ']');
		jwrite_u64(&m->j, "files_kept", r->kept);
		jwrite_u64(&m->j, "files_made", r->made);
		jwrite_str(&m->j, "name", p->dir);
		jwrite_close(&m->j, '}');
	}
}

void show_made_end(struct show_made *m)
{
	if (!m->json)
		return;
	jwrite_close(&m->j, ']');
	jwrite_close(&m->j, '}');
}
