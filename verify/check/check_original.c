/* SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "formats/archive/archive_io.h"
#include "formats/blob.h"
#include "formats/model/expected.h"

#include <stdlib.h>
#include <string.h>

/* What the SHA-256 of a shard is to be: from the list, or the name of its blob in a hub's cache. */
static void expect(struct check *c, const struct expected *x, size_t i, struct check_item *it)
{
	const struct shard *s = &c->ckpt.shards[i];

	if (x) {
		memcpy(it->sha256, x->sha256[i], 32);
		it->has_sha = true;
		it->said_by = "--source-sha256";
	} else if (s->blob && blob_is_sha256(s->blob)) {
		it->has_sha = hex_to(s->blob, it->sha256, 32);
		it->said_by = "the name of its blob";
	}
}

/* The name of the blob of a shard; NULL: it is no shard, or no link to a blob. */
static const char *shard_blob(const struct ckpt *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_shards; i++)
		if (!strcmp(c->shards[i].name, name))
			return c->shards[i].blob;
	return NULL;
}

static int add_shard(struct check *c, const struct expected *x, size_t i)
{
	const struct shard *s = &c->ckpt.shards[i];
	struct check_item it = { .rule = RULE_SOURCE_SHA256 };
	struct pass_job *j;

	report_count(c->r, "checked", "files", 1, (uint64_t)s->st.st_size);
	expect(c, x, i, &it);
	if (c->o->quick && !x)
		return 0; /* a list was given to be looked at */
	it.folder = strdup("");
	it.name = strdup(s->name);
	if (!it.folder || !it.name) {
		free(it.folder);
		free(it.name);
		return err_nomem(c->e);
	}
	j = check_add(c, &it, (uint64_t)s->st.st_size);
	if (!j)
		return -1;
	j->fd = s->fd;
	j->sha = true;
	return 0;
}

static int add_shards(struct check *c, const struct expected *x)
{
	const struct tensor *t;
	const struct listing *l = archive_io_listing(c->o->io, c->top);
	size_t i, unsaid = 0;

	for (i = 0; i < c->ckpt.n_shards; i++) {
		if (c->ckpt.shards[i].fd < 0)
			continue; /* was reported */
		if (add_shard(c, x, i))
			return -1;
		unsaid += !x && !c->ckpt.shards[i].blob &&
			!(l && listing_find(l, c->ckpt.shards[i].name));
	}
	for (t = c->ckpt.tensors; t < c->ckpt.tensors + c->ckpt.n; t++)
		if (roles_add(&c->roles, t->name, t->end - t->begin, c->e))
			return -1;
	if (c->ckpt.n)
		report_count(c->r, "checked", "tensors", c->ckpt.n, 0);
	if (unsaid)
		report_add(c->r, RULE_CHECK_NO_DIGEST, NULL,
			"nobody says what the SHA-256 of %zu shards should be: give --source-sha256",
			unsaid);
	return 0;
}

/* Small files of the hub's cache, and shards whose blobs are named by git's SHA-1: held to those names here. */
static int check_blobs(struct check *c)
{
	const struct ckpt *k = &c->ckpt;
	const char *hash;
	char *names, *p;
	struct err e;
	struct stat st;
	size_t n, i, done = 0;
	uint64_t bytes = 0;
	bool has;

	if (k->io->list(k->io, k->dir, &names, &n))
		return err_sys(c->e, "cannot list the folder");
	for (i = 0, p = names; i < n; i++, p += strlen(p) + 1) {
		hash = shard_blob(k, p);
		if (!strcmp(p, "config.json") || !strcmp(p, CKPT_INDEX) ||
			(hash && (c->o->quick || blob_is_sha256(hash))))
			continue; /* was held to it when it was read, or will be */
		e = (struct err){ 0 };
		if (ckpt_blob_check(k, p, &has, &st, &e))
			report_take(c->r, &(struct report_place){ .file = p }, &e);
		done += has;
		bytes += has ? (uint64_t)st.st_size : 0;
	}
	free(names);
	if (done)
		report_count(c->r, "checked", "files by the names of their blobs", done, bytes);
	return 0;
}

int check_shards(struct check *c)
{
	struct expected x;
	struct err e = { 0 };
	bool has = false;
	int rc = 0;

	if (c->o->source_sha256) {
		has = !expected_read(&x, &c->ckpt, c->o->source_sha256, &e);
		if (!has && (e.kind == ERR_MISMATCH || e.kind == ERR_DATA))
			report_take(c->r, NULL, &e);
		else if (!has)
			rc = err_move(c->e, &e);
	}
	rc = rc ? rc : add_shards(c, has ? &x : NULL);
	rc = rc ? rc : check_blobs(c);
	if (!rc && c->listed)
		check_list_download(c);
	if (has)
		expected_free(&x);
	return rc;
}

int check_original(struct check *c, struct folder *f)
{
	folder_take(f, &c->ckpt);
	report_findings(c->r, &f->found);
	return check_shards(c);
}
