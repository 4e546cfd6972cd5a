/* SPDX-License-Identifier: MIT */
#include "quant/gguf_model.h"

#include "formats/codec.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/family.h"
#include "formats/model/gguf_config.h"
#include "formats/model/gguf_name.h"
#include "quant/ggml_back.h"
#include "quant/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- tensors by name --- */

/* A tensor of the set. */
struct place {
	const struct gguf_tensor *t;
	uint32_t part;
	bool used;
};

struct opener {
	struct gguf_model *m;
	struct ckpt *c;
	const char *name; /* of the first part, for messages */
	enum gguf_file_of of;
	struct findings *f;
	struct err *e;
	struct place *places; /* owns; sorted by name */
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct place *)a)->t->name, ((const struct place *)b)->t->name);
}

static int list_places(struct opener *o)
{
	struct gguf_set *s = &o->m->set;
	size_t i, k;

	o->places = calloc(s->tensors + 1, sizeof *o->places);
	if (!o->places)
		return err_nomem(o->e);
	for (i = 0; i < s->n; i++)
		for (k = 0; k < s->parts[i].file.n; k++)
			o->places[o->n++] =
				(struct place){ &s->parts[i].file.tensors[k], (uint32_t)i, false };
	qsort(o->places, o->n, sizeof *o->places, by_name);
	return 0;
}

static struct place *find(const struct opener *o, const char *name)
{
	const struct gguf_tensor t = { .name = name };
	const struct place key = { .t = &t };

	return bsearch(&key, o->places, o->n, sizeof *o->places, by_name);
}

/* --- config.json --- */

/* How routed experts lie there, as far as their type tells: F32 may be either, and is computed as what its values are. */
static enum codec experts_of(const struct opener *o)
{
	const struct place *p = find(o, "blk.0.ffn_gate_exps.weight");

	return p && p->t->type == GGML_BF16 ? CODEC_FP8 : CODEC_MXFP4;
}

static int read_config(struct opener *o)
{
	const char *arch = gguf_config_arch(&o->m->meta);
	const struct gguf_entry *drafts = gguf_config_entry(&o->m->meta, "nextn_predict_layers");

	if (strcmp(arch, GGUF_ARCH) != 0)
		return err_rule(o->e, RULE_KIND_GGUF, ERR_NOPOS,
			"%s: general.architecture is \"%s\", and no " GGUF_ARCH
			": it is of another model, or of its drafts alone",
			o->name, text_quote(arch).s);
	if (o->of == GGUF_OF_MODEL && gguf_entry_number(drafts) && drafts->number > 0 &&
		!find(o, "blk.0.attn_norm.weight"))
		return err_rule(o->e, RULE_KIND_GGUF, ERR_NOPOS,
			"%s: it holds the drafts of a model, and no layers", o->name);
	if (gguf_config_make(&o->c->doc, &o->m->meta, o->name, experts_of(o), o->of == GGUF_OF_MTP,
		    o->f, o->e))
		return -1;
	if (!config_read(&o->c->config, &o->c->doc, o->e))
		return 0;
	if (o->f->total &&
		o->e->kind !=
			ERR_SYSTEM) { /* of keys that make no config.json there is a finding already */
		*o->e = (struct err){ 0 };
		return 0;
	}
	return finding_take(o->f, o->name, o->e);
}

/* --- tensors --- */

static int say(struct opener *o, enum rule_id rule, const char *name, const char *what)
{
	return finding_add(o->f, rule, o->name, "%s: tensor %s %s", o->name, text_quote(name).s,
		       what)
		? err_nomem(o->e)
		: 0;
}

/* Whether values of that type can be had for a tensor of that dtype in the checkpoint. */
static bool decodes(const struct want *w, uint32_t type)
{
	if (w->role->store == STORE_PLAIN && w->dtype == DT_I64)
		return type == GGML_I32;
	return ggml_decodes(type);
}

/* Rows and columns of a want as numbers, whatever their codes take. */
static void size_of(const struct want *w, struct gguf_matrix *x)
{
	enum codec fp4 = CODEC_MXFP4;

	x->rows = w->rank > 1 ? w->dim[0] : 1;
	x->cols = w->rank > 1 ? w->dim[1] : w->dim[0];
	if (w->role->store == STORE_EXPERT && w->dtype == codecs[fp4].code)
		x->cols = codec_cols(fp4, x->cols);
}

