/* SPDX-License-Identifier: MIT */
#include "verify/compare/small.h"

#include "core/file.h"
#include "verify/compare/checksum.h"
#include "core/hash/sha256.h"
#include "core/text.h"
#include "formats/model/family.h"
#include "formats/model/recipes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int load_of_source(const struct small *c, const char *name, struct text *t, bool *there,
	struct err *e)
{
	char actual[CKPT_PATH];
	struct stat st;

	if (ckpt_file(c->source, name, actual, &st, there, e))
		return -1;
	return *there ? file_load(c->io, c->source->dir, actual, MANIFEST_CAP, t, e) : 0;
}

/* NAME.safetensors.header: the first bytes of the shard. */
static int load_header(const struct small *c, const char *name, struct text *t, bool *there,
	struct err *e)
{
	size_t n = strlen(name) - strlen(CKPT_HEADER), i;

	*there = false;
	for (i = 0; i < c->source->n_shards; i++) {
		const struct shard *s = &c->source->shards[i];

		if (strlen(s->name) != n || strncmp(s->name, name, n) || s->fd < 0)
			continue;
		*there = true;
		if (mem_grow(&t->s, &t->cap, (size_t)s->data_at + 1, 1))
			return err_nomem(e);
		t->n = (size_t)s->data_at;
		return file_read(c->io, s->fd, t->s, t->n, 0, e);
	}
	return 0;
}

/* config.json of a cast has another value of expert_dtype, that of a model without Engram names no layer with it, and every
 * other byte is as it was. */
static bool is_config(const struct small *c, enum engram engram, const struct text *got)
{
	struct text t = { 0 };
	struct err e = { 0 };
	bool same = false;
	unsigned form;

	for (form = CODEC_NONE + 1; !same && form < CODEC_COUNT; form++) {
		if (!codecs[form].expert)
			continue;
		t.n = 0;
		same = !config_put(&t, &c->source->doc, (enum codec)form, &e) &&
			(engram != ENGRAM_DROP || !engram_config(&t, &e)) && t.n == got->n &&
			!memcmp(t.s, got->s, t.n);
	}
	text_free(&t);
	return same;
}

/* The number format of a matrix of the source; CODEC_NONE: it has no such matrix. */
static enum codec form_of(const struct ckpt *c, const char *weight, const char *scale)
{
	const struct tensor *w = ckpt_find(c, weight), *s = ckpt_find(c, scale);

	return w && s ? family_codec(c->config.family, weight, w->dtype, s->dtype) : CODEC_NONE;
}

/* What a recipe makes of the number formats of the source; it names none that it leaves as they are. */
static struct model_forms forms_of(const struct ckpt *c, const struct recipe *r)
{
	struct model_forms f =
		r ? recipe_forms(r, c->config.family, false) : (struct model_forms){ 0 };

	if (f.dense == CODEC_NONE)
		f.dense = form_of(c, "layers.0.attn.wq_a.weight", "layers.0.attn.wq_a.scale");
	if (f.experts == CODEC_NONE)
		f.experts = form_of(c, "layers.0.ffn.experts.0.w1.weight",
			"layers.0.ffn.experts.0.w1.scale");
	return f;
}

/* A small file that the recipe of the conversion makes of the source's config.json. */
static bool is_made(const struct small *c, const struct walk_file *f, const struct text *got)
{
	const struct recipe *r = recipe_find(f->d->m->target);
	const struct recipe_small *m = r ? r->smalls : NULL;
	struct recipe_made made = { r, &c->source->doc, &c->source->config, forms_of(c->source, r),
		f->d->m->drafts };
	struct text t = { 0 };
	struct err e = { 0 };
	bool same = false;

	for (; m && m->name && !same; m++) {
		t.n = 0;
		same = !strcmp(m->name, f->f->name) && !recipe_small_put(m, &t, &made, &e) &&
			t.n == got->n && !memcmp(t.s, got->s, t.n);
	}
	text_free(&t);
	return same;
}

/* What an index says otherwise than the headers of the shards beside it. */
static int judge_index(const struct small *c, const struct walk_file *f, bool *true_one)
{
	struct report_place at = { .file = f->path };
	const struct ckpt_opts co = { 0 };
	struct findings found = { 0 };
	struct err e = { 0 };
	struct ckpt made;
	size_t i;

	if (ckpt_open_at(&made, c->io, f->d->dir, &co, &found, &e)) {
		report_take(c->r, &at, &e);
		finding_free(&found);
		return -1;
	}
	for (i = 0; i < found.n; i++)
		if (found.v[i].rule && !strncmp(found.v[i].rule, "index.", 6)) {
			*true_one = false;
			report_add(c->r, RULE_COMPARE_FILE, &at, "%s", found.v[i].text);
		}
	ckpt_close(&made);
	finding_free(&found);
	return 0;
}

