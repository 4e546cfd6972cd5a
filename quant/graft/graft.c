/* SPDX-License-Identifier: MIT */
#include "quant/graft/graft.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/json/jmember.h"
#include "formats/model/family.h"
#include "formats/model/drafts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the experts --- */

static bool is_expert(const char *tensor)
{
	return strstr(tensor, ".ffn.experts.") != NULL;
}

static size_t bytes_of(const struct tensor *t)
{
	return t ? (size_t)(t->end - t->begin) : 0;
}

static size_t more(size_t a, size_t b)
{
	return a > b ? a : b;
}

static bool has_drafts(const struct ckpt *c)
{
	size_t i;

	for (i = 0; i < c->n && !drafts_own(c->tensors[i].name); i++)
		;
	return i < c->n;
}

static int add_matrix(struct graft *g, const struct want *w, struct err *e)
{
	struct graft_matrix *m = &g->m[g->n];
	size_t stem = strlen(w->name) - strlen(".weight");

	if (w->dim[1] % codecs[CODEC_MXFP4].cols)
		return graft_bad(g, e, "%s has no whole number of blocks of 32 columns", w->name);
	m->name = strndup(w->name, stem);
	if (!m->name)
		return err_nomem(e);
	g->n++;
	m->rows = (uint32_t)w->dim[0];
	m->cols = (uint32_t)w->dim[1];
	if (!matrix_find(&m->lies, &g->form, m->name, m->rows, m->cols))
		return graft_bad(g, e, "it has no matrix %s in a number format that is known",
			m->name);
	if (matrix_lacks_zeros(&g->form, m->lies.form))
		return graft_bad(g, e,
			"its config.json says that %s has zero points (\"symmetric\": false), and it has none",
			m->name);
	if (m->lies.zeros)
		return err_rule(e, RULE_FORM_UNREAD, ERR_NOPOS,
			"--experts-from %s: %s has zero points, and what has those is rounded: no FP4 is made of it",
			text_quote(g->path).s, text_quote(m->name).s);
	g->raw = more(g->raw, bytes_of(m->lies.codes) + bytes_of(m->lies.scales) + 16);
	g->plain = more(g->plain, (size_t)m->rows * m->cols / 2);
	g->scales = more(g->scales, (size_t)m->rows * m->cols / codecs[CODEC_MXFP4].cols);
	g->cols = more(g->cols, m->cols);
	return 0;
}

static int list_matrices(struct graft *g, struct err *e)
{
	bool drafts = has_drafts(g->c) && has_drafts(&g->form);
	struct inventory v;
	size_t i;
	int rc = 0;

	/* FP8 so that dim is rows x columns: a code is a byte */
	if (inventory_make(&v, &g->c->config, (struct model_forms){ CODEC_FP8, CODEC_FP8 }, e))
		return -1;
	g->m = calloc(v.n + 1, sizeof *g->m);
	if (!g->m)
		rc = err_nomem(e);
	for (i = 0; !rc && i < v.n; i++)
		if (v.wants[i].role->store == STORE_EXPERT && !v.wants[i].scale &&
			(drafts || !drafts_own(v.wants[i].name)))
			rc = add_matrix(g, &v.wants[i], e);
	inventory_free(&v);
	return rc;
}

/* The shard of DIR that a matrix is said to be of: where its experts are, else the first with the block. */
static uint32_t shard_of(const struct ckpt *c, const char *matrix)
{
	size_t block = (size_t)(strstr(matrix, ".ffn.experts.") - matrix) + 1, n = strlen(matrix),
	       i;
	uint32_t shard = 0;
	bool any = false;

	for (i = 0; i < c->n; i++) {
		const char *name = c->tensors[i].name;

		if (!strncmp(name, matrix, n) && name[n] == '.')
			return c->tensors[i].shard;
		if (!any && !strncmp(name, matrix, block)) {
			shard = c->tensors[i].shard;
			any = true;
		}
	}
	return shard;
}

static int put_tensor(struct ckpt *c, struct tensor *t, const char *matrix, const char *end,
	enum dtype type, uint64_t rows, uint64_t cols, uint32_t shard, struct err *e)
{
	char name[ST_NAME_MAX + 1];
	int n = snprintf(name, sizeof name, "%s.%s", matrix, end);
	uint64_t *dim = arena_alloc(&c->arena, 2 * sizeof *dim);