/* Whether the tensor of the GGUF has the shape that it must: columns, rows, experts. */
static bool has_shape(const struct gguf_tensor *t, const struct want *w,
	const struct gguf_matrix *x, uint64_t experts)
{
	unsigned rank = w->role->store == STORE_EXPERT ? 3 : w->rank;
	uint64_t cols = x->cols * (gguf_name_beside(t->name) ? 2 : 1);

	return t->rank == rank && t->dim[0] == cols && (rank < 2 || t->dim[1] == x->rows) &&
		(rank < 3 || t->dim[2] == experts);
}

/* What the forward pass takes a tensor for. */
static void declare(const struct want *w, const struct gguf_matrix *x, struct tensor *t)
{
	bool bf16 = x->type == GGML_BF16 || !strcmp(w->name, "embed.weight");

	t->dtype = w->dtype;
	if (w->role->store == STORE_PLAIN && w->dtype == DT_BF16)
		t->dtype = bf16 ? DT_BF16 : DT_F32;
	if (w->role->store == STORE_DENSE)
		t->dtype = bf16 ? DT_BF16 : DT_F32;
	t->end =
		x->rows * x->cols * dtypes[t->dtype].bits / 8; /* of experts: never read by bytes */
}

/* Finds where the tensor w of the checkpoint lies. */
static int take(struct opener *o, const struct want *w)
{
	struct gguf_matrix *x = &o->m->v[o->c->n];
	struct tensor *t = &o->c->tensors[o->c->n];
	char name[GGUF_NAME_MAX + 1];
	struct place *p;
	uint64_t each;
	long expert;

	if (w->optional || w->scale ||
		!gguf_name_of(name, &expert, w->name, false, o->of, &o->c->config))
		return 0;
	p = find(o, name);
	if (!p)
		return expert > 0 ? 0 : say(o, RULE_MODEL_MISSING, name, "is not there");
	p->used = true;
	*x = (struct gguf_matrix){ .part = p->part,
		.type = p->t->type,
		.expert = w->role->store == STORE_EXPERT,
		.dense = w->role->store == STORE_DENSE };
	size_of(w, x);
	if (!has_shape(p->t, w, x, o->c->config.E))
		return expert > 0
			? 0
			: say(o, RULE_MODEL_SHAPE, name, "has another shape than its keys imply");
	if (!decodes(w, x->type))
		return expert > 0 ? 0
				  : say(o, RULE_GGUF_TENSOR_TYPE, name,
					    "is of a type whose values are not decoded here");
	each = p->t->bytes / (x->expert ? o->c->config.E : 1);
	x->bytes = each;
	x->at = o->m->set.parts[p->part].file.data_at + p->t->at +
		(expert > 0 ? (uint64_t)expert * each : 0);
	o->m->rounds |= (x->dense || x->expert) && x->type != GGML_F32 && x->type != GGML_BF16 &&
		x->type != GGML_MXFP4;
	*t = (struct tensor){ .name = w->name, .dim = w->dim, .rank = w->rank };
	declare(w, x, t);
	o->c->n++;
	return 0;
}

/* Whether it is of drafts in the same file: blk.N with N behind the layers. */
static bool of_drafts(const struct opener *o, const char *name)
{
	unsigned long block = strncmp(name, "blk.", 4) ? 0 : strtoul(name + 4, NULL, 10);

	return o->of == GGUF_OF_MODEL && block >= o->c->config.L;
}

static int take_all(struct opener *o)
{
	const struct model_forms forms = { CODEC_FP8, experts_of(o) };
	size_t i;

	if (!o->c->config.family)
		return 0;
	if (inventory_make(&o->m->inv, &o->c->config, forms, o->e))
		return o->e->kind == ERR_SYSTEM ? -1 : finding_take(o->f, o->name, o->e);
	o->m->v = calloc(o->m->inv.n + 1, sizeof *o->m->v);
	o->c->tensors = calloc(o->m->inv.n + 1, sizeof *o->c->tensors);
	if (!o->m->v || !o->c->tensors)
		return err_nomem(o->e);
	for (i = 0; i < o->m->inv.n; i++) /* sorted by name, as tensors are */
		if (take(o, &o->m->inv.wants[i]))
			return -1;
	for (i = 0; i < o->n; i++) {
		if (o->places[i].used)
			continue;
		if (of_drafts(o, o->places[i].t->name))
			o->m->extra++;
		else if (say(o, RULE_MODEL_UNEXPECTED, o->places[i].t->name,
				 "is none of the model"))
			return -1;
	}
	return 0;
}

