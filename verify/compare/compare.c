/* SPDX-License-Identifier: MIT */
#include "verify/compare/compare.h"

#include "formats/conversion/copies.h"
#include "formats/model/changed.h"
#include "formats/model/family.h"
#include "formats/gguf/gguf_set.h"
#include "formats/model/gguf_name.h"
#include "formats/model/vllm_name.h"
#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/par.h"
#include "formats/folder/folder.h"
#include "formats/conversion/joined.h"
#include "formats/conversion/block_roles.h"
#include "formats/conversion/manifest.h"
#include "formats/model/inventory.h"
#include "formats/model/recipes.h"
#include "formats/model/selection.h"
#include "verify/compare/coverage.h"
#include "verify/compare/derive.h"
#include "verify/compare/gguf_head.h"
#include "verify/compare/rank_counts.h"
#include "verify/compare/said.h"
#include "verify/compare/small.h"
#include "verify/compare/walk.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct compare {
	const struct compare_opts *o;
	struct report *r;
	struct ckpt source;
	struct coverage used;
	struct progress *progress;
	bool slice; /* experts and layers were left out, and config.json says so */
	bool *on; /* owns; [places] the blocks that the conversion was asked for; NULL until a manifest said it */
	size_t places;
	bool skips; /* official: copies that the converter leaves out */
	bool no_drafts; /* they were left out, or it is a GGUF, in which those of the model have no place */
	bool failed; /* some file could not be looked at */
	uint64_t tensors, units, bytes, left_out;
	struct said
		said; /* what manifests and sidecars say of blocks; the lock of the file is held for found */
	struct rank_counts by_rank; /* owns */
};

/* A file while its tensors are compared by several threads. */
struct file_work {
	struct compare *c;
	const struct walk_file *f;
	pthread_mutex_t lock; /* guards what follows, and the report */
	size_t next;
	uint64_t units, bytes;
};

/* --- one tensor --- */

struct worker {
	struct derive_maker m;
	uint8_t *want, *got; /* own */
	size_t want_cap, got_cap;
};

static bool sampled(const struct compare *c, const char *name, uint64_t unit)
{
	struct xxh_digest d;
	uint64_t v;

	if (c->o->sample >= 100)
		return true;
	d = xxh_of(name, strlen(name));
	memcpy(&v, d.b, sizeof v);
	v ^= unit * 0x9e3779b97f4a7c15u;
	v = (v ^ v >> 32) * 0xd6e8feb86659fd93u;
	return (v >> 32) % 100 < c->o->sample;
}

/* The first byte that differs, as a finding. */
static void tell_difference(const struct file_work *w, const struct derive *d, uint64_t unit,
	const struct worker *k, uint64_t n)
{
	const struct sidecar_tensor *t = d->t;
	struct derive_place where;
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	uint64_t i, others = 0, first;

	for (first = 0; k->want[first] == k->got[first]; first++)
		;
	for (i = first; i < n; i++)
		others += k->want[i] != k->got[i];
	where = derive_where(d, unit, first);
	at.from = w->f->s->header_bytes + t->begin + unit * d->unit_rows * d->row_bytes + first;
	at.to = at.from + 1;
	report_add(w->c->r, RULE_COMPARE_BYTES, &at,
		"tensor %s (%s), %s: byte 0x%02x expected, 0x%02x found; %llu bytes differ in this part",
		text_quote(t->name).s, ops[t->op].name, where.s, k->want[first], k->got[first],
		(unsigned long long)others);
}

static int compare_unit(struct file_work *w, const struct derive *d, uint64_t unit,
	struct worker *k, bool *same, struct err *e)
{
	const struct compare *c = w->c;
	uint64_t n = derive_unit_bytes(d, unit);
	uint64_t at = w->f->s->header_bytes + d->t->begin + unit * d->unit_rows * d->row_bytes;

