/* SPDX-License-Identifier: MIT */
#include "quant/cli/collect.h"

#include "core/dest.h"
#include "core/file.h"
#include "formats/gguf/imatrix.h"
#include "kernels/forward/importance.h"
#include "kernels/forward/need.h"
#include "quant/cli/collect_state.h"
#include "verify/run/results.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPY = 1 << 18 };
static const char zeros[GGUF_ALIGNMENT];

struct collecting {
	const struct collect_opts *o;
	const struct io *io;
	struct dev dev;
	struct weights w;
	struct prompts p;
	char run[33];
	uint32_t block, longest;
	int dir, part;       /* folder of out; out.partial */
	const char *name;    /* of out, in dir */
	char part_name[256]; /* of the folder */
	int streams[2];
	struct collect_state state;
	struct xxh *x; /* owns; what the layer that runs gave so far */
};

/* --- a layer's file --- */

/* n values as F32, then what pads them. */
static void put_values(struct text *t, const double *v, uint64_t n)
{
	uint64_t i;
	float x;

	for (i = 0; i < n; i++) {
		x = (float)v[i];
		text_put(t, &x, sizeof x);
	}
	text_put(t, zeros, (size_t)(-(4 * n) % GGUF_ALIGNMENT));
}

/* Puts the keys that a layer's file and the whole have alike. */
static void begin(const struct collecting *c, struct gguf_out *o)
{
	const char *slash = strrchr(c->o->tokens, '/');
	const struct imatrix_head h = { .dataset = slash ? slash + 1 : c->o->tokens,
		.chunks = (uint32_t)c->p.n,
		.chunk_size = c->longest };

	imatrix_begin(o, &h);
}

/* The name of a matrix of a layer in GGUF. Returns false where it has none. */
static bool gguf_name(const struct collecting *c, uint32_t layer, const char *name,
	char out[GGUF_NAME_MAX + 1])
{
	static const char experts[] = "ffn.experts.";
	char full[128];
	long expert;

	if (!strncmp(name, experts, sizeof experts - 1))
		snprintf(full, sizeof full, "layers.%u.%s0.%s.weight", layer, experts,
			name + sizeof experts - 1);
	else
		snprintf(full, sizeof full, "layers.%u.%s.weight", layer, name);
	return gguf_name_of(out, &expert, full, false, GGUF_OF_MODEL, &c->w.c.config);
}

/* Writes the file of a layer, whose digest goes to *d. */
static int write_layer(const struct collecting *c, uint32_t layer, const struct importance *m,
	struct xxh_digest *d, struct err *e)
{
	struct gguf_out o = { 0 };
	struct text t = { 0 };
	char name[GGUF_NAME_MAX + 1], file[COLLECT_NAME];
	unsigned i;
	int rc = 0;

	begin(c, &o);
	for (i = 0; !rc && i < m->n; i++)
		if (!gguf_name(c, layer, m->v[i].name, name) ||
			!imatrix_put(&o, name, m->v[i].cols, m->v[i].mats))
			rc = err_set(e, ERR_UNSUPPORTED, "layer %u: %s has no name in GGUF", layer,
				m->v[i].name);
	gguf_write_head(&o, &t);
	for (i = 0; i < m->n; i++) {
		put_values(&t, m->v[i].sum, (uint64_t)m->v[i].cols * m->v[i].mats);
		put_values(&t, m->v[i].count, m->v[i].mats);
	}
	collect_layer_name(file, layer);
	if (!rc && t.failed)
		rc = err_nomem(e);
	if (!rc)
		*d = xxh_of(t.s, t.n);
	rc = rc ? rc : file_replace(c->io, c->part, file, t.s, t.n, e);
	gguf_out_free(&o);
	text_free(&t);
	return rc;
}

/* --- streams --- */

