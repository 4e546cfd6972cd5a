/* SPDX-License-Identifier: MIT */
#include "convert/run/forecast.h"

#include "convert/out/leftover.h"
#include "formats/conversion/chain.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a sidecar, at most: names and digests of an output tensor and of each source of it have up to 400 and 300 bytes, and a
 * document some more; of any file, what the last block of the disk leaves. */
enum { SIDE_TENSOR = 512, SIDE_SOURCE = 384, SIDE_CHUNK = 64, FILE_OTHER = 32 << 10 };
/* One byte of so many of a tensor is kept beside it, at most: of 32 values of FP8 a residue and 32 bits of zeros (quant/uncast.h); of two
 * values of FP4 as many bits, in less than a byte for each four. */
enum { CAST_KEEPS = 6, REFORM_KEEPS = 4 };

/* --- what a file needs --- */

static const struct plan_file *file_of(const struct conversion *c, const struct item *it)
{
	return &c->folders[it->folder].files[it->i];
}

/* Adds the shards of file i behind those that are listed. seen: [n_shards], all 0 before and after. */
static int add_shards(struct forecast_needs *d, size_t i, const struct conversion *c, bool *seen,
	size_t *cap, struct err *e)
{
	const struct plan_file *f = file_of(c, &d->files[i]);
	const struct ckpt *k = c->folders[0].ckpt;
	size_t n = d->at[i], s;
	uint32_t j;

	for (s = 0; s < f->n; s++)
		for (j = 0; j < step_sources(&f->steps[s]); j++)
			seen[k->tensors[step_source(&f->steps[s], j)].shard] = true;
	if (mem_grow(&d->shard, cap, n + d->n_shards, sizeof *d->shard))
		return err_nomem(e);
	for (j = 0; j < d->n_shards; j++) {
		if (seen[j])
			d->shard[n++] = j;
		seen[j] = false;
	}
	d->at[i + 1] = n;
	return 0;
}

static void turn_round(struct forecast_needs *d)
{
	size_t i, k;

	for (k = 0; k < d->at[d->n]; k++)
		d->back_at[d->shard[k] + 1]++;
	for (k = 0; k < d->n_shards; k++)
		d->back_at[k + 1] += d->back_at[k];
	for (i = d->n; i--;)
		for (k = d->at[i]; k < d->at[i + 1]; k++)
			d->back[--d->back_at[d->shard[k] + 1]] = (uint32_t)i;
	memmove(d->back_at, d->back_at + 1, d->n_shards * sizeof *d->back_at);
	d->back_at[d->n_shards] = d->at[d->n];
}

int forecast_needs(struct forecast_needs *d, const struct conversion *c, struct err *e)
{
	bool *seen;
	size_t cap = 0, i;
	int rc = 0;

	*d = (struct forecast_needs){ .n = c->files, .n_shards = c->folders[0].ckpt->n_shards };
	seen = calloc(d->n_shards + 1, sizeof *seen);
	d->files = malloc((d->n + 1) * sizeof *d->files);
	d->at = calloc(d->n + 1, sizeof *d->at);
	d->back_at = calloc(d->n_shards + 2, sizeof *d->back_at);
	if (!seen || !d->files || !d->at || !d->back_at)
		rc = err_nomem(e);
	if (!rc)
		items_files(d->files, c);
	for (i = 0; !rc && i < d->n; i++)
		rc = add_shards(d, i, c, seen, &cap, e);
	free(seen);
	if (!rc && !(d->back = malloc((d->at[d->n] + 1) * sizeof *d->back)))
		rc = err_nomem(e);
	if (!rc)
		turn_round(d);
	return rc;
}

void forecast_needs_free(struct forecast_needs *d)
{
	free(d->files);
	free(d->at);
	free(d->shard);
	free(d->back_at);
	free(d->back);
	memset(d, 0, sizeof *d);
}

/* --- bytes --- */

/* Of the file and its sidecar. */
static uint64_t bytes_of(const struct conversion *c, const struct item *it)
{
	const struct plan_file *f = file_of(c, it);
	uint64_t n = f->bytes + FILE_OTHER + f->bytes / (MAN_CHUNK / SIDE_CHUNK), out;
	size_t s;

	for (s = 0; s < f->n; s++) {
		out = f->steps[s].out.end - f->steps[s].out.begin;
		n += SIDE_TENSOR + (uint64_t)step_sources(&f->steps[s]) * SIDE_SOURCE;
		if (c->opts.back)
			n += f->steps[s].op == OP_CAST        ? out / CAST_KEEPS
				: f->steps[s].op == OP_REFORM ? out / REFORM_KEEPS
							      : 0;
	}
	return n;
}

/* Whether an earlier run has finished the file: it lies in the folder at path out with its size and a sidecar. A run makes
 * it anew where it is not as it was, and removes it before. */
