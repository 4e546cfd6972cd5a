/* SPDX-License-Identifier: MIT */
#include "convert/cli/show.h"

#include "core/hash/xxh.h"
#include "formats/archive/archive_io.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/layout/engine.h"
#include "formats/model/sglang_name.h"

#include <stdio.h>
#include <string.h>

/* A place below OUT. */
struct place {
	char s[400];
};

static struct place place_of(const struct plan *p, const char *name)
{
	struct place w;

	snprintf(w.s, sizeof w.s, "%s%s%s", p->dir, p->dir[0] ? "/" : "", name);
	return w;
}

static const char *folder_name(const struct plan *p)
{
	return p->dir[0] ? p->dir : ".";
}

static bool is_vllm(const struct conversion *c)
{
	return rank_target(c->opts.target);
}

static uint64_t ranks_of(const struct conversion *c)
{
	return c->is_set || is_vllm(c) ? c->opts.share.ranks : c->opts.ranks;
}

/* Tensors in all files of a folder. */
static uint64_t tensors_of(const struct plan *p)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < p->n_files; i++)
		n += p->files[i].n;
	return n;
}

/* --- a plan for people --- */

static void put_target(struct text *out, const struct conversion *c)
{
	const struct engine *g = engine_find(c->opts.target);
	const struct share *h = &c->opts.share;
	unsigned long long ranks = ranks_of(c);

	text_fmt(out, "target %s", c->opts.target);
	if (!g) {
		if (!strcmp(c->opts.target, "official") || is_vllm(c))
			text_fmt(out, ", %llu rank%s", ranks, ranks > 1 ? "s" : "");
		if (is_vllm(c))
			text_fmt(out, " by %s", h->experts_tp ? "tp" : "ep");
		text_fmt(out, ", experts %s\n", plan_experts(conversion_main(c)));
		return;
	}
	text_fmt(out, ": %s\n", g->what);
	text_fmt(out, "layouts: values %s, scales %s; rows of w1 and w3 %s, of w2 %s\n", g->values,
		g->scales, g->w13, g->w2);
	text_fmt(out, "%llu rank%s", ranks, ranks > 1 ? "s" : "");
	if (h->stages > 1)
		text_fmt(out, " in each of %llu stages", (unsigned long long)h->stages);
	text_fmt(out, ", experts by %s, attention %s\n", h->experts_tp ? "tp" : "ep",
		h->attention_tp ? "tp" : "replicated");
}

/* Bytes that a run needs free space for. */
static uint64_t missing(const struct show_plan *s)
{
	return s->c->bytes > s->there ? s->c->bytes - s->there : 0;
}

/* The same of a run that frees shards. */
static uint64_t reclaim_need(const struct show_plan *s)
{
	return s->beside && s->forecast->peak < missing(s) ? s->forecast->peak : missing(s);
}

static void put_budget(struct text *out, const struct show_plan *s)
{
	const struct conversion *c = s->c;
	const struct budget *b = &s->budget;
	unsigned files = b->teams * b->lanes;

	text_fmt(out, "disk: %s bytes to write (%s)", text_thousands(c->bytes).s,
		text_bytes(c->bytes).s);
	if (s->room_known)
		text_fmt(out, ", %s free%s", text_bytes(s->room).s,
			s->room < missing(s) ? ": NOT ENOUGH" : "");
	text_fmt(out,
		"\nmemory: at most %s, limit %s (%u thread%s, %u file%s at a time, pieces of "
		"%zu KiB)\n",
		text_bytes(b->peak).s, text_bytes(s->limit).s, b->threads,
		b->threads > 1 ? "s" : "", files, files > 1 ? "s" : "", b->piece >> 10);
}

/* What lies there more than before the run after file i, or less. */
static void put_extra(struct text *out, const struct forecast *f, size_t i)
{
	uint64_t more = f->steps[i].made, less = f->steps[i].freed + f->swept;

	text_fmt(out, "%s%s", more < less ? "-" : "",
		text_bytes(more < less ? less - more : more - less).s);
}

/* Why no shard may be freed, as far as the plan alone tells; NULL: it may. */
static const char *not_freed(const struct show_plan *s)
{
	const struct ckpt *k = s->c->folders[0].ckpt;

	return archive_io_listing(k->io, k->dir)
		? "the source is an archive, which is read in place"
		: forecast_refuses(s->c);
}

