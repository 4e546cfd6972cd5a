/* SPDX-License-Identifier: MIT */
#include "kernels/forward/weights.h"

#include "formats/conversion/chain.h"
#include "formats/conversion/copies.h"
#include "formats/model/drafts.h"
#include "formats/model/family.h"
#include "core/file.h"
#include "quant/num.h"
#include "kernels/forward/shape.h"
#include "kernels/forward/sound.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 256 };

/* --- ordinary memory --- */

void *host_get(struct dev *d, uint64_t n)
{
	void *p = calloc(1, (size_t)n + 1);

	if (p && d->note)
		d->note(d, (int64_t)n);
	return p;
}

void host_drop(struct dev *d, void *p, uint64_t n)
{
	if (p && d->note)
		d->note(d, -(int64_t)n);
	free(p);
}

/* --- opening --- */

static int audit(struct weights *w, struct findings *f, struct err *e)
{
	if (finding_first(f, e))
		return -1;
	if (audit_make(&w->a, &w->c, CODEC_NONE, f, e))
		return -1;
	w->has_audit = w->a.ckpt != NULL;
	if (w->c.doc.o && params_read(&w->p, &w->c.doc, f, e))
		return -1;
	return finding_first(f, e) ? -1 : shape_fits(&w->p, &w->c.config, e);
}

/* Whether two config.jsons describe the same layers. What they say of drafts is not compared, which a conversion may leave out, and
 * neither is what they say of images, which are not computed. */
static bool same_layers(const struct config *a, const struct config *b)
{
	const struct config_field *f;

	if (a->family != b->family)
		return false;
	for (f = a->family->fields; f < a->family->fields + a->family->n_fields; f++)
		if (f->only == FIELD_ALL && f->at != offsetof(struct config, n_mtp) &&
			memcmp((const char *)a + f->at, (const char *)b + f->at,
				sizeof(uint64_t)) != 0)
			return false;
	return !memcmp(a->ratio, b->ratio, (size_t)a->L * sizeof *a->ratio);
}

/* A conversion is read by the config.json in its source/, an engine reads the one beside the weights, of a set that in the folder of
 * a rank: all say the same arithmetic. */
static int hold_config(void *ctx, const struct chain_folder *at, struct err *e)
{
	const struct weights *w = ctx;
	struct config_doc own = { 0 };
	struct findings f = { 0 };
	struct config c = { 0 };
	struct params p = { 0 };
	struct stat st;
	int rc;

	if (!strcmp(at->name, SET_SOURCE))
		return 0;
	if (w->io->lstat(w->io, at->dir, "config.json", &st))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at config.json");
	rc = config_doc_read(&own, w->io, at->dir, "config.json", e) ||
			config_read_shapes(&c, &own, e) || params_read(&p, &own, &f, e) ||
			finding_first(&f, e)
		? -1
		: 0;
	if (!rc && (memcmp(&p, &w->p, sizeof p) != 0 || !same_layers(&w->c.config, &c)))
		rc = err_rule(e, RULE_CONFIG_FORWARD, ERR_NOPOS,
			"%s%sconfig.json says another arithmetic than " SET_SOURCE
			"/config.json, which it was made of: an engine that reads it computes something else",
			at->name, *at->name ? "/" : "");
	finding_free(&f);
	config_free(&c);
	config_doc_free(&own);
	return rc;
}

static int hold_configs(struct weights *w, int top, struct err *e)
{
	const struct chain_walk walk = { .io = w->io, .ctx = w, .folder = hold_config };

	return chain_walk(&walk, top, e);
}

/* Opens at, a checkpoint or a set, as w->c, and audits it. */
static int open_model(struct weights *w, struct folder *at, unsigned features, struct err *e)
{
	const struct joined_opts o = { .features = features, .lies = true, .every = true };

	if (at->has_ckpt) {
		folder_take(at, &w->c);
	} else {
		if (joined_open(&w->j, &w->c, w->io, at->dir, &o, &at->found, e))
			return -1;
		w->is_set = true;
		if (copies_hold(w->io, at->dir, &at->found, e))
			return -1;
		if (w->j.missing[0])
			return err_rule(e, RULE_SET_INCOMPLETE, ERR_NOPOS,
				"folders that it is made of are not there: %s",
				text_quote(w->j.missing).s);
	}
	if (audit(w, &at->found, e) || (w->is_set && hold_configs(w, at->dir, e)))
		return -1;
	if (w->j.no_drafts)
		drafts_take_out(&w->c.config);
	return 0;
}

/* The rank files of target official, whose tensors are those of source. */
static int open_ranks(struct weights *w, int dir, const struct weights *source, struct err *e)
{
	w->p = source->p;
	if (ranks_open(&w->ranks, &w->c, w->io, dir, &source->a.inv, e))
		return -1;
	w->is_ranks = true;
	w->c.config = source->c.config; /* borrows what it owns */
	return 0;
}