/* --- opening --- */

static int open_parts(struct gguf_model *m, int dir, struct err *e)
{
	struct stat st;
	char blob[65];
	size_t i;

	m->fds = malloc((m->set.n + 1) * sizeof *m->fds);
	if (!m->fds)
		return err_nomem(e);
	for (i = 0; i < m->set.n; i++)
		m->fds[i] = -1;
	for (i = 0; i < m->set.n; i++) {
		if (gguf_part_open(m->io, dir, m->set.parts[i].name, &m->fds[i], &st, blob, e)) {
			m->fds[i] = -1;
			return -1;
		}
		if ((uint64_t)st.st_size != m->set.parts[i].size)
			return err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
				"%s: the file was changed while it was read",
				text_quote(m->set.parts[i].name).s);
	}
	return 0;
}

int gguf_model_open(struct gguf_model *m, struct ckpt *c, const struct io *io, int dir,
	const char *name, enum gguf_file_of of, struct findings *f, struct err *e)
{
	struct opener o = { .m = m, .c = c, .name = name, .of = of, .f = f, .e = e };
	int rc;

	memset(m, 0, sizeof *m);
	memset(c, 0, sizeof *c);
	m->io = io;
	m->c = c;
	rc = gguf_set_read(&m->set, io, dir, name, gguf_meta_take, &m->meta, e) ||
			open_parts(m, dir, e) || list_places(&o) || read_config(&o) || take_all(&o)
		? -1
		: 0;
	free(o.places);
	if (rc) {
		gguf_model_close(m, c);
		return -1;
	}
	gguf_model_payload(m);
	c->payload = &m->payload;
	return 0;
}

void gguf_model_close(struct gguf_model *m, struct ckpt *c)
{
	size_t i;

	for (i = 0; m->fds && i < m->set.n; i++)
		if (m->fds[i] >= 0)
			(void)m->io->close(m->io, m->fds[i]); /* read only */
	free(m->fds);
	free(m->v);
	inventory_free(&m->inv);
	gguf_meta_free(&m->meta);
	gguf_set_free(&m->set);
	config_free(&c->config);
	config_doc_free(&c->doc);
	free(c->tensors);
	memset(m, 0, sizeof *m);
	memset(c, 0, sizeof *c);
}

/* --- which file --- */

struct seen {
	char arch[64];
};

static int see_arch(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	if (v->type == GGUF_STRING && !strcmp(g->key.s, "general.architecture"))
		snprintf(s->arch, sizeof s->arch, "%.*s", (int)(v->n < 63 ? v->n : 63), v->s);
	return 0;
}

/* Whether the file is the first of a set of the model itself. */
static bool is_model(const struct io *io, int dir, const char *name)
{
	struct arena arena = { 0 };
	struct gguf_file f;
	struct seen s = { "" };
	struct stat st;
	char blob[65];
	unsigned no, parts;
	size_t stem;
	struct err ignored = { 0 };
	bool is = false;
	int fd;

	if (!gguf_part_parse(name, &stem, &no, &parts) || no ||
		gguf_part_open(io, dir, name, &fd, &st, blob, &ignored))
		return false;
	if (!gguf_file_read(&f, io, fd, (uint64_t)st.st_size, see_arch, &s, &arena, NULL)) {
		/* a draft of MTP has the architecture of the model, and another name */
		is = !strcmp(s.arch, GGUF_ARCH) && gguf_of_file(name) == GGUF_OF_MODEL;
		gguf_file_free(&f);
	}
	arena_free(&arena);
	(void)io->close(io, fd); /* read only */
	return is;
}

int gguf_model_find(const struct io *io, int dir, char name[256], struct err *e)
{
	char *names, *p;
	size_t n, i, found = 0;

	if (io->list(io, dir, &names, &n))
		return err_sys(e, "cannot list the folder");
	for (i = 0, p = names; i < n; i++, p += strlen(p) + 1)
		if (strlen(p) < 256 && is_model(io, dir, p) && !found++)
			memcpy(name, p, strlen(p) + 1);
	free(names);
	if (found == 1)
		return 0;
	return err_rule(e, RULE_KIND_GGUF, ERR_NOPOS,
		found ? "the folder holds more than one model in GGUF: name the file"
		      : "the folder holds no GGUF of this model that can be read");
}
