/* SPDX-License-Identifier: MIT */
#include "convert/out/delta.h"

#include "formats/model/tensor_xxh.h"
#include "core/mem.h"
#include "formats/blob.h"
#include "formats/model/changed.h"
#include "formats/model/family.h"

#include <stdlib.h>
#include <string.h>

/* --- roles --- */

/* Finds or adds the role of a tensor. */
static int role_of(struct delta *d, const struct want *w, uint32_t *at, struct err *e)
{
	size_t i;

	for (i = 0; i < d->n_roles; i++)
		if (d->roles[i].role == w->role && d->roles[i].scale == w->scale)
			break;
	if (i == d->n_roles) {
		if (mem_grow(&d->roles, &d->roles_cap, d->n_roles + 1, sizeof *d->roles))
			return err_nomem(e);
		d->roles[d->n_roles++] = (struct delta_role){ .role = w->role, .scale = w->scale };
	}
	*at = (uint32_t)i;
	return 0;
}

int delta_take(struct delta *d, unsigned side, const struct audit *a, struct err *e)
{
	struct delta_side *s = &d->side[side];
	size_t i, n = a->ckpt->n;

	s->c = a->ckpt;
	s->role = calloc(n + 1, sizeof *s->role);
	s->is = calloc(n + 1, sizeof *s->is);
	s->read = calloc(n + 1, sizeof *s->read);
	s->other = calloc(n + 1, sizeof *s->other);
	if (!s->role || !s->is || !s->read || !s->other)
		return err_nomem(e);
	for (i = 0; i < n; i++) {
		if (!a->want[i])
			return err_set(e, ERR_SYSTEM, "tensor %s has no role",
				text_quote(a->ckpt->tensors[i].name).s);
		if (role_of(d, a->want[i], &s->role[i], e))
			return -1;
	}
	return 0;
}

void delta_free(struct delta *d)
{
	struct delta_side *s;

	for (s = d->side; s < d->side + DELTA_SIDES; s++) {
		free(s->role);
		free(s->is);
		free(s->read);
		free(s->other);
	}
	free(d->roles);
	free(d->files);
	memset(d, 0, sizeof *d);
}

/* --- tensors --- */

static uint64_t bytes_of(const struct delta_side *s, size_t i)
{
	return s->c->tensors[i].end - s->c->tensors[i].begin;
}

static bool same_form(const struct tensor *a, const struct tensor *b)
{
	return a->dtype == b->dtype && a->rank == b->rank &&
		a->end - a->begin == b->end - b->begin &&
		!memcmp(a->dim, b->dim, a->rank * sizeof *a->dim);
}

/* Whether both are the same bytes of blobs that are named by the same SHA-256. */
static bool same_blob(const struct delta *d, const struct tensor *a, const struct tensor *b)
{
	const struct shard *x = &d->side[DELTA_OLD].c->shards[a->shard],
			   *y = &d->side[DELTA_RECENT].c->shards[b->shard];

	return x->blob && y->blob && blob_is_sha256(x->blob) && !strcmp(x->blob, y->blob) &&
		x->st.st_size == y->st.st_size && x->data_at == y->data_at && a->begin == b->begin;
}

/* Tensor i of the old side and k of the new one have the same name. */
static void pair(struct delta *d, size_t i, size_t k)
{
	struct delta_side *was = &d->side[DELTA_OLD], *now = &d->side[DELTA_RECENT];
	const struct tensor *a = &was->c->tensors[i], *b = &now->c->tensors[k];

	was->other[i] = k;
	now->other[k] = i;
	if (!same_form(a, b)) {
		was->is[i] = now->is[k] = DELTA_FORM;
	} else if (same_blob(d, a, b)) {
		d->unread.n++;
		d->unread.bytes += bytes_of(now, k);
	} else {
		was->read[i] = now->read[k] = true;
	}
}