/* A GGUF, which says by itself what it is of. */
static int open_gguf(struct weights *w, struct folder *at, struct err *e)
{
	char name[KIND_MORE];

	memcpy(name, at->gguf, sizeof name);
	if (!*name && gguf_model_find(w->io, at->dir, name, e))
		return -1;
	if (gguf_model_open(&w->g, &w->c, w->io, at->dir, name, GGUF_OF_MODEL, &at->found, e))
		return -1;
	w->is_gguf = true;
	if (finding_first(&at->found, e) || params_read(&w->p, &w->c.doc, &at->found, e))
		return -1;
	return finding_first(&at->found, e) ? -1 : shape_fits(&w->p, &w->c.config, e);
}

int weights_open_from(struct weights *w, const struct weights_from *from,
	const struct weights *source, struct dev *dev, unsigned features, struct err *e)
{
	struct ckpt_opts co = { .follow_links = from->follow_links };
	struct folder at;
	int rc;

	memset(w, 0, sizeof *w);
	w->path = from->path;
	w->dev = dev;
	w->io = from->io;
	if (folder_open(&at, from->io, from->path, from->use, &co, e))
		return -1;
	rc = source && (at.kind == KIND_RANKS || at.kind == KIND_OFFICIAL)
		? open_ranks(w, at.dir, source, e)
		: at.kind == KIND_GGUF || at.kind == KIND_QUANT_GGUF
		? open_gguf(w, &at, e)
		: open_model(w, &at, features, e);
	folder_close(&at);
	if (!rc && w->c.payload) {
		w->reader = w->c.payload->open(w->c.payload->ctx);
		rc = w->reader ? 0 : err_nomem(e);
	}
	if (rc) {
		err_at(e, "%s", text_quote(from->path).s);
		weights_close(w);
	}
	return rc;
}

int weights_open(struct weights *w, const struct io *io, const char *path, struct dev *dev,
	unsigned features, struct err *e)
{
	struct weights_from from = { .io = io, .path = path, .use = USE_RECORD };

	return weights_open_from(w, &from, NULL, dev, features, e);
}

void weights_close(struct weights *w)
{
	if (w->reader)
		w->c.payload->close(w->reader);
	if (w->has_audit)
		audit_free(&w->a);
	if (w->is_set)
		joined_close(&w->j);
	if (w->is_ranks)
		ranks_close(&w->ranks, &w->c);
	if (w->is_gguf)
		gguf_model_close(&w->g, &w->c);
	ckpt_close(&w->c);
	memset(w, 0, sizeof *w);
}

int weights_beside(struct weights *ahead, const struct weights *w, struct err *e)
{
	*ahead = *w; /* borrows all but the reader */
	ahead->held = ahead->peak = ahead->read = 0;
	if (!w->c.payload)
		return 0;
	if (w->dev->counts) { /* nothing will be read */
		ahead->reader = NULL;
		w->dev->note(w->dev, (int64_t)w->c.payload->need(w->c.payload->ctx));
		return 0;
	}
	ahead->reader = w->c.payload->open(w->c.payload->ctx);
	return ahead->reader ? 0 : err_nomem(e);
}

void weights_joined(struct weights *w, struct weights *ahead)
{
	w->peak = w->held + ahead->peak > w->peak ? w->held + ahead->peak : w->peak;
	w->held += ahead->held;
	w->read += ahead->read;
	ahead->held = ahead->peak = ahead->read = 0;
}

void weights_beside_close(struct weights *ahead)
{
	if (ahead->reader)
		ahead->c.payload->close(ahead->reader);
	else if (ahead->dev && ahead->dev->counts && ahead->c.payload)
		ahead->dev->note(ahead->dev,
			-(int64_t)ahead->c.payload->need(ahead->c.payload->ctx));
	memset(ahead, 0, sizeof *ahead);
}

/* --- bytes --- */

int weights_find(const struct weights *w, const char *prefix, const char *name, const char *end,
	const struct tensor **t, struct err *e)
{
	char full[NAME_ROOM];

	snprintf(full, sizeof full, "%s%s%s", prefix, name, end);
	*t = ckpt_find(&w->c, full);
	if (!*t)
		return err_rule(e, RULE_MODEL_MISSING, ERR_NOPOS, "%s: tensor %s is not there",
			text_quote(w->path).s, text_quote(full).s);
	return 0;
}

bool weights_has(const struct weights *w, const char *prefix, const char *name)
{
	char full[NAME_ROOM];

	snprintf(full, sizeof full, "%s%s", prefix, name);
	return ckpt_find(&w->c, full);
}

int weights_read(struct weights *w, const struct tensor *t, uint64_t off, void *dst, uint64_t n,
	struct err *e)
{
	uint32_t i = (uint32_t)(t - w->c.tensors);