/* The disk over time, where shards are freed. */
static void put_reclaim(struct text *out, const struct show_plan *s)
{
	const struct forecast *f = s->forecast;
	const char *why = not_freed(s);
	size_t k;

	if (recipe_find(s->c->opts.target))
		return; /* dsv4-quant has no such option */
	if (why) {
		text_fmt(out, "run --reclaim: not to be had: %s\n", why);
		return;
	}
	text_fmt(out,
		"run --reclaim %.12s: at most %s more than now (%s for each of %u thread%s; a "
		"shard has up to %s)",
		s->c->hash, text_bytes(f->peak).s, text_bytes(f->peak / f->threads).s, f->threads,
		f->threads > 1 ? "s" : "", text_bytes(f->shard).s);
	if (s->room_known && s->room < reclaim_need(s))
		text_str(out, ": NOT ENOUGH");
	if (!s->beside)
		text_str(out,
			"; the source lies elsewhere, and what is freed there gives OUT no room");
	text_str(out, "\n");
	if (!f->n)
		return;
	text_str(out, "  more than now after each quarter of the files:");
	for (k = 1; k <= 4; k++) {
		text_str(out, k > 1 ? ", " : " ");
		put_extra(out, f, (f->n * k + 3) / 4 - 1);
	}
	text_str(out, "\n");
}

static void put_folders(struct text *out, const struct conversion *c)
{
	const struct plan *p;

	text_fmt(out, "\n  %-30s %9s %9s %19s\n", "folder", "files", "tensors", "bytes");
	for (p = c->folders; p < c->folders + c->n; p++)
		text_fmt(out, "  %-30s %9s %9s %19s\n", folder_name(p),
			text_thousands(p->n_files + p->n_smalls).s, text_thousands(tensors_of(p)).s,
			text_thousands(p->bytes).s);
}

/* What a loader has to do: how many tensors it places, from how many files, in which order. */
static void put_loading(struct text *out, const struct conversion *c)
{
	const struct plan *p = &c->folders[c->n - 1]; /* of the last rank, as source/ comes first */
	uint64_t n = tensors_of(p);

	text_fmt(out,
		"loading: a rank has %s tensors, on average of %s (the source %s of %s), in %zu file%s,\n"
		"  %s; in each file those of a multiple of %d bytes first\n",
		text_thousands(n).s, text_bytes(n ? p->bytes / n : 0).s,
		text_thousands(p->ckpt->n).s,
		text_bytes(p->ckpt->n ? p->ckpt->bytes / p->ckpt->n : 0).s, p->n_files,
		p->n_files == 1 ? "" : "s",
		c->opts.file_size
			? "block by block as the model is built, a scale behind its weight"
			: "one for each block, by type and name",
		PLAN_ALIGN);
}

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

static void put_fates(struct text *out, const struct conversion *c)
{
	int f;

	text_fmt(out, "\n  %-40s %9s %19s  %s\n", "source tensors", "number", "bytes",
		"how and why");
	for (f = 1; f < FATE_COUNT; f++)
		if (c->fate_n[f])
			text_fmt(out, "  %-40s %9s %19s  %s\n", fates[f].name,
				text_thousands(c->fate_n[f]).s, text_thousands(c->fate_bytes[f]).s,
				fates[f].what);
	text_fmt(out, "  %-40s %9s\n", "unexplained", text_thousands(c->fate_n[FATE_NONE]).s);
}

void show_plan_text(struct text *out, const struct show_plan *s)
{
	const struct conversion *c = s->c;
	const struct ckpt *k = c->folders[0].ckpt;
	size_t i;

	text_fmt(out, "plan %s\n", c->hash);
	put_target(out, c);
	put_budget(out, s);
	put_reclaim(out, s);
	if (c->is_set)
		put_loading(out, c);
	if (c->n > 1)
		put_folders(out, c);
	if (!c->is_set)
		put_files(out, conversion_main(c));
	put_fates(out, c);
	for (i = 0; s->tensors && i < k->n; i++)
		text_fmt(out, "%s%s\t%s\n", i ? "" : "\n", fates[conversion_fate(c, i)].name,
			text_quote(k->tensors[i].name).s);
	if (s->more_text)
		text_str(out, s->more_text);
}

/* --- a plan for programs --- */

