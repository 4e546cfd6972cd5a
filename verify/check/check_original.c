/* SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

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
	} else if (s->blob && strlen(s->blob) == 64) {
		it->has_sha = hex_to(s->blob, it->sha256, 32);
		it->said_by = "the name of its blob";
	}
}

static int add_shard(struct check *c, const struct expected *x, size_t i)
{
	const struct shard *s = &c->ckpt.shards[i];
	struct check_item it = { .is_original = true };
	struct pass_job *j;

	report_count(c->r, "checked", "files", 1, (uint64_t)s->st.st_size);
	expect(c, x, i, &it);
	if (c->o->quick)
		return 0;
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
	size_t i, unsaid = 0;

	for (i = 0; i < c->ckpt.n_shards; i++) {
		if (c->ckpt.shards[i].fd < 0)
			continue; /* was reported */
		if (add_shard(c, x, i))
			return -1;
		unsaid += !x && !c->ckpt.shards[i].blob;
	}
	for (t = c->ckpt.tensors; t < c->ckpt.tensors + c->ckpt.n; t++)
		if (roles_add(&c->roles, t->name, t->end - t->begin, c->e))
			return -1;
	report_count(c->r, "checked", "tensors", c->ckpt.n, 0);
	if (unsaid)
		report_add(c->r, RULE_CHECK_NO_DIGEST, NULL,
			"nobody says what the SHA-256 of %zu shards should be: give --source-sha256, "
			"or --hf-cache for a folder of the hub's cache",
			unsaid);
	return 0;
}

int check_original(struct check *c, const char *path)
{
	struct ckpt_opts co = { .header_cap = c->o->header_cap, .hf_cache = c->o->hf_cache };
	struct findings f = { 0 };
	struct expected x;
	struct err e = { 0 };
	bool has = false;
	int rc = ckpt_open(&c->ckpt, c->o->io, path, &co, &f, c->e);

	if (!rc)
		report_findings(c->r, &f);
	finding_free(&f);
	if (!rc && c->o->source_sha256) {
		has = !expected_read(&x, &c->ckpt, c->o->source_sha256, &e);
		if (!has && (e.kind == ERR_MISMATCH || e.kind == ERR_DATA))
			report_take(c->r, NULL, &e);
		else if (!has)
			rc = err_move(c->e, &e);
	}
	rc = rc ? rc : add_shards(c, has ? &x : NULL);
	if (has)
		expected_free(&x);
	return rc;
}