static bool is_made(const struct conversion *c, const char *out, const struct item *it)
{
	const struct plan *p = &c->folders[it->folder];
	const struct plan_file *f = &p->files[it->i];
	const struct io *io = p->ckpt->io;
	struct stat st, side;
	char path[5000];

	if (!out)
		return false;
	snprintf(path, sizeof path, "%.4000s/%s/%s", out, p->dir, f->name);
	if (io->lstat(io, AT_FDCWD, path, &st) || !S_ISREG(st.st_mode) ||
		(uint64_t)st.st_size != f->bytes)
		return false;
	snprintf(path, sizeof path, "%.4000s/%s/%s%s", out, p->dir, f->name, MAN_SIDECAR);
	return !io->lstat(io, AT_FDCWD, path, &side) && S_ISREG(side.st_mode);
}

/* What removing a shard gives back: holes give nothing. */
static uint64_t freed_by(const struct shard *s)
{
	uint64_t size = (uint64_t)s->st.st_size, blocks = (uint64_t)s->st.st_blocks * 512;

	return s->gone ? 0 : blocks < size ? blocks : size;
}

static uint64_t smalls_of(const struct plan *p)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < p->n_smalls; i++)
		n += p->smalls[i].bytes + FILE_OTHER;
	return n;
}

/* --- the order --- */

struct ordering {
	const struct conversion *c;
	const struct forecast_needs *d;
	struct forecast *f;
	uint64_t *left; /* [n_shards] bytes that are to be made before the shard can go */
	uint32_t *wait; /* [n_shards] files of it that are not listed */
	bool *listed;   /* [n] */
	bool *made;     /* [n] an earlier run has finished the file */
};

static uint64_t bytes_to_make(const struct ordering *o, size_t i)
{
	return o->made[i] ? 0 : bytes_of(o->c, &o->d->files[i]);
}

static bool needs_gone(const struct ordering *o, size_t i)
{
	const struct shard *s = o->c->folders[0].ckpt->shards;
	size_t k;

	for (k = o->d->at[i]; k < o->d->at[i + 1]; k++)
		if (s[o->d->shard[k]].gone)
			return true;
	return false;
}

/* Counts what each shard waits for. */
static void weigh(struct ordering *o)
{
	const struct forecast_needs *d = o->d;
	size_t i, k;

	for (i = 0; i < d->n; i++) {
		o->listed[i] = needs_gone(o, i);
		for (k = d->at[i]; !o->listed[i] && k < d->at[i + 1]; k++) {
			o->left[d->shard[k]] += bytes_to_make(o, i);
			o->wait[d->shard[k]]++;
		}
	}
}

static void list_file(struct ordering *o, size_t i)
{
	const struct forecast_needs *d = o->d;
	struct forecast *f = o->f;
	struct forecast_step *now = &f->steps[f->n], was = { .made = f->first };
	uint64_t bytes = bytes_to_make(o, i);
	size_t k;

	if (f->n)
		was = f->steps[f->n - 1];
	*now = was;
	now->made += bytes;
	for (k = d->at[i]; k < d->at[i + 1]; k++) {
		o->left[d->shard[k]] -= bytes;
		if (!--o->wait[d->shard[k]])
			now->freed += freed_by(&o->c->folders[0].ckpt->shards[d->shard[k]]);
	}
	o->listed[i] = true;
	f->order[f->n++] = d->files[i];
}

/* The shard that can go the soonest; n_shards: none waits. */
static size_t soonest(const struct ordering *o)
{
	size_t s, best = o->d->n_shards;

	for (s = 0; s < o->d->n_shards; s++)
		if (o->wait[s] && (best == o->d->n_shards || o->left[s] < o->left[best]))
			best = s;
	return best;
}

static void put_in_order(struct ordering *o)
{
	const struct forecast_needs *d = o->d;
	size_t s, k, i;

	while ((s = soonest(o)) < d->n_shards)
		for (k = d->back_at[s]; k < d->back_at[s + 1]; k++)
			if (!o->listed[d->back[k]])
				list_file(o, d->back[k]);
	for (i = 0; i < d->n; i++) /* files of no source */
		if (!o->listed[i])
			list_file(o, i);
}

/* --- the peak --- */

/* Bytes of shards that stay where shard s is not digested: of all files that it goes into. seen: [n_shards], all 0. */
static uint64_t kept_by(const struct ordering *o, size_t s, bool *seen)
{
	const struct forecast_needs *d = o->d;
	const struct shard *v = o->c->folders[0].ckpt->shards;
	uint64_t n = 0;
	size_t k, j;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		for (k = d->back_at[s]; k < d->back_at[s + 1]; k++) {
			for (j = d->at[d->back[k]]; j < d->at[d->back[k] + 1]; j++) {
				if (!pass && !seen[d->shard[j]])
					n += freed_by(&v[d->shard[j]]);
				seen[d->shard[j]] = !pass;
			}
		}
	}
	return n;
}

