/* SPDX-License-Identifier: MIT */
#include "convert/run/run.h"

#include "convert/run/reclaim.h"
#include "convert/run/team.h"
#include "formats/gguf/imatrix_digest.h"
#include "formats/model/changed.h"

#include <stdlib.h>
#include <string.h>

int run_look(const struct conversion *c, const char *out, bool overwrite, bool atlas,
	uint64_t *there, struct err *e)
{
	return folders_look(c, out, overwrite, atlas, there, e);
}

uint64_t run_work(const struct conversion *c, const struct run_opts *o)
{
	const struct ckpt *k = c->folders[0].ckpt;
	uint64_t n = c->bytes;
	size_t i;

	for (i = 0; o->expected && i < k->n_shards; i++)
		n += (uint64_t)k->shards[i].st.st_size;
	return n;
}

/* --- results --- */

static int result_new(struct run_result *r, const struct conversion *c, struct err *e)
{
	*r = (struct run_result){ .folders = calloc(c->n, sizeof *r->folders) };
	if (!r->folders)
		return err_nomem(e);
	for (; r->n < c->n; r->n++) {
		r->folders[r->n].sha256 =
			calloc(c->folders[r->n].n_files + 1, sizeof *r->folders->sha256);
		if (!r->folders[r->n].sha256)
			return err_nomem(e);
	}
	return 0;
}

void run_result_free(struct run_result *r)
{
	size_t k;

	for (k = 0; k < r->n; k++)
		free(r->folders[k].sha256);
	free(r->folders);
	memset(r, 0, sizeof *r);
}

static void add(struct run_counts *sum, const struct run_counts *n)
{
	int k;

	sum->made += n->made;
	sum->kept += n->kept;
	sum->written += n->written;
	sum->went_on += n->went_on;
	sum->went_on_bytes += n->went_on_bytes;
	sum->linked += n->linked;
	sum->linked_bytes += n->linked_bytes;
	sum->blocks += n->blocks;
	sum->inexact += n->inexact;
	for (k = 0; k < 3; k++)
		sum->scales[k] += n->scales[k];
}

static void tell(const struct out_folder *d, struct run_folder *r)
{
	const struct output *o;
	size_t i, k;

	r->n.made = d->made;
	r->n.kept = d->kept;
	r->n.written = d->written;
	r->n.went_on = d->went_on;
	r->n.went_on_bytes = d->went_on_bytes;
	r->n.linked = d->linked;
	r->n.linked_bytes = d->linked_bytes;
	for (i = 0; d->open && i < d->p->n_files; i++) {
		o = &d->pub.outputs[i];
		memcpy(r->sha256[i], o->sha256, 32);
		r->n.blocks += o->blocks;
		r->n.inexact += o->inexact;
		for (k = 0; k < 3; k++)
			r->n.scales[k] += o->scales[k];
	}
}

/* --- the whole --- */

/* A file that no lane has finished would be a bug. */
static int all_there(const struct folders *f, struct err *e)
{
	const struct out_folder *d;
	size_t i;

	for (d = f->v; d < f->v + f->c->n; d++)
		for (i = 0; i < d->p->n_files; i++)
			if (d->pub.outputs[i].state < OUTPUT_DONE)
				return err_set(e, ERR_SYSTEM, "%s was not finished",
					d->p->files[i].name);
	return 0;
}

static int make_files(struct folders *f, const struct run_opts *o, struct err *e)
{
	struct lanes lanes = { .o = o, .folders = f };
	struct items items;
	int rc;

	sha256_kit_best(&lanes.sha, o->features);
	rc = o->reclaim ? reclaim_items(o->reclaim, &items, e)
			: items_list(&items, f->c, o->expected, o->units, e);
	rc = rc ? rc : team_run(&lanes, &items, e);
	items_free(&items);
	return rc;
}

int run_unchanged(const struct conversion *c, struct err *e)
{
	const struct plan_opts *o = &c->folders[0].opts;
	char now[65];

	if (ckpt_unchanged(c->folders[0].ckpt, e))
		return -1;
	if (!o->imatrix)
		return 0;
	if (imatrix_digest(o->imatrix, now, e))
		return -1;
	if (!strcmp(now, o->imatrix_sha256))
		return 0;
	err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
		"the file of --imatrix was changed while it was read");
	return err_blame(e, BLAME_SOURCE);
}

static int execute(struct folders *f, const struct conversion *c, const struct run_opts *o,
	struct err *e)
{
	if (folders_begin(f, c, o, e) || (o->reclaim && reclaim_begin(o->reclaim, f, e)) ||
		make_files(f, o, e))
		return -1;
	if (run_unchanged(c, e))
		return -1;
	if (o->units)
		return 0;
	return all_there(f, e) ? -1 : folders_finish(f, e);
}

/* Takes what is known of the files of all folders. */
static int take_known(struct folders *f, run_known *known, void *ctx, struct err *e)
{
	struct out_folder *d;
	struct known is;
	size_t k, i;

	for (k = 0; k < f->c->n; k++) {
		d = &f->v[k];
		if (d->open && f->o->expected)
			publisher_trust(&d->pub);
		for (i = 0; i < d->p->n_files; i++) {
			if (known(ctx, k, i, &is, e) || known_take(&d->pub, i, &is, e))
				return out_folder_err(d, e);
			d->kept++;
		}
	}
	return 0;
}

static int take_and_finish(struct folders *f, const struct conversion *c, const struct run_opts *o,
	run_known *known, void *ctx, struct err *e)
{
	if (folders_begin(f, c, o, e) || take_known(f, known, ctx, e) || run_unchanged(c, e))
		return -1;
	return all_there(f, e) ? -1 : folders_finish(f, e);
}

/* Makes the files, or takes what is known of them. */
static int conversion_do(const struct conversion *c, const struct run_opts *o, run_known *known,
	void *ctx, struct run_result *r, struct err *e)
{
	struct folders f;
	size_t k;
	int rc;

	if (result_new(r, c, e))
		return -1;
	rc = known ? take_and_finish(&f, c, o, known, ctx, e) : execute(&f, c, o, e);
	for (k = 0; f.v && k < c->n; k++) {
		tell(&f.v[k], &r->folders[k]);
		add(&r->sum, &r->folders[k].n);
	}
	r->anew = f.anew;
	r->freed = o->reclaim ? o->reclaim->n_freed : 0;
	r->freed_bytes = o->reclaim ? o->reclaim->bytes_freed : 0;
	folders_end(&f, rc && e->blame == BLAME_SOURCE);
	return rc;
}

int run_conversion(const struct conversion *c, const struct run_opts *o, struct run_result *r,
	struct err *e)
{
	return conversion_do(c, o, NULL, NULL, r, e);
}

int run_finish(const struct conversion *c, const struct run_opts *o, run_known *known, void *ctx,
	struct run_result *r, struct err *e)
{
	return conversion_do(c, o, known, ctx, r, e);
}