	*t = (struct tensor){ .dtype = (uint8_t)type, .rank = 2, .shard = shard, .dim = dim };
	t->name = arena_strndup(&c->arena, name, (size_t)n);
	if (!dim || !t->name)
		return err_nomem(e);
	dim[0] = rows;
	dim[1] = cols;
	t->end = rows * cols;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* The tensors of DIR without its experts, and FORM's as FP4. */
static int exchange(struct graft *g, struct err *e)
{
	const struct codec_form *f = &codecs[CODEC_MXFP4];
	struct ckpt *c = g->c;
	struct tensor *v = calloc(c->n + 2 * g->n + 1, sizeof *v);
	bool drafts = has_drafts(c) && has_drafts(&g->form);
	size_t i, n = 0;
	int rc = v ? 0 : err_nomem(e);

	for (i = 0; !rc && i < c->n; i++)
		if (!is_expert(c->tensors[i].name) || (!drafts && drafts_own(c->tensors[i].name)))
			v[n++] = c->tensors[i];
	for (i = 0; !rc && i < g->n; i++, n += 2) {
		const struct graft_matrix *m = &g->m[i];
		uint32_t shard = shard_of(c, m->name);

		rc = put_tensor(c, &v[n], m->name, f->codes, f->code, m->rows, m->cols / 2, shard,
			     e) ||
			put_tensor(c, &v[n + 1], m->name, f->scales, f->scale, m->rows,
				m->cols / f->cols, shard, e);
	}
	if (rc) {
		free(v);
		return -1;
	}
	qsort(v, n, sizeof *v, by_name);
	free(c->tensors);
	c->tensors = v;
	c->n = n;
	for (c->bytes = 0, i = 0; i < n; i++)
		c->bytes += v[i].end - v[i].begin;
	return 0;
}

static int number_tensors(struct graft *g, struct err *e)
{
	struct ckpt *c = g->c;
	char name[ST_NAME_MAX + 32];
	size_t i, k;

	g->of = calloc(c->n + 1, sizeof *g->of);
	if (!g->of)
		return err_nomem(e);
	for (i = 0; i < g->n; i++)
		for (k = 0; k < 2; k++) {
			snprintf(name, sizeof name, "%s.%s", g->m[i].name,
				k ? codecs[CODEC_MXFP4].scales : codecs[CODEC_MXFP4].codes);
			g->m[i].tensor[k] = (uint32_t)(ckpt_find(c, name) - c->tensors);
			g->of[g->m[i].tensor[k]] = (uint32_t)(1 + 2 * i + k);
		}
	return 0;
}

/* config.json as that of a checkpoint with FP4 experts: what an export says of its own format is taken out. */
static int plain_config(struct graft *g, struct err *e)
{
	static const char *const stay[] = { "activation_scheme", "fmt", "quant_method", "scale_fmt",
		"weight_block_size" };
	struct config_doc *d = &g->c->doc;
	json_t *q = json_object_get(d->o, "quantization_config"), *left = json_object(), *x;
	struct config_doc again = { 0 };
	struct text t = { 0 };
	char *s;
	size_t i;
	int rc;

	for (i = 0; i < sizeof stay / sizeof *stay; i++) {
		x = json_object_get(q, stay[i]);
		if (x)
			json_object_set(left, stay[i], x);
	}
	s = left ? json_dumps(left, JSON_SORT_KEYS) : NULL;
	rc = s ? config_put(&t, d, CODEC_MXFP4, e) : err_nomem(e);
	if (!rc && !json_equal(left, q))
		rc = jmember_set(&t, "quantization_config", s, e);
	if (!rc && json_object_get(d->o, "quantization"))
		rc = jmember_set(&t, "quantization", NULL, e);
	rc = rc ? rc : config_doc_parse(&again, t.s, t.n, e);
	free(s);
	json_decref(left);
	text_free(&t);
	if (rc)
		return -1;
	config_doc_free(d);
	*d = again;
	g->c->config.experts = CODEC_MXFP4;
	return 0;
}

/* --- opening --- */

/* Digest of what the plan can know of FORM. */
static int name_form(struct graft *g, struct err *e)
{
	struct text t = { 0 };
	uint8_t digest[32];
	size_t i;
	int rc;

	text_put(&t, g->form.doc.raw.s, g->form.doc.raw.n);
	for (i = 0; i < g->form.n_shards; i++)
		text_fmt(&t, "\n%s %lld", g->form.shards[i].name,
			(long long)g->form.shards[i].st.st_size);
	rc = t.failed ? err_nomem(e) : sha256_of(t.s, t.n, digest, e);
	text_free(&t);
	if (!rc)
		hex_of(digest, sizeof digest, g->id);
	return rc;
}

static int join(struct graft *g, struct err *e)
{
	if (g->form.io->fstat(g->form.io, g->form.dir, &g->folder))
		return err_sys(e, "cannot stat %s", text_quote(g->path).s);
	if (tensor_digests_read(&g->form_said, &g->form, e))
		return graft_at(g, e);
	if (graft_same_model(g, e) || list_matrices(g, e) || plain_config(g, e) || exchange(g, e) ||
		tensor_digests_read(&g->dir_said, g->c, e) || number_tensors(g, e) ||
		name_form(g, e))
		return -1;
	snprintf(g->said, sizeof g->said, "%s", g->n ? codecs[g->m[0].lies.form].name : "");
	g->payload = graft_payload(g);
	g->c->payload = &g->payload;
	return 0;
}

int graft_open(struct graft *g, struct ckpt *c, const char *path, bool lossy, struct err *e)
{
	struct ckpt_opts o = { .follow_links = true };
	struct findings f = { 0 };
	int rc;

	*g = (struct graft){ .c = c, .path = path, .lossy = lossy };
	if (ckpt_open(&g->form, c->io, path, &o, &f, e))
		return graft_at(g, e);
	g->open = true;
	rc = finding_first_but(&f, "config.", e) || matrix_alone(&g->form, e) ? graft_at(g, e)
									      : join(g, e);
	finding_free(&f);
	if (rc)
		graft_close(g);
	return rc;
}

void graft_close(struct graft *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		free(g->m[i].name);
	free(g->m);
	free(g->of);
	tensor_digests_free(&g->form_said);
	tensor_digests_free(&g->dir_said);
	if (g->open)
		ckpt_close(&g->form);
	memset(g, 0, sizeof *g);
}