	if (mem_grow(&k->want, &k->want_cap, (size_t)n, 1) ||
		mem_grow(&k->got, &k->got_cap, (size_t)n, 1))
		return err_nomem(e);
	if (derive_unit(&k->m, d, unit, k->want, e) ||
		file_read(c->o->io, w->f->fd, k->got, (size_t)n, at, e))
		return -1;
	progress_add(c->progress, n);
	*same = !memcmp(k->want, k->got, (size_t)n);
	if (!*same) { /* nothing is called different on the word of the quick way alone */
		if (derive_unit_plain(&k->m, d, unit, k->want, e))
			return -1;
		*same = !memcmp(k->want, k->got, (size_t)n);
	}
	pthread_mutex_lock(&w->lock);
	w->units++;
	w->bytes += n;
	if (!*same)
		tell_difference(w, d, unit, k, n);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

/* What the tensor uses of its sources. The lock is held. */
static int cover(struct file_work *w, const struct derive *d, struct err *e)
{
	const struct sidecar_tensor *t = d->t;
	struct coverage_part p;
	struct derive_use use;
	const struct tensor *s;
	uint32_t k;

	for (k = 0; k < t->n; k++) {
		s = ckpt_find(&w->c->source, w->f->s->sources[t->first + k].tensor);
		use = derive_use(d, k, s);
		if (!use.rows && s->end > s->begin)
			continue; /* it is only looked at */
		p = (struct coverage_part){ .tensor = (uint32_t)(s - w->c->source.tensors),
			.row = use.row,
			.rows = use.rows,
			.col = use.col,
			.cols = use.cols };
		if (coverage_add(&w->c->used, &p, e))
			return -1;
	}
	return 0;
}

/* What the sidecar says of exact blocks is what the values say; of all of them, unless some were left out. */
static void hold_counts(struct file_work *w, const struct derive *d, const struct derive_maker *m)
{
	const struct derive_blocks *n = &m->blocks;
	const struct sidecar_tensor *t = d->t;
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	struct err why = { 0 };

	if (t->op != OP_REFORM || t->of != PART_CODES || w->c->o->sample < 100)
		return;
	pthread_mutex_lock(&w->lock);
	if (n->n != t->blocks || n->lossy != t->inexact || n->rescued != t->rescued)
		report_add(w->c->r, RULE_COMPARE_COUNTS, &at,
			"tensor %s: of %llu blocks %llu are rounded and %llu rescued, its sidecar says %llu of %llu and %llu",
			text_quote(t->name).s, (unsigned long long)n->n,
			(unsigned long long)n->lossy, (unsigned long long)n->rescued,
			(unsigned long long)t->inexact, (unsigned long long)t->blocks,
			(unsigned long long)t->rescued);
	else if (!said_lists(w->f->s, t, m->lost, m->n_lost))
		report_add(w->c->r, RULE_COMPARE_COUNTS, &at,
			"tensor %s: its sidecar lists other rounded blocks than the values have",
			text_quote(t->name).s);
	if (block_roles_add(&w->c->said.found, &w->c->source.config,
		    w->f->s->sources[t->first].tensor,
		    &(struct manifest_role){
			    .total = n->n, .rescued = n->rescued, .lossy = n->lossy },
		    &why))
		report_take(w->c->r, &at, &why);
	report_count(w->c->r, "values", "blocks that are exact", n->n - n->lossy - n->rescued, 0);
	report_count(w->c->r, "values", "blocks that were rescued: exact, with another scale",
		n->rescued, 0);
	report_count(w->c->r, "values", "blocks that were rounded", n->lossy, 0);
	pthread_mutex_unlock(&w->lock);
}

static int read_number(const struct file_work *w, const struct sidecar_tensor *t, float *f,
	struct err *e)
{
	return t->end - t->begin != sizeof *f
		? err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS, "tensor %s is no number",
			  text_quote(t->name).s)
		: file_read(w->c->o->io, w->f->fd, f, sizeof *f, w->f->s->header_bytes + t->begin,
			  e);
}

/* Scales of activations are measured and come from no weight: each is a number above zero, and w1 and w3 of an expert,
 * which are multiplied with the same, have one. Numbers lie beside each other, by name. */