	if (w->dev->counts)
		return 0;
	w->read += n;
	if (!w->c.payload)
		return ckpt_read(&w->c, t, off, dst, (size_t)n, e);
	if (!w->c.payload->has(w->c.payload->ctx, i))
		return err_set(e, ERR_SYSTEM, "%s: tensor %s is not in the folders that are there",
			text_quote(w->path).s, text_quote(t->name).s);
	return w->c.payload->read(w->reader, i, off, dst, (size_t)n, e);
}

int weights_numbers(struct weights *w, const struct tensor *t, uint64_t off, void *dst, uint64_t n,
	struct err *e)
{
	enum rule_id rule;
	const char *what;
	uint64_t at;

	if (weights_read(w, t, off, dst, n, e))
		return -1;
	what = w->dev->counts ? NULL : sound_numbers(t->dtype, dst, n, &rule, &at);
	return what ? err_rule(e, rule, ERR_NOPOS, "%s: tensor %s, byte %llu: %s",
			      text_quote(w->path).s, text_quote(t->name).s,
			      (unsigned long long)(off + at), what)
		    : 0;
}

int weights_take(struct weights *w, void **p, uint64_t n, struct err *e)
{
	if (w->dev->host ? w->dev->alloc(w->dev, p, (size_t)n, e)
			 : !(*p = host_get(w->dev, n)) && err_nomem(e))
		return -1;
	w->held += n;
	w->peak = w->held > w->peak ? w->held : w->peak;
	return 0;
}

int weights_place(struct weights *w, void **p, uint64_t n, struct err *e)
{
	void *to;

	if (w->dev->host)
		return 0;
	if (w->dev->alloc(w->dev, &to, (size_t)n, e))
		return -1;
	if (w->dev->put(w->dev, to, *p, (size_t)n, e) || w->dev->sync(w->dev, e)) {
		w->dev->release(w->dev, to);
		return -1;
	}
	host_drop(w->dev, *p, n);
	*p = to;
	return 0;
}

void weights_give_up(struct weights *w, void *p, uint64_t n)
{
	if (w->dev->host)
		w->dev->release(w->dev, p);
	else
		host_drop(w->dev, p, n);
	w->held -= n;
}

void weights_free(struct weights *w, void *v, uint64_t bytes)
{
	if (!v)
		return;
	w->dev->release(w->dev, v);
	w->held -= bytes;
}

/* --- vectors and rows --- */

/* BF16 to float in place, from behind. */
static void widen(float *v, uint64_t n)
{
	uint16_t h;

	while (n--) {
		memcpy(&h, (const uint8_t *)v + 2 * n, 2);
		v[n] = num_bf16(h);
	}
}

int weights_floats(struct weights *w, float **v, const char *prefix, const char *name, uint64_t n,
	struct err *e)
{
	const struct tensor *t;
	void *p;
	int rc;

	*v = NULL;
	if (weights_find(w, prefix, name, "", &t, e))
		return -1;
	if ((t->dtype != DT_F32 && t->dtype != DT_BF16) ||
		weights_size(t) != n * (t->dtype == DT_F32 ? 4 : 2))
		return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS, "%s: tensor %s has not %llu values",
			text_quote(w->path).s, text_quote(t->name).s, (unsigned long long)n);
	if (weights_take(w, &p, 4 * n, e))
		return -1;
	rc = weights_numbers(w, t, 0, p, weights_size(t), e);
	if (!rc && t->dtype == DT_BF16 && !w->dev->counts)
		widen(p, n);
	rc = rc ? rc : weights_place(w, &p, 4 * n, e);
	if (rc) {
		weights_give_up(w, p, 4 * n);
		return rc;
	}
	*v = p;
	return 0;
}

int weights_rows(struct weights *w, const char *prefix, const char *name, enum dtype dtype,
	uint64_t cols, const uint32_t *row, uint32_t n, void *dst, struct err *e)
{
	uint64_t row_bytes = cols * dtypes[dtype].bits / 8;
	const struct tensor *t;
	uint32_t i;

	if (weights_find(w, prefix, name, "", &t, e))
		return -1;
	if (t->dtype != dtype || t->rank != 2 || t->dim[1] != cols)
		return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS,
			"%s: tensor %s has no rows of %llu values in %s", text_quote(w->path).s,
			text_quote(t->name).s, (unsigned long long)cols, dtypes[dtype].name);
	for (i = 0; i < n; i++) {
		if (row[i] >= t->dim[0])
			return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS,
				"%s: tensor %s has no row %u", text_quote(w->path).s,
				text_quote(t->name).s, row[i]);
		if (weights_numbers(w, t, row[i] * row_bytes, (uint8_t *)dst + i * row_bytes,
			    row_bytes, e))
			return -1;
	}
	return 0;
}