static void put_steps_json(struct jwrite *o, const struct show_plan *s)
{
	const struct forecast *f = s->forecast;
	const struct item *it;
	size_t i;

	jwrite_open(o, "over_time", '[');
	for (i = 0; i < f->n; i++) {
		it = &f->order[i];
		jwrite_open(o, NULL, '{');
		jwrite_str(o, "file",
			place_of(&s->c->folders[it->folder],
				s->c->folders[it->folder].files[it->i].name)
				.s);
		jwrite_u64(o, "freed", f->steps[i].freed);
		jwrite_u64(o, "made", f->steps[i].made);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_reclaim_json(struct jwrite *o, const struct show_plan *s)
{
	const struct forecast *f = s->forecast;
	const char *why = not_freed(s);

	jwrite_open(o, "reclaim", '{');
	jwrite_bool(o, "beside", s->beside);
	if (s->room_known)
		jwrite_bool(o, "fits", !why && s->room >= reclaim_need(s));
	if (!why)
		put_steps_json(o, s);
	jwrite_u64(o, "peak", f->peak);
	jwrite_u64(o, "per_thread", f->peak / f->threads);
	jwrite_bool(o, "possible", !why);
	if (why)
		jwrite_str(o, "reason", why);
	jwrite_u64(o, "shard", f->shard);
	jwrite_u64(o, "source", f->source);
	jwrite_u64(o, "threads", f->threads);
	jwrite_close(o, '}');
}

static void put_disk_json(struct jwrite *o, const struct show_plan *s)
{
	jwrite_open(o, "disk", '{');
	if (s->room_known) {
		jwrite_bool(o, "fits", s->room >= missing(s));
		jwrite_u64(o, "free", s->room);
	}
	jwrite_u64(o, "needed", missing(s));
	put_reclaim_json(o, s);
	jwrite_close(o, '}');
}

static void put_memory_json(struct jwrite *o, const struct show_plan *s)
{
	jwrite_open(o, "memory", '{');
	jwrite_u64(o, "lanes", s->budget.lanes);
	jwrite_u64(o, "limit", s->limit);
	jwrite_u64(o, "peak", s->budget.peak);
	jwrite_u64(o, "piece", s->budget.piece);
	jwrite_u64(o, "teams", s->budget.teams);
	jwrite_u64(o, "threads", s->budget.threads);
	jwrite_close(o, '}');
}

/* below: the names are places below OUT. */
static void put_files_json(struct jwrite *o, const struct plan *p, bool below)
{
	size_t i;

	for (i = 0; i < p->n_files; i++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", p->files[i].bytes);
		jwrite_str(o, "name", below ? place_of(p, p->files[i].name).s : p->files[i].name);
		jwrite_u64(o, "tensors", p->files[i].n);
		jwrite_close(o, '}');
	}
}

static void put_folders_json(struct jwrite *o, const struct conversion *c)
{
	const struct plan *p;

	jwrite_open(o, "files", '[');
	for (p = c->folders; p < c->folders + c->n; p++)
		put_files_json(o, p, true);
	jwrite_close(o, ']');
	jwrite_open(o, "folders", '[');
	for (p = c->folders; p < c->folders + c->n; p++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", p->bytes);
		jwrite_open(o, "files", '[');
		put_files_json(o, p, false);
		jwrite_close(o, ']');
		jwrite_str(o, "name", folder_name(p));
		jwrite_str(o, "plan", p->hash);
		jwrite_u64(o, "tensors", tensors_of(p));
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_smalls_json(struct jwrite *o, const struct conversion *c)
{
	const struct plan *p;
	size_t i;

	jwrite_open(o, "small_files", '[');
	for (p = c->folders; p < c->folders + c->n; p++)
		for (i = 0; i < p->n_smalls; i++)
			jwrite_str(o, NULL, place_of(p, p->smalls[i].name).s);
	jwrite_close(o, ']');
}

static void put_fates_json(struct jwrite *o, const struct conversion *c)
{
	int f;

	jwrite_open(o, "sources", '{');
	for (f = 0; f < FATE_COUNT; f++) {
		jwrite_open(o, fates[f].name, '{');
		jwrite_u64(o, "bytes", c->fate_bytes[f]);
		jwrite_u64(o, "tensors", c->fate_n[f]);
		jwrite_close(o, '}');
	}
	jwrite_close(o, '}');
}

static void put_tensors_json(struct jwrite *o, const struct conversion *c)
{
	const struct ckpt *k = c->folders[0].ckpt;
	size_t i;

	jwrite_open(o, "tensors", '{');
	for (i = 0; i < k->n; i++)
		jwrite_str(o, k->tensors[i].name, fates[conversion_fate(c, i)].name);
	jwrite_close(o, '}');
}

void show_plan_json(struct text *out, const struct show_plan *s)
{
	const struct conversion *c = s->c;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	if (s->more_json)
		jwrite_raw(&o, "budget", s->more_json, strlen(s->more_json));
	put_disk_json(&o, s);
	jwrite_str(&o, "experts", plan_experts(conversion_main(c)));
	put_folders_json(&o, c);
	if (c->is_set)
		jwrite_u64(&o, "file_size", c->opts.file_size);
	jwrite_str(&o, "format", FORMAT_PLAN_JSON);
	put_memory_json(&o, s);
	jwrite_str(&o, "plan", c->hash);
	jwrite_u64(&o, "ranks", ranks_of(c));
	put_smalls_json(&o, c);
	put_fates_json(&o, c);
	jwrite_u64(&o, "stages", c->is_set ? c->opts.share.stages : 1);
	jwrite_str(&o, "target", c->opts.target);
	if (s->tensors)
		put_tensors_json(&o, c);
	jwrite_close(&o, '}');
}

/* --- results --- */

void show_run_text(struct text *out, const struct conversion *c, const struct run_result *r)
{
	const struct plan *p;
	char hex[65];
	size_t k, i;

	for (k = 0; k < c->n; k++) {
		p = &c->folders[k];
		for (i = 0; p->opts.sha256 && i < p->n_files; i++) {
			hex_of(r->folders[k].sha256[i], 32, hex);
			text_fmt(out, "%s  %s\n", hex, place_of(p, p->files[i].name).s);
		}
	}
}

static void put_made_json(struct jwrite *o, const struct plan *p, const struct run_folder *r,
	bool below)
{
	size_t i;

	for (i = 0; i < p->n_files; i++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", p->files[i].bytes);
		jwrite_str(o, "name", below ? place_of(p, p->files[i].name).s : p->files[i].name);
		if (p->opts.sha256)
			jwrite_hex(o, "sha256", r->sha256[i], 32);
		jwrite_close(o, '}');
	}
}

static void put_scales_json(struct jwrite *o, const struct run_counts *n)
{
	jwrite_open(o, "e8m0", '{');
	jwrite_u64(o, "above_247", n->scales[1]);
	jwrite_u64(o, "above_249", n->scales[2]);
	jwrite_u64(o, "zero", n->scales[0]);
	jwrite_close(o, '}');
}

/* What came of folder p. */
static void put_folder_json(struct jwrite *o, const struct plan *p, const struct run_folder *r)
{
	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes_written", r->n.written);
	jwrite_u64(o, "cast_blocks", r->n.blocks);
	jwrite_u64(o, "cast_blocks_inexact", r->n.inexact);
	put_scales_json(o, &r->n);
	jwrite_open(o, "files", '[');
	put_made_json(o, p, r, false);
	jwrite_close(o, ']');
	jwrite_u64(o, "files_kept", r->n.kept);
	jwrite_u64(o, "files_made", r->n.made);
	jwrite_str(o, "name", folder_name(p));
	jwrite_close(o, '}');
}

void show_run_json(struct text *out, const struct conversion *c, const struct run_result *r,
	const char *more_json, const char *atlas)
{
	struct jwrite o;
	size_t k;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	if (atlas)
		jwrite_raw(&o, "atlas", atlas, strlen(atlas));
	if (more_json)
		jwrite_raw(&o, "budget", more_json, strlen(more_json));
	jwrite_u64(&o, "bytes_written", r->sum.written);
	jwrite_u64(&o, "cast_blocks", r->sum.blocks);
	jwrite_u64(&o, "cast_blocks_inexact", r->sum.inexact);
	put_scales_json(&o, &r->sum);
	jwrite_open(&o, "files", '[');
	for (k = 0; k < c->n; k++)
		put_made_json(&o, &c->folders[k], &r->folders[k], true);
	jwrite_close(&o, ']');
	jwrite_u64(&o, "files_kept", r->sum.kept);
	jwrite_u64(&o, "files_linked", r->sum.linked);
	jwrite_u64(&o, "files_made", r->sum.made);
	jwrite_open(&o, "folders", '[');
	for (k = 0; k < c->n; k++)
		put_folder_json(&o, &c->folders[k], &r->folders[k]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_RUN_JSON);
	jwrite_str(&o, "plan", c->hash);
	jwrite_u64(&o, "shards_freed", r->freed);
	jwrite_close(&o, '}');
}