/* Whether the source has a file of that name with the same bytes. */
static bool is_copy(const struct small *c, const char *name, const struct text *got)
{
	struct text want = { 0 };
	struct err e = { 0 };
	bool there, same;

	same = !load_of_source(c, name, &want, &there, &e) && there && got->n == want.n &&
		!memcmp(got->s, want.s, want.n);
	text_free(&want);
	return same;
}

/* An index that the tool made has no counterpart in the source: it is held to its digest in the manifest, and to the
 * headers of the shards. */
static int compare_made(const struct small *c, const struct walk_file *f)
{
	struct report_place at = { .file = f->path };
	struct text got = { 0 };
	struct err e = { 0 };
	uint8_t sha[32];
	bool same = true;

	if (file_load(c->io, f->d->dir, f->f->name, MANIFEST_CAP, &got, &e) ||
		sha256_of(got.s, got.n, sha, &e))
		report_take(c->r, &at, &e);
	else if (f->f->has_sha256 && memcmp(sha, f->f->sha256, sizeof sha) != 0)
		report_add(c->r, RULE_COMPARE_FILE, &at, "its SHA-256 is not that of the manifest");
	else if (is_copy(c, f->f->name, &got) || (!judge_index(c, f, &same) && same))
		report_count(c->r, "compared", "indexes, by the headers of the shards", 1,
			f->f->bytes);
	text_free(&got);
	return 0;
}

/* Whether it lies beside the conversion as it lies beside the source, which is a conversion itself: what restores the one restores
 * the other. */
static bool is_kept(const struct small *c, const struct walk_file *f, const struct text *got)
{
	char name[CKPT_PATH];

	if (strcmp(f->d->name, SET_SOURCE) != 0 ||
		snprintf(name, sizeof name, SET_SOURCE "/%s", f->f->name) >= (int)sizeof name)
		return false;
	return is_copy(c, name, got);
}

/* The recipe of the conversion makes a file of that name: what the source has under it is not what is wanted. */
static bool is_of_recipe(const struct walk_file *f)
{
	const struct recipe *r = recipe_find(f->d->m->target);
	const struct recipe_small *m = r ? r->smalls : NULL;

	if (!strcmp(f->d->name, SET_SOURCE))
		return false;
	if (f->d->m->engram == ENGRAM_DROP && !strcmp(f->f->name, "config.json"))
		return true;
	while (m && m->name && strcmp(m->name, f->f->name) != 0)
		m++;
	return m && m->name;
}

/* config.json of a slice. */
static bool is_sliced(const struct small *c, const struct walk_file *f, const struct text *got)
{
	const struct slice_said said = { .io = c->io,
		.source = c->source,
		.on = c->on,
		.places = c->places,
		.experts = form_of(c->source, "layers.0.ffn.experts.0.w1.weight",
			"layers.0.ffn.experts.0.w1.scale"),
		.r = c->r };

	return slice_said_config(&said, f, got);
}

int small_compare(const struct small *c, const struct walk_file *f)
{
	struct report_place at = { .file = f->path };
	struct text got = { 0 }, want = { 0 };
	struct err e = { 0 };
	bool there = false, same;
	int rc;

	if (!strcmp(f->f->name, CKPT_INDEX) && strcmp(f->d->name, SET_SOURCE))
		return compare_made(c, f);
	if (checksum_is(f)) {
		checksum_compare(c->io, f, c->r);
		return 0;
	}
	rc = file_load(c->io, f->d->dir, f->f->name, MANIFEST_CAP, &got, &e);
	rc = rc ? rc
		: text_ends(f->f->name, CKPT_HEADER)
		? load_header(c, f->f->name, &want, &there, &e)
		: load_of_source(c, f->f->name, &want, &there, &e);
	same = there && !is_of_recipe(f) && got.n == want.n && !memcmp(got.s, want.s, got.n);
	if (!rc && there && c->on && !strcmp(f->f->name, "config.json")) {
		if (is_sliced(c, f, &got))
			report_count(c->r, "compared", "small files", 1, f->f->bytes);
		goto out;
	}
	if (!rc && !same && there && !strcmp(f->f->name, "config.json"))
		same = !recipe_find(f->d->m->target) && is_config(c, f->d->m->engram, &got);
	same = same || (!rc && (is_made(c, f, &got) || is_kept(c, f, &got)));
	if (rc)
		report_take(c->r, &at, &e);
	else if (!same && c->open && is_of_recipe(f))
		++*c->open;
	else if (!same)
		report_add(c->r, RULE_COMPARE_FILE, &at, "%s",
			there ? "it is not as in the source" : "the source has no such file");
	else
		report_count(c->r, "compared", "small files", 1, f->f->bytes);
out:
	text_free(&got);
	text_free(&want);
	return 0;
}