static int open_streams(struct collecting *c, struct err *e)
{
	static const char *const names[] = { "streams.0", "streams.1" };
	int i;

	for (i = 0; i < 2; i++) {
		c->streams[i] = c->io->open(c->io, c->part, names[i],
			O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (c->streams[i] < 0)
			return err_sys(e, "%s/%s cannot be opened", text_quote(c->part_name).s,
				names[i]);
	}
	return 0;
}

/* A prompt through a layer: its streams come from one file, or from the embedding, and go to the other. */
static int one(struct collecting *c, uint32_t layer, size_t i, struct importance *m, struct err *e)
{
	uint64_t row = 4 * (uint64_t)DEV_HC * c->w.c.config.D, at = c->p.at[i] * row;
	uint32_t n = prompts_tokens(&c->p, i);
	struct forward f;
	int rc;

	if (forward_open(&f, &c->dev, &c->w, c->p.ids + c->p.at[i], n, 0, c->block, e))
		return -1;
	rc = layer ? file_read(c->io, c->streams[layer % 2], f.x, (size_t)(n * row), at, e)
		   : forward_embed(&f, e);
	f.tap = (struct forward_tap){ .ctx = m, .take = importance_take };
	rc = rc ? rc : forward_layer(&f, layer, e);
	if (!rc && layer + 1 < c->w.c.config.L) {
		xxh_update(c->x, f.x, (size_t)(n * row));
		rc = file_write(c->io, c->streams[!(layer % 2)], f.x, (size_t)(n * row), at, e);
	}
	forward_close(&f);
	return rc && c->p.n > 1 ? err_at(e, "prompt %zu", i + 1) : rc;
}

static int layer(struct collecting *c, uint32_t no, struct err *e)
{
	struct collect_digests d;
	struct importance m;
	size_t i;
	int rc = 0;

	xxh_reset(c->x);
	importance_begin(&m, &c->w.c.config);
	for (i = 0; !rc && i < c->p.n; i++)
		rc = one(c, no, i, &m, e);
	if (!rc && c->io->fsync(c->io, c->streams[!(no % 2)]))
		rc = err_sys(e, "%s cannot be synced", text_quote(c->part_name).s);
	d.streams = xxh_final(c->x);
	rc = rc ? rc : write_layer(c, no, &m, &d.file, e);
	rc = rc ? rc : collect_state_add(&c->state, &d, e);
	importance_end(&m);
	return rc ? err_at(e, "layer %u", no) : 0;
}

/* --- the whole --- */

/* Values of one matrix of a layer's file, from one file to the other, with what pads them. */
static int copy(const struct collecting *c, int from, uint64_t at, int to, uint64_t *end,
	uint64_t values, struct err *e)
{
	uint64_t n = 4 * values, done, take;
	char *win = malloc(COPY);
	int rc = win ? 0 : err_nomem(e);

	for (done = 0; !rc && done < n; done += take) {
		take = n - done < COPY ? n - done : COPY;
		rc = file_read(c->io, from, win, (size_t)take, at + done, e) ||
				file_write(c->io, to, win, (size_t)take, *end + done, e)
			? -1
			: 0;
	}
	*end += n;
	take = -n % GGUF_ALIGNMENT;
	rc = rc || !take ? rc : file_write(c->io, to, zeros, (size_t)take, *end, e);
	*end += take;
	free(win);
	return rc;
}

/* Calls with each layer's file open. */
static int each_layer(const struct collecting *c,
	int (*with)(const struct collecting *c, const struct imatrix *m, void *ctx, struct err *e),
	void *ctx, struct err *e)
{
	struct imatrix m;
	char file[COLLECT_NAME];
	uint32_t l;
	int rc = 0;

	for (l = 0; !rc && l < c->w.c.config.L; l++) {
		collect_layer_name(file, l);
		if (imatrix_open_in(&m, c->io, c->part, file, e))
			return err_at(e, "%s/%s", text_quote(c->part_name).s, file);
		rc = with(c, &m, ctx, e);
		imatrix_close(&m);
	}
	return rc;
}

static int announce(const struct collecting *c, const struct imatrix *m, void *ctx, struct err *e)
{
	struct gguf_out *o = ctx;
	size_t i;

	(void)c;
	for (i = 0; i < m->n; i++)
		if (!imatrix_put(o, m->v[i].name, m->v[i].cols, m->v[i].mats))
			return err_set(e, ERR_SYSTEM, "%s is too long a name", m->v[i].name);
	return 0;
}

struct whole {
	struct file_out file;
	uint64_t end;
};

static int append(const struct collecting *c, const struct imatrix *m, void *ctx, struct err *e)
{
	struct whole *w = ctx;
	size_t i;

	for (i = 0; i < m->n; i++)
		if (copy(c, m->fd, m->v[i].sums_at, w->file.fd, &w->end,
			    m->v[i].cols * m->v[i].mats, e) ||
			copy(c, m->fd, m->v[i].counts_at, w->file.fd, &w->end, m->v[i].mats, e))
			return -1;
	return 0;
}

static int assemble(struct collecting *c, struct err *e)
{
	struct whole w = { 0 };
	struct gguf_out o = { 0 };
	struct text t = { 0 };
	int rc;

	begin(c, &o);
	rc = each_layer(c, announce, &o, e);
	gguf_write_head(&o, &t);
	if (!rc && t.failed)
		rc = err_nomem(e);
	rc = rc ? rc
		: file_out_begin(&w.file, c->io, c->dir, c->name,
			  t.n + gguf_pad(o.end, GGUF_ALIGNMENT), e);
	rc = rc ? rc : file_write(c->io, w.file.fd, t.s, t.n, 0, e);
	w.end = t.n;
	rc = rc ? rc : each_layer(c, append, &w, e);
	rc = rc ? rc : file_out_close(&w.file, e);
	rc = rc ? rc : dest_may(c->io, c->dir, c->name, &imatrix_kind, e);
	rc = rc ? rc : file_out_replace(&w.file, e);
	file_out_abandon(&w.file); /* nothing is left of one that was published */
	gguf_out_free(&o);
	text_free(&t);
	return rc;
}

/* Removes the folder of a run that ended; what somebody else put there stays, and so does the folder. */
static int tidy(struct collecting *c, struct err *e)
{
	char file[COLLECT_NAME];
	uint32_t l;

	if (file_remove(c->io, c->part, COLLECT_STATE, e) ||
		file_remove(c->io, c->part, "streams.0", e) ||
		file_remove(c->io, c->part, "streams.1", e))
		return -1;
	for (l = 0; l < c->w.c.config.L; l++) {
		collect_layer_name(file, l);
		if (file_remove(c->io, c->part, file, e))
			return -1;
	}
	if (c->io->rmdir(c->io, c->dir, c->part_name) && errno != ENOTEMPTY && errno != EEXIST)
		return err_sys(e, "%s cannot be removed", text_quote(c->part_name).s);
	return 0;
}

/* --- */

static int settle(struct collecting *c, struct err *e)
{
	struct need x = { .limit = c->o->max_memory, .models = { &c->w } };
	size_t i;

	for (i = 0; i < c->p.n; i++)
		c->longest = prompts_tokens(&c->p, i) > c->longest ? prompts_tokens(&c->p, i)
								   : c->longest;
	x.n = c->longest;
	/* the sums, and the file of a layer, which is a text that doubles; ids */
	x.beside = 3 * importance_bytes(&c->w.c.config) + 8 * (uint64_t)c->p.at[c->p.n];
	if (need_find(&x, e))
		return -1;
	c->block = x.block;
	return 0;
}

static int run_layers(struct collecting *c, uint32_t *kept, struct err *e)
{
	uint32_t l, n = (uint32_t)c->w.c.config.L;
	uint64_t bytes = 4 * (uint64_t)DEV_HC * c->w.c.config.D * c->p.at[c->p.n];
	int rc = collect_state_begin(&c->state, c->io, c->part, c->run, n, e);

	c->x = xxh_new();
	if (!rc && !c->x)
		rc = err_nomem(e);
	rc = rc ? rc : collect_state_read(&c->state, c->streams, bytes, e);
	*kept = l = c->state.done;
	for (; !rc && l < n; l++)
		rc = layer(c, l, e);
	xxh_free(c->x);
	collect_state_end(&c->state);
	return rc;
}

static int in_folder(struct collecting *c, uint32_t *kept, struct err *e)
{
	int i, rc;

	if (snprintf(c->part_name, sizeof c->part_name, "%s.partial", c->name) >=
		(int)sizeof c->part_name)
		return err_set(e, ERR_USAGE, "%s: the name is too long", text_quote(c->name).s);
	if (file_try(c->io, c->dir, c->name, e) ||
		file_make_below(c->io, c->dir, c->part_name, &c->part, e))
		return -1;
	if (c->io->lock(c->io, c->part) && errno == EWOULDBLOCK)
		rc = err_set(e, ERR_USAGE, "another call is writing to %s",
			text_quote(c->part_name).s);
	else
		rc = open_streams(c, e) || run_layers(c, kept, e) || assemble(c, e) ? -1 : 0;
	for (i = 0; i < 2; i++)
		if (c->streams[i] >= 0 && c->io->close(c->io, c->streams[i]) && !rc)
			rc = err_sys(e, "%s cannot be closed", text_quote(c->part_name).s);
	rc = rc ? rc : tidy(c, e);
	(void)c->io->close(c->io, c->part); /* a folder has nothing to flush */
	return rc;
}

static int with_model(struct collecting *c, const char *folder, uint32_t *kept, struct err *e)
{
	const char *const both[2] = { folder, folder };

	if (prompts_fit(&c->p, c->w.c.config.V, e) || settle(c, e) ||
		results_run(c->run, c->io, both, &c->p,
			c->o->fp32 ? "importance 1 fp32" : "importance 1", e))
		return -1;
	return in_folder(c, kept, e);
}

/* Holds the name of OUT to what a file may be made in place of, before anything is read. */
static int may_write(const struct collecting *c, struct err *e)
{
	struct stat st;

	if (!c->io->lstat(c->io, c->dir, c->name, &st) && S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is a folder, not a file", text_quote(c->o->out).s);
	return dest_may(c->io, c->dir, c->name, &imatrix_kind, e);
}

int collect_run(const char *folder, const struct collect_opts *o, uint32_t *kept, struct err *e)
{
	struct collecting c = { .o = o, .io = o->io, .streams = { -1, -1 } };
	const struct weights_from from = {
		.io = o->io, .path = folder, .use = USE_RECORD, .follow_links = o->follow_links
	};
	int rc = -1;

	if (file_open_above(c.io, o->out, &c.dir, &c.name, e))
		return -1;
	if (may_write(&c, e) || prompts_read(&c.p, o->io, o->tokens, FORWARD_TOKENS_MAX, e))
		goto close_dir;
	if (dev_open_cpu(&c.dev, o->features, o->threads, e))
		goto free_prompts;
	if (o->fp32)
		dev_cpu_fp32(&c.dev);
	rc = weights_open_from(&c.w, &from, NULL, &c.dev, o->features, e);
	rc = rc ? rc : with_model(&c, folder, kept, e);
	weights_close(&c.w);
	c.dev.close(&c.dev);
free_prompts:
	prompts_free(&c.p);
close_dir:
	(void)c.io->close(c.io, c.dir); /* a file in it was synced with it */
	return rc;
}