static int falling(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* The most that all threads but one can keep. *most has room for a number of each shard. */
static uint64_t kept_by_others(const struct ordering *o, uint64_t *most, bool *seen)
{
	size_t others = o->f->threads ? o->f->threads - 1 : 0, i;
	uint64_t sum = 0;

	for (i = 0; i < o->d->n_shards; i++)
		most[i] = kept_by(o, i, seen);
	if (o->d->n_shards)
		qsort(most, o->d->n_shards, sizeof *most, falling);
	for (i = 0; i < others && i < o->d->n_shards; i++)
		sum += most[i];
	return sum;
}

/* The file that was begun last keeps all that it needs. */
static int find_peak(struct ordering *o, struct err *e)
{
	struct forecast *f = o->f;
	uint64_t *most = calloc(o->d->n_shards + 1, sizeof *most), others, freed = 0, kept;
	bool *seen = calloc(o->d->n_shards + 1, sizeof *seen);
	size_t i;
	int rc = most && seen ? 0 : err_nomem(e);

	others = rc ? 0 : kept_by_others(o, most, seen);
	f->peak = f->first;
	for (i = 0; i < f->n; freed = f->steps[i++].freed) {
		kept = others < freed ? others : freed; /* what was never freed is there already */
		if (f->steps[i].made + kept > freed && f->steps[i].made + kept - freed > f->peak)
			f->peak = f->steps[i].made + kept - freed;
	}
	f->peak = f->peak > f->swept ? f->peak - f->swept : 0;
	free(most);
	free(seen);
	return rc;
}

/* --- */

static void measure(struct forecast *f, const struct conversion *c)
{
	const struct ckpt *k = c->folders[0].ckpt;
	uint64_t size;
	size_t i;

	f->first = smalls_of(&c->folders[0]);
	for (i = 0; i < k->n_shards; i++) {
		size = (uint64_t)k->shards[i].st.st_size;
		f->source += size;
		f->shard = size > f->shard ? size : f->shard;
	}
	f->most = c->bytes;
}

int forecast_make(struct forecast *f, const struct conversion *c, const char *out, unsigned threads,
	struct err *e)
{
	struct forecast_needs d;
	struct ordering o = { .c = c, .d = &d, .f = f };
	size_t i;
	int rc;

	*f = (struct forecast){ .threads = threads ? threads : 1 };
	rc = forecast_needs(&d, c, e);
	f->order = malloc((c->files + 1) * sizeof *f->order);
	f->steps = malloc((c->files + 1) * sizeof *f->steps);
	o.left = calloc(d.n_shards + 1, sizeof *o.left);
	o.wait = calloc(d.n_shards + 1, sizeof *o.wait);
	o.listed = calloc(c->files + 1, sizeof *o.listed);
	o.made = calloc(c->files + 1, sizeof *o.made);
	if (!rc && (!f->order || !f->steps || !o.left || !o.wait || !o.listed || !o.made))
		rc = err_nomem(e);
	if (!rc) {
		measure(f, c);
		f->swept = out ? leftover_bytes_at(c->folders[0].ckpt->io, out) : 0;
		for (i = 0; i < d.n; i++)
			o.made[i] = is_made(c, out, &d.files[i]);
		weigh(&o);
		put_in_order(&o);
		rc = find_peak(&o, e);
	}
	free(o.left);
	free(o.wait);
	free(o.listed);
	free(o.made);
	forecast_needs_free(&d);
	return rc;
}

void forecast_free(struct forecast *f)
{
	free(f->order);
	free(f->steps);
	memset(f, 0, sizeof *f);
}

/* --- what can be had back --- */

/* Fates after which all bytes of a tensor are in OUT. */
static const bool stays[FATE_COUNT] = { [FATE_COPY] = true,
	[FATE_REPLICATE] = true,
	[FATE_SPLIT] = true,
	[FATE_CAST] = true,
	[FATE_WIDEN] = true,
	[FATE_REFORM] = true,
	[FATE_TILE] = true,
	[FATE_JOIN] = true,
	[FATE_NARROW] = true,
	[FATE_RECORD] = true };

const char *forecast_refuses(const struct conversion *c)
{
	const struct plan_opts *o = &c->opts;
	const struct ckpt *k = c->folders[0].ckpt;
	size_t i;

	if (recipe_find(o->target))
		return "it is a form of dsv4-quant, for which nothing is freed";
	if (!o->back || strcmp(c->folders[0].dir, SET_SOURCE) != 0)
		return "this target, with these options, keeps nothing for the way back";
	if (o->lossy || o->drop_signs || o->grafted || o->mix)
		return "it may round, or is made of another folder too";
	if (k->payload || o->layers || o->keep)
		return "it is not made of a whole checkpoint";
	for (i = 0; i < k->n; i++)
		if (!stays[conversion_fate(c, i)])
			return "it leaves tensors out";
	return NULL;
}
