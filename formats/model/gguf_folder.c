/* SPDX-License-Identifier: MIT */
#include "formats/model/gguf_folder.h"

#include "core/text.h"
#include "formats/model/gguf_config.h"

#include <stdlib.h>
#include <string.h>

const char *const gguf_is_names[GGUF_KINDS] = { [GGUF_IS_OTHER] =
							"something that is not known here",
	[GGUF_IS_MODEL] = "the model",
	[GGUF_IS_MTP] = "its MTP block",
	[GGUF_IS_DSPARK] = "its DSpark drafter" };

const struct gguf_tensor *gguf_in_tensor(const struct gguf_in *x, const char *name)
{
	size_t i, k;

	for (i = 0; i < x->set.n; i++)
		for (k = 0; k < x->set.parts[i].file.n; k++)
			if (!strcmp(x->set.parts[i].file.tensors[k].name, name))
				return &x->set.parts[i].file.tensors[k];
	return NULL;
}

uint32_t gguf_in_experts(const struct gguf_in *x)
{
	size_t i, k;

	for (i = 0; i < x->set.n; i++)
		for (k = 0; k < x->set.parts[i].file.n; k++) {
			const struct gguf_tensor *t = &x->set.parts[i].file.tensors[k];

			if (text_stem(t->name, ".ffn_gate_exps.weight"))
				return t->type;
		}
	return UINT32_MAX;
}

static enum gguf_is judge(const struct gguf_in *x)
{
	const char *arch = gguf_config_arch(&x->meta);
	const struct gguf_entry *drafts = gguf_config_entry(&x->meta, "nextn_predict_layers");

	if (!strcmp(arch, GGUF_ARCH_DSPARK))
		return GGUF_IS_DSPARK;
	if (strcmp(arch, GGUF_ARCH) != 0)
		return GGUF_IS_OTHER;
	return gguf_entry_number(drafts) && drafts->number > 0 &&
			!gguf_in_tensor(x, "blk.0.attn_norm.weight")
		? GGUF_IS_MTP
		: GGUF_IS_MODEL;
}

/* Whether the file belongs to a set that is listed already. */
static bool listed(const struct gguf_folder *g, const char *name)
{
	size_t stem, other, i;
	unsigned no, parts, n, m;

	if (!gguf_part_parse(name, &stem, &no, &parts) || parts == 1)
		return false;
	for (i = 0; i < g->n; i++)
		if (gguf_part_parse(g->v[i].name, &other, &n, &m) && m == parts && other == stem &&
			!memcmp(g->v[i].name, name, stem))
			return true;
	return false;
}

static int add(struct gguf_folder *g, const struct io *io, int dir, const char *name, struct err *e)
{
	struct gguf_in *x;

	if (listed(g, name))
		return 0;
	if (mem_grow(&g->v, &g->cap, g->n + 1, sizeof *g->v))
		return err_nomem(e);
	x = &g->v[g->n++];
	memset(x, 0, sizeof *x);
	memcpy(x->name, name, strlen(name) + 1);
	if (gguf_set_read(&x->set, io, dir, name, gguf_meta_take, &x->meta, &x->err))
		return x->err.kind == ERR_SYSTEM ? err_move(e, &x->err) : 0;
	x->is = judge(x);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int gguf_folder_read(struct gguf_folder *g, const struct io *io, int dir, const char *only,
	struct err *e)
{
	char *names, *p;
	const char **v;
	size_t n, i, k = 0;
	int rc = 0;

	memset(g, 0, sizeof *g);
	if (*only) {
		rc = add(g, io, dir, only, e);
	} else {
		if (io->list(io, dir, &names, &n))
			return err_sys(e, "cannot list the folder");
		v = calloc(n + 1, sizeof *v);
		rc = v ? 0 : err_nomem(e);
		for (i = 0, p = names; v && i < n; i++, p += strlen(p) + 1)
			if (gguf_named(p) && strlen(p) < 256 && p[0] != '.')
				v[k++] = p;
		if (k)
			qsort(v, k, sizeof *v, by_name);
		for (i = 0; !rc && i < k; i++)
			rc = add(g, io, dir, v[i], e);
		free(v);
		free(names);
	}
	if (rc)
		gguf_folder_free(g);
	return rc;
}

void gguf_folder_free(struct gguf_folder *g)
{
	size_t i;

	for (i = 0; i < g->n; i++) {
		gguf_set_free(&g->v[i].set);
		gguf_meta_free(&g->v[i].meta);
	}
	free(g->v);
	memset(g, 0, sizeof *g);
}

const struct gguf_in *gguf_folder_find(const struct gguf_folder *g, enum gguf_is is)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->v[i].err.kind == ERR_NONE && g->v[i].is == is)
			return &g->v[i];
	return NULL;
}
