/* SPDX-License-Identifier: MIT */
#include "convert/plan/plan.h"

#include "core/file.h"
#include "formats/model/family.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct op_row fates[FATE_COUNT] = {
	[FATE_NONE]       = { "unexplained", "" },
	[FATE_COPY]       = { "copied",      "whole, to one file" },
	[FATE_REPLICATE]  = { "replicated",  "whole, to every rank" },
	[FATE_SPLIT]      = { "split",       "by rows or columns, a part to each rank (slice: what is kept)" },
	[FATE_CAST]       = { "cast",        "FP4 to FP8 with one scale for a block" },
	[FATE_WIDEN]      = { "widened",     "E8M0 scales as FP32 numbers, exactly" },
	[FATE_REFORM]     = { "rewritten",   "in another number format" },
	[FATE_DEQUANT]    = { "dequantized", "FP8 codes multiplied with their scales" },
	[FATE_MERGE]      = { "merged",      "a scale multiplied into its weight" },
	[FATE_SKIP]       = { "dropped",     "a copy of embed or head under mtp. that the official converter skips" },
	[FATE_TILE]       = { "laid out",    "stacked, and laid out for the engine" },
	[FATE_JOIN]       = { "joined",      "with others in one parameter" },
	[FATE_NARROW]     = { "narrowed",    "expert ids as 32-bit integers, exactly" },
	[FATE_ELSEWHERE]  = { "elsewhere",   "in another rank or stage" },
	[FATE_DRAFT]      = { "drafts",      "left out: --drafts drop, or the target has no place for them" },
	[FATE_ENGRAM]     = { "Engram",      "left out: --engram drop" },
	[FATE_RECORD]     = { "as records", "codes and scales of a row of a table together (--engram-layout)" },
	[FATE_UNSELECTED] = { "left out",    "not asked for" },
};
/* clang-format on */
const char *plan_experts(const struct plan *p)
{
	return p->recipe && !p->recipe->native ? codecs[p->forms.experts].name
					       : codec_expert(p->experts);
}

int plan_header(const struct plan *p, const struct plan_file *f, struct text *out, struct err *e)
{
	if (f->raw) {
		text_put(out, f->raw, (size_t)f->header_bytes);
		return out->failed ? err_nomem(e) : 0;
	}
	st_put_header_for(out, f->meta, f->n_meta, f->align ? f->align : p->align,
		f->n ? &f->steps[0].out : NULL, f->n, sizeof *f->steps);
	return out->failed ? err_nomem(e) : 0;
}
/* --- small files with text of our own --- */

static int put_index(const struct plan *p, struct text *out, struct err *e)
{
	struct shardmap_place *v;
	uint64_t total = 0;
	size_t n = 0, i, k;

	for (i = 0; i < p->n_files; i++) {
		n += p->files[i].n;
		total += p->files[i].bytes - p->files[i].header_bytes;
	}
	v = malloc((n + 1) * sizeof *v);
	if (!v)
		return err_nomem(e);
	for (n = 0, i = 0; i < p->n_files; i++)
		for (k = 0; k < p->files[i].n; k++)
			v[n++] = (struct shardmap_place){ p->files[i].steps[k].out.name,
				p->files[i].name };
	shardmap_put(out, v, n, total);
	free(v);
	return out->failed ? err_nomem(e) : 0;
}

static int put_source_header(const struct ckpt *c, const struct shard *s, struct text *out,
	struct err *e)
{
	if (mem_grow(&out->s, &out->cap, (size_t)s->data_at, 1))
		return err_nomem(e);
	if (file_read(c->io, s->fd, out->s, (size_t)s->data_at, 0, e))
		return err_at(e, "%s", s->name);
	out->n = (size_t)s->data_at;
	return 0;
}

static int put_recipe(const struct plan *p, const struct recipe_small *made, struct text *out,
	struct err *e)
{
	const struct recipe_made m = { p->recipe, &p->ckpt->doc, &p->ckpt->config, p->forms,
		p->opts.drafts };

	return recipe_small_put(made, out, &m, e);
}

static int put_config(const struct plan *p, struct text *out, struct err *e)
{
	if (config_put(out, &p->ckpt->doc, p->experts, e))
		return -1;
	return p->opts.engram == ENGRAM_DROP ? engram_config(out, e) : 0;
}

int plan_small_text(const struct plan *p, const struct plan_small *s, struct text *out,
	struct err *e)
{
	if (s->kind == SMALL_TEXT) {
		text_put(out, s->text, (size_t)s->bytes);
		return out->failed ? err_nomem(e) : 0;
	}
	if (s->kind == SMALL_RECIPE)
		return put_recipe(p, s->made, out, e);
	return s->kind == SMALL_CONFIG ? put_config(p, out, e)
		: s->kind == SMALL_HEADER
		? put_source_header(p->ckpt, &p->ckpt->shards[s->shard], out, e)
		: put_index(p, out, e);
}
void plan_free(struct plan *p)
{
	size_t i;

	for (i = 0; i < p->n_files; i++)
		free(p->files[i].steps);
	free(p->files);
	free(p->smalls);
	free(p->fate);
	arena_free(&p->arena);
	memset(p, 0, sizeof *p);
}