static int compare_input(struct file_work *w, const struct sidecar_tensor *t, struct err *e)
{
	static const char first[] = ".w1.", second[] = ".w3.";
	enum { NEAR = 16 };
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	const char *mid = strstr(t->name, second);
	const struct sidecar_tensor *v = w->f->s->tensors, *o;
	float f = 0, g = 0;
	struct derive d;
	struct err why = { 0 };
	int rc = derive_open(&d, &w->c->source, w->f->s, t, w->f->d->m, &why) ||
		read_number(w, t, &f, &why);

	(void)e;
	if (!rc && !(f > 0 && isfinite(f)))
		rc = err_rule(&why, RULE_COMPARE_BYTES, ERR_NOPOS,
			"tensor %s is %g, and no scale of activations", text_quote(t->name).s,
			(double)f);
	for (o = t; !rc && mid && o > v && t - o < NEAR; o--) {
		size_t n = (size_t)(mid - t->name);

		if (strncmp(o->name, t->name, n) || strncmp(o->name + n, first, sizeof first - 1) ||
			strcmp(o->name + n + sizeof first - 1, mid + sizeof second - 1) != 0)
			continue;
		rc = read_number(w, o, &g, &why);
		if (!rc && f != g)
			rc = err_rule(&why, RULE_COMPARE_BYTES, ERR_NOPOS,
				"tensor %s is %g, and %s is %g: they are one",
				text_quote(t->name).s, (double)f, text_quote(o->name).s, (double)g);
	}
	pthread_mutex_lock(&w->lock);
	if (rc)
		report_take(w->c->r, &at, &why);
	else
		report_count(w->c->r, "compared", "scales of activations, which no weight tells", 1,
			4);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static int compare_tensor(struct file_work *w, const struct sidecar_tensor *t, struct worker *k,
	struct err *e)
{
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	struct err why = { 0 };
	struct derive d;
	uint64_t unit;
	bool same = true;
	int rc;

	if (t->op == OP_REFORM && t->of == PART_INPUT)
		return compare_input(w, t, e);
	k->m.blocks = (struct derive_blocks){ 0 };
	k->m.n_lost = 0;
	rc = derive_open(&d, &w->c->source, w->f->s, t, w->f->d->m, &why);
	pthread_mutex_lock(&w->lock);
	if (rc)
		report_take(w->c->r, &at, &why);
	else
		rc = cover(w, &d, e) ? -2 : 0;
	pthread_mutex_unlock(&w->lock);
	for (unit = 0; !rc && same && unit < d.units; unit++) {
		if (!sampled(w->c, t->name, unit))
			continue;
		rc = compare_unit(w, &d, unit, k, &same, &why);
		if (rc) {
			pthread_mutex_lock(&w->lock);
			report_take(w->c->r, &at, &why);
			pthread_mutex_unlock(&w->lock);
		}
	}
	if (!rc && same)
		hold_counts(w, &d, &k->m);
	return rc == -2 ? -1 : 0;
}

static int work(struct par *p, unsigned me, struct err *e)
{
	struct file_work *w = par_ctx(p);
	struct worker k = { .want = NULL };
	size_t i;
	int rc = 0;

	(void)me;
	while (!rc && !par_stopping(p)) {
		pthread_mutex_lock(&w->lock);
		i = w->next++;
		pthread_mutex_unlock(&w->lock);
		if (i >= w->f->s->n)
			break;
		rc = compare_tensor(w, &w->f->s->tensors[i], &k, e);
	}
	derive_free(&k.m);
	free(k.want);
	free(k.got);
	return rc;
}

/* Threads that --max-memory allows for the largest tensor of the file. */
static unsigned threads_for(const struct compare *c, const struct walk_file *f)
{
	uint64_t need = 1, one, threads;
	size_t i;

	for (i = 0; i < f->s->n; i++) {
		one = derive_memory(&f->s->tensors[i]);
		need = one > need ? one : need;
	}
	threads = c->o->max_memory / need;
	threads = threads < c->o->threads ? threads : c->o->threads;
	threads = threads < f->s->n ? threads : f->s->n;
	return threads ? (unsigned)threads : 1;
}

/* --- all files --- */

/* What the casts of a file did not keep cannot be told from the values: NAME.dropped is held to its digest in the
 * sidecar, and restore holds what it makes with it to the source's. */
static void compare_dropped(struct compare *c, const struct walk_file *f)
{
	struct report_place at = { 0 };
	struct err e = { 0 };
	uint64_t size = 0;
	uint8_t sha[32];
	char name[300], path[sizeof f->path + sizeof MAN_DROPPED];
	int fd;

	if (!f->s->dropped_bytes)
		return;
	snprintf(name, sizeof name, "%s" MAN_DROPPED, f->f->name);
	snprintf(path, sizeof path, "%s" MAN_DROPPED, f->path);
	at.file = path;
	if (chain_open(f->d, name, f->s->dropped_bytes, &fd, &size, &e)) {
		report_take(c->r, &at, &e);
		return;
	}
	if (size != f->s->dropped_bytes || hash_file(c->o->io, fd, size, NULL, sha, &e))
		report_add(c->r, RULE_COMPARE_FILE, &at,
			"it has not the size that its sidecar says");
	else if (memcmp(sha, f->s->dropped_sha256, sizeof sha) != 0)
		report_add(c->r, RULE_COMPARE_FILE, &at, "its SHA-256 is not that of its sidecar");
	else
		report_count(c->r, "compared", "files of what casts drop, by their digests", 1,
			size);
	(void)c->o->io->close(c->o->io, fd); /* read only */
}

/* The blocks that the option --layers of the manifest names: all others may be missing, and none of these. */
static int take_selection(struct compare *c, const struct walk_file *f, struct err *e)
{
	const struct config *config = &c->source.config;
	const char *layers = f->d->m->layers;
	struct err why = { 0 };

	c->places = (size_t)config->L + 2 + config->stages;
	c->on = calloc(c->places, sizeof *c->on);
	if (!c->on)
		return err_nomem(e);
	if (!c->slice && selection_read(c->on, c->places, config, *layers ? layers : NULL, &why))
		report_add(c->r, RULE_COMPARE_LOST, &(struct report_place){ .file = MAN_NAME },
			"its option layers is \"%s\", which names no blocks of the source",
			text_quote(layers).s);
	else if (*layers)
		report_row(c->r, "compared", "of some layers only, by manifest.json", 0, 0,
			text_quote(layers).s);
	return 0;
}

/* Every matrix of a format with a factor has it, and the scale of its activations where the recipe has such. Names are
 * those of the matrices and none is there twice, so that it is enough to count. */
static void count_factors(struct compare *c, const struct walk_file *f)
{
	const struct recipe *r = recipe_find(f->d->m->target);
	struct report_place at = { .file = f->path };
	uint64_t n[PART_COUNT] = { 0 };
	size_t i;

	for (i = 0; i < f->s->n; i++)
		if (f->s->tensors[i].op == OP_REFORM && codecs[f->s->tensors[i].to].second.name)
			n[f->s->tensors[i].of]++;
	if (r &&
		(n[PART_SECOND] != n[PART_CODES] ||
			n[PART_INPUT] != (r->input ? n[PART_CODES] : 0)))
		report_add(c->r, RULE_COMPARE_LOST, &at,
			"%llu matrices have %llu factors and %llu scales of activations",
			(unsigned long long)n[PART_CODES], (unsigned long long)n[PART_SECOND],
			(unsigned long long)n[PART_INPUT]);
}

/* The metadata of a GGUF, which are what config.json is beside other weights. */
static void compare_head(struct compare *c, const struct walk_file *f)
{
	struct report_place at = { .file = f->path };
	struct err why = { 0 };
	bool same = true;

	if (!gguf_named(f->s->name))
		return;
	if (gguf_head_same(&c->source, f->s, f->fd, &same, &why))
		report_take(c->r, &at, &why);
	else if (!same)
		report_add(c->r, RULE_COMPARE_FILE, &at,
			"its metadata are not what config.json and tokenizer of the source make");
}

/* Every small file that the recipe of the target makes is there. */
static void want_smalls(struct compare *c, const struct manifest *m)
{
	const struct recipe *r = recipe_find(m->target);
	const struct recipe_small *s = r ? r->smalls : NULL;

	for (; s && s->name; s++)
		if (!manifest_find(&m->files, s->name))
			report_add(c->r, RULE_COMPARE_LOST,
				&(struct report_place){ .file = MAN_NAME },
				"it names no %s, which target %s makes", s->name, r->name);
}

/* What the manifest of the file's folder says, once for each folder. Files of a folder come one after the other. */
static int hear_manifest(struct compare *c, const struct walk_file *f, struct err *e)
{
	if (!said_is_new(&c->said, f->d->name))
		return 0;
	if (strcmp(f->d->name, SET_SOURCE) != 0)
		want_smalls(c, f->d->m);
	return said_hear(&c->said, f->d->name, f->d->m, e);
}

static int compare_file(void *ctx, const struct walk_file *f, struct err *e)
{
	struct compare *c = ctx;
	const struct compare_opts *o = c->o;
	struct file_work w = { .c = c, .f = f, .lock = PTHREAD_MUTEX_INITIALIZER };
	int rc;

	c->slice = c->slice || !strcmp(f->d->m->target, "slice");
	if ((!c->on && take_selection(c, f, e)) || hear_manifest(c, f, e))
		return -1;
	c->skips = c->skips || !strcmp(f->d->m->target, "official");
	if (!strcmp(f->d->m->target, "gguf")) {
		c->skips = true;
		c->no_drafts = !gguf_drafts(&c->source.config);
	}
	if (f->d->m->drafts == DRAFTS_DROP) {
		drafts_take_out(&c->source.config);
		c->no_drafts = true;
	}
	if (!strcmp(f->d->m->target, VLLM_TARGET) && !manifest_find(&f->d->m->files, VLLM_DRAFTS))
		c->skips = c->no_drafts = true;
	if (!f->s)
		return small_compare(&(struct small){ o->io, &c->source, c->r, c->slice }, f);
	compare_head(c, f);
	if (rank_counts_add(&c->by_rank, f, e))
		return -1;
	rc = par_run(threads_for(c, f), work, &w, e);
	pthread_mutex_destroy(&w.lock);
	c->tensors += f->s->n;
	report_count(c->r, "compared", "tensors", f->s->n, 0);
	report_count(c->r, "compared", "parts", w.units, w.bytes);
	report_count(c->r, "compared", "files", 1, f->f->bytes);
	count_factors(c, f);
	compare_dropped(c, f);
	return rc ? rc : said_find(&c->said, f->s, e);
}

/* Copies of embedding and head in MTP blocks, which the official converter skips, as a GGUF does; drafts that a GGUF
 * has no place for. */
static bool is_skipped(const struct compare *c, const char *name)
{
	const char *at = strncmp(name, "mtp.", 4) ? NULL : strchr(name + 4, '.');
	const struct family *of = c->source.config.family;
	unsigned i;

	if (c->no_drafts && at)
		return true;
	if (!c->skips || !at || !of)
		return false;
	for (i = 0; i < of->n_roles; i++)
		if (of->roles[i].where == IN_MTP_EXTRA && !strcmp(of->roles[i].name, at + 1))
			return true;
	return false;
}

/* Whether the conversion has to have the whole tensor. */
static bool is_wanted(const struct compare *c, const char *name)
{
	size_t place = selection_place(&c->source.config, name);

	if (c->slice || is_skipped(c, name))
		return false;
	return !c->on || place >= c->places || c->on[place];
}

/* Every source tensor that is wanted appears whole. */
static void account_for(struct compare *c)
{
	struct report_place at = { .file = NULL };
	const struct tensor *t;
	enum covered is;
	size_t i;

	coverage_sort(&c->used);
	for (i = 0; i < c->source.n; i++) {
		t = &c->source.tensors[i];
		is = coverage_of(&c->used, &c->source, (uint32_t)i);
		if (is == COVERED_WHOLE) {
			report_count(c->r, "source", "tensors that appear whole", 1,
				t->end - t->begin);
			continue;
		}
		if (!is_wanted(c, t->name)) {
			report_count(c->r, "source",
				is == COVERED_NOT
					? "tensors left out, as the target does"
					: "tensors of which a part is taken, as asked for",
				1, t->end - t->begin);
			continue;
		}
		at.tensors = &t->name;
		at.n_tensors = 1;
		report_add(c->r, RULE_COMPARE_LOST, &at, "source tensor %s, in %s, %s",
			text_quote(t->name).s, c->source.shards[t->shard].name,
			is == COVERED_NOT ? "appears nowhere" : "does not appear whole");
	}
}

/* Weights that nobody has made here lie beside those that were compared. What is wrong with copies is found by comparing
 * them. */
static int extras(struct report *r, const struct io *io, int dir, struct err *e)
{
	struct findings f = { 0 };
	int rc = copies_hold(io, dir, &f, e);
	size_t i;

	for (i = 0; !rc && i < f.n; i++)
		if (f.v[i].rule && !strcmp(f.v[i].rule, rules[RULE_CHECK_EXTRA].id))
			report_findings(r, &(struct findings){ .v = &f.v[i], .n = 1, .total = 1 });
	finding_free(&f);
	return rc;
}

int compare_run(struct report *r, const char *source, const char *out, const struct compare_opts *o,
	struct err *e)
{
	struct compare c = { .o = o, .r = r };
	struct ckpt_opts co = { .header_cap = o->header_cap, .follow_links = o->follow_links };
	struct walk w = {
		.io = o->io, .r = r, .header_cap = o->header_cap, .file = compare_file, .ctx = &c
	};
	struct folder at, made;
	int rc;

	if (folder_open(&at, o->io, source, USE_COMPARE_SOURCE, &co, e))
		return -1;
	folder_take(&at, &c.source);
	report_findings(r, &at.found);
	folder_close(&at);
	if (folder_open(&made, o->io, out, USE_COMPARE, &co, e)) {
		ckpt_close(&c.source);
		return -1;
	}
	if (o->started)
		c.progress = o->started(c.source.bytes);
	rc = walk_run(&w, made.dir, e) || extras(r, o->io, made.dir, e) ? -1 : 0;
	folder_close(&made);
	progress_stop(c.progress);
	rc = rc ? rc : ckpt_unchanged(&c.source, e);
	if (!rc) {
		if (!c.tensors)
			report_add(r, RULE_COMPARE_LOST, NULL,
				"the conversion has no tensor that could be compared");
		account_for(&c);
		rank_counts_hold(&c.by_rank, r);
		if (!r->errors && !r->unknown && o->sample >= 100)
			said_hold(&c.said, r);
		report_sort(r);
	}
	free(c.on);
	said_free(&c.said);
	rank_counts_free(&c.by_rank);
	coverage_free(&c.used);
	ckpt_close(&c.source);
	return rc;
}