/* Finds the tensors of one name; both lists are sorted by it. */
static void match(struct delta *d)
{
	struct delta_side *was = &d->side[DELTA_OLD], *now = &d->side[DELTA_RECENT];
	size_t i = 0, k = 0;
	int which;

	while (i < was->c->n || k < now->c->n) {
		which = i == was->c->n   ? 1
			: k == now->c->n ? -1
					 : strcmp(was->c->tensors[i].name, now->c->tensors[k].name);
		if (which < 0) {
			was->is[i] = DELTA_GONE;
			was->other[i++] = SIZE_MAX;
		} else if (which > 0) {
			now->is[k] = DELTA_NEW;
			now->other[k++] = SIZE_MAX;
		} else {
			pair(d, i++, k++);
		}
	}
}

static void count(struct delta *d, const struct delta_side *s, size_t i)
{
	struct delta_sum *role = &d->roles[s->role[i]].sum[s->is[i]], *all = &d->sum[s->is[i]];

	role->n++;
	role->bytes += bytes_of(s, i);
	all->n++;
	all->bytes += bytes_of(s, i);
}

static void judge(struct delta *d, const struct xxh_digest *was_xxh,
	const struct xxh_digest *now_xxh)
{
	struct delta_side *was = &d->side[DELTA_OLD], *now = &d->side[DELTA_RECENT];
	size_t i, k;

	for (k = 0; k < now->c->n; k++) {
		i = now->other[k];
		if (now->read[k] && memcmp(&was_xxh[i], &now_xxh[k], sizeof *now_xxh) != 0)
			was->is[i] = now->is[k] = DELTA_BYTES;
		count(d, now, k);
	}
	for (i = 0; i < was->c->n; i++)
		if (was->is[i] == DELTA_GONE)
			count(d, was, i);
}

static const char *family(const struct delta_side *s)
{
	return s->c->config.family ? s->c->config.family->name : "none";
}

/* Whether the files of a side are what they were, for messages that say which side. */
static int unchanged(const struct delta_side *s, const char *name, struct err *e)
{
	return ckpt_unchanged(s->c, e) ? err_at(e, "%s", name) : 0;
}

int delta_tensors(struct delta *d, unsigned threads, const volatile sig_atomic_t *stop,
	struct progress *progress, struct err *e)
{
	const struct delta_side *was = &d->side[DELTA_OLD], *now = &d->side[DELTA_RECENT];
	struct xxh_digest *xxh[DELTA_SIDES] = { NULL, NULL };
	int rc = -1;

	if (was->c->config.family != now->c->config.family)
		return err_set(e, ERR_USAGE,
			"OLD is of the family %s and NEW of %s: they are no releases of one checkpoint",
			family(was), family(now));
	match(d);
	xxh[DELTA_OLD] = calloc(was->c->n + 1, sizeof **xxh);
	xxh[DELTA_RECENT] = calloc(now->c->n + 1, sizeof **xxh);
	if (!xxh[DELTA_OLD] || !xxh[DELTA_RECENT]) {
		err_nomem(e);
		goto out;
	}
	if (tensor_xxh(was->c, was->read, xxh[DELTA_OLD], threads, stop, progress, e)) {
		err_at(e, "OLD");
		goto out;
	}
	if (tensor_xxh(now->c, now->read, xxh[DELTA_RECENT], threads, stop, progress, e)) {
		err_at(e, "NEW");
		goto out;
	}
	if (unchanged(was, "OLD", e) || unchanged(now, "NEW", e))
		goto out;
	judge(d, xxh[DELTA_OLD], xxh[DELTA_RECENT]);
	rc = 0;
out:
	free(xxh[DELTA_OLD]);
	free(xxh[DELTA_RECENT]);
	return rc;
}

uint64_t delta_work(const struct delta *d)
{
	return d->side[DELTA_OLD].c->bytes + d->side[DELTA_RECENT].c->bytes;
}
