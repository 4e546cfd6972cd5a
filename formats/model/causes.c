/* causes.c -- one fault, one finding: a table of what makes many tensors unfit at once.
 *
 * The order of the table matters: what says that this is another draft, or has other names, comes before what says
 * that something is missing, and that before what says how a tensor is written. (Other models than V4 do not come so
 * far: formats/folder names them.)
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/engram.h"
#include "core/text.h"
#include "formats/model/family_causes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static const struct tensor *tensor(const struct misfits *m, size_t i)
{
	return &m->c->tensors[i];
}

/* --- another draft --- */

/* What follows "mtp.N."; NULL: the name is of no stage. */
static const char *in_stage(const char *name)
{
	size_t digits;

	if (!begins(name, "mtp."))
		return NULL;
	digits = strspn(name + 4, "0123456789");
	return digits && name[4 + digits] == '.' ? name + 5 + digits : NULL;
}

static bool of_draft(const char *name, bool spark)
{
	static const char *const marks[2][4] = { { "e_proj.", "h_proj.", "enorm.", "hnorm." },
		{ "main_proj.", "main_norm.", "markov_head.", "confidence_head." } };
	const char *tail = in_stage(name);
	int i;

	for (i = 0; tail && i < 4; i++)
		if (begins(tail, marks[spark][i]))
			return true;
	return false;
}

static int drafter(struct misfits *m)
{
	bool spark = m->c->config.spark, found = false;
	struct batch b = { 0 };
	size_t i;

	for (i = 0; i < m->c->n && !found; i++)
		found = m->unexpected[i] && of_draft(tensor(m, i)->name, !spark);
	if (!found)
		return 0;
	for (i = 0; i < m->c->n; i++)
		if ((m->unexpected[i] || m->other[i]) && in_stage(tensor(m, i)->name))
			misfits_claim(m, &b, i);
	for (i = 0; i < m->inv->n; i++)
		if (m->missing[i] && m->inv->wants[i].stage >= 0)
			misfits_absent(m, i);
	return finding_add(m->f, RULE_CONFIG_DRAFTER, "config.json",
		"config.json describes %s under mtp., the tensors there (%zu that do not fit, first %s) are %s",
		spark ? "a DSpark drafter" : "MTP blocks", b.n, text_quote(b.first).s,
		spark ? "MTP blocks" : "a DSpark drafter, as V4-Flash-0731 and -DSpark have it");
}

/* --- names of another tool --- */

static const struct dialect {
	const char *mark;
	enum { AT_START, AT_END, INSIDE } where;
	const char *here; /* what the mark stands for; NULL: for nothing that the model has */
	const char *whose;
} dialects[] = {
	{ ".weight_scale_inv", AT_END, ".scale", "transformers and vLLM" },
	{ ".weight_scale", AT_END, ".scale", "compressed-tensors" },
	{ ".weight_packed", AT_END, ".weight", "compressed-tensors" },
	{ ".input_scale", AT_END, NULL, "ModelOpt" },
	{ ".weight_global_scale", AT_END, NULL, "NVFP4 of compressed-tensors" },
	{ ".weight_scale_2", AT_END, NULL, "NVFP4 of ModelOpt" },
	{ "model.layers.", AT_START, "layers.", "transformers" },
	{ "model.embed_tokens.", AT_START, "embed.", "transformers" },
	{ ".attn_hc.", INSIDE, ".hc_attn_", "transformers" },
	{ ".ffn_hc.", INSIDE, ".hc_ffn_", "transformers" },
	{ "lm_head.", AT_START, "head.", "transformers" },
};

/* Where the mark stands in name; NULL: it is not there. */
static const char *mark_in(const char *name, const struct dialect *d)
{
	size_t n = strlen(name), mark = strlen(d->mark);

	if (d->where == INSIDE)
		return strstr(name, d->mark);
	if (d->where == AT_START)
		return begins(name, d->mark) ? name : NULL;
	return text_ends(name, d->mark) ? name + n - mark : NULL;
}

/* The name as the model has it; false where the mark is not in it, or stands for nothing. */
static bool translate(char *out, size_t room, const char *name, const struct dialect *d)
{
	const char *at = mark_in(name, d);

	return at && d->here &&
		snprintf(out, room, "%.*s%s%s", (int)(at - name), name, d->here,
			at + strlen(d->mark)) < (int)room;
}

static int one_dialect(struct misfits *m, const struct dialect *d, size_t *all)
{
	char name[ST_NAME_MAX + 32];
	struct batch b = { 0 };
	size_t i;
	long w;

	for (i = 0; i < m->c->n; i++) {
		if (!m->unexpected[i] || !mark_in(tensor(m, i)->name, d))
			continue;
		w = translate(name, sizeof name, tensor(m, i)->name, d) ? misfits_want(m, name)
									: -1;
		if (w >= 0 && !m->missing[w])
			continue; /* the right name is there besides: then this one is too many */
		if (w >= 0)
			misfits_absent(m, (size_t)w);
		misfits_claim(m, &b, i);
	}
	*all += b.n;
	if (!b.n)
		return 0;
	return finding_add(m->f, RULE_MODEL_DIALECT, b.file,
		"%zu tensors, first %s, are named as %s have them: %s stands for %s", b.n,
		text_quote(b.first).s, d->whose, d->mark,
		d->here ? d->here : "nothing that the model has");
}

/* Where most tensors have other names, that the right ones are not there is no news. */
static int dialect(struct misfits *m)
{
	size_t all = 0, i;

	for (i = 0; i < sizeof dialects / sizeof *dialects; i++)
		if (one_dialect(m, &dialects[i], &all))
			return -1;
	for (i = 0; all > m->c->n / 2 && i < m->inv->n; i++)
		misfits_absent(m, i);
	return 0;
}

/* --- whole blocks that are not there --- */

struct block {
	size_t wants, missing; /* tensors that must be there; of these, how many are not */
};

static int put_layers(struct misfits *m, const struct block *v, uint64_t from, uint64_t to)
{
	size_t n = 0;
	uint64_t i;

	for (i = from; i < to; i++)
		n += v[i].missing;
	if (to - from == 1)
		return finding_add(m->f, RULE_MODEL_MISSING, "config.json",
			"config.json: layer %llu is not there: all %zu tensors of layers.%llu are missing",
			(unsigned long long)from, n, (unsigned long long)from);
	return finding_add(m->f, RULE_MODEL_MISSING, "config.json",
		"config.json: layers %llu to %llu are not there: all %zu tensors of them are missing",
		(unsigned long long)from, (unsigned long long)to - 1, n);
}

static int put_stages(struct misfits *m, const struct block *v, uint64_t stages)
{
	size_t n = 0, gone = 0;
	uint64_t i;

	for (i = 0; i < stages; i++) {
		gone += v[i].wants == v[i].missing;
		n += v[i].wants == v[i].missing ? v[i].missing : 0;
	}
	if (!gone)
		return 0;
	return finding_add(m->f, RULE_MODEL_DRAFT_MISSING, "config.json",
		"config.json counts %llu stage%s of a draft, %zu of them %s not there (%zu tensors under mtp.): "
		"the draft was left out",
		(unsigned long long)stages, stages > 1 ? "s" : "", gone, gone > 1 ? "are" : "is",
		n);
}

static int blocks(struct misfits *m)
{
	uint64_t L = m->c->config.L, stages = m->c->config.stages, i, from;
	struct block *v = calloc((size_t)(L + stages) + 1, sizeof *v), *b;
	const struct want *w;
	size_t k;
	int rc = v ? 0 : -1;

	for (k = 0; v && k < m->inv->n; k++) {
		w = &m->inv->wants[k];
		if (w->optional || (w->layer < 0 && w->stage < 0))
			continue;
		b = &v[w->layer >= 0 ? (uint64_t)w->layer : L + (uint64_t)w->stage];
		b->wants++;
		b->missing += m->missing[k];
	}
	for (i = 0; !rc && i < L; i++) {
		for (from = i; i < L && v[i].wants == v[i].missing; i++)
			;
		rc = i > from ? put_layers(m, v, from, i) : 0;
	}
	rc = rc ? rc : put_stages(m, v + L, stages);
	for (k = 0; !rc && k < m->inv->n; k++) {
		w = &m->inv->wants[k];
		if (w->layer < 0 && w->stage < 0)
			continue;
		b = &v[w->layer >= 0 ? (uint64_t)w->layer : L + (uint64_t)w->stage];
		if (b->wants == b->missing)
			misfits_absent(m, k);
	}
	free(v);
	return rc;
}

/* --- tables of Engram in another layout --- */

/* Claims the records of tables, and the codes and scales that they are instead of. */
static int records(struct misfits *m)
{
	struct engram_share h;
	struct batch b = { 0 };
	char name[ENGRAM_NAME + 8];
	bool rounded = false;
	const char *word;
	uint64_t layer;
	size_t i;
	int k;
	long w;

	for (i = 0; i < m->c->n; i++) {
		word = m->unexpected[i] ? engram_record_of(&h, tensor(m, i)->name) : NULL;
		if (!word)
			continue;
		rounded = rounded || strcmp(word, "record") != 0;
		misfits_claim(m, &b, i);
		layer = engram_layer(tensor(m, i)->name);
		for (k = 0; k < 2; k++) {
			snprintf(name, sizeof name, "layers.%llu.engram.embed.%s",
				(unsigned long long)layer, k ? "scale" : "weight");
			w = misfits_want(m, name);
			if (w >= 0 && m->missing[w])
				misfits_absent(m, (size_t)w);
		}
	}
	if (!b.n)
		return 0;
	return finding_add(m->f, RULE_MODEL_RECORDS, b.file,
		"%zu tensors, first %s, are tables of Engram as records of codes and scales, which stand for embed.weight and embed.scale%s",
		b.n, text_quote(b.first).s, rounded ? ", rounded to 4 bits" : "");
}

/* --- what sees images is not there --- */

static bool sees(const struct want *w)
{
	return w->role->where & (IN_VISION | IN_BLOCK_VL);
}

static int blind(struct misfits *m)
{
	size_t i, wants = 0, missing = 0;

	for (i = 0; i < m->inv->n; i++) {
		wants += sees(&m->inv->wants[i]);
		missing += m->missing[i] && sees(&m->inv->wants[i]);
	}
	if (!wants || missing < wants)
		return 0;
	for (i = 0; i < m->inv->n; i++)
		if (sees(&m->inv->wants[i]))
			misfits_absent(m, i);
	return finding_add(m->f, RULE_MODEL_MISSING, "config.json",
		"config.json describes what sees images (vision_n_layers is %llu), and all %zu tensors of it are missing: these are weights of text alone, under the config.json of another member of the family",
		(unsigned long long)m->c->config.VL, missing);
}

/* --- a quantized weight, written in another way --- */

/* Tensor i if it is an unfit weight of a quantized role, with the shape of its matrix; else NULL. */
static const struct tensor *weight(const struct misfits *m, size_t i, uint64_t dim[2])
{
	const struct want *w = m->other[i] ? m->want[i] : NULL;
	enum codec c = w ? role_codec(w->role, m->forms) : CODEC_NONE;

	if (c == CODEC_NONE || w->scale || tensor(m, i)->rank != 2)
		return NULL;
	dim[0] = w->dim[0];
	dim[1] = codec_cols(c, w->dim[1]);
	return tensor(m, i);
}

static bool is_expert(const struct misfits *m, size_t i)
{
	return m->want[i]->role->store == STORE_EXPERT;
}

/* Claims weight i and whatever is wrong with its scale; returns whether the scale is missing. */
static bool claim_pair(struct misfits *m, struct batch *b, size_t i)
{
	char name[ST_NAME_MAX + 8];
	const char *full = tensor(m, i)->name;
	const struct tensor *scale;
	struct batch none = { 0 };
	bool gone;
	long w;

	snprintf(name, sizeof name, "%.*s.scale", (int)(strlen(full) - strlen(".weight")), full);
	w = misfits_want(m, name);
	gone = w >= 0 && m->missing[w];
	scale = ckpt_find(m->c, name);
	misfits_claim(m, b, i);
	if (gone)
		misfits_absent(m, (size_t)w);
	if (scale && m->other[scale - m->c->tensors])
		misfits_claim(m, &none, (size_t)(scale - m->c->tensors));
	return gone;
}

static bool is_packed_type(enum dtype d)
{
	return d == DT_I8 || d == DT_U8 || d == DT_F4;
}

/* Half the columns and no type of packed codes: somebody took the bytes, two codes each, for elements. */
static int packed(struct misfits *m)
{
	struct batch b = { 0 };
	const struct tensor *t;
	const char *type = "";
	uint64_t dim[2];
	size_t i;

	for (i = 0; i < m->c->n; i++) {
		t = weight(m, i, dim);
		if (!t || !is_expert(m, i) || is_packed_type(t->dtype) || t->dim[0] != dim[0] ||
			t->dim[1] * 2 != dim[1])
			continue;
		type = b.n ? type : dtypes[t->dtype].name;
		claim_pair(m, &b, i);
	}
	if (!b.n)
		return 0;
	return finding_add(m->f, RULE_MODEL_PACKED, b.file,
		"%zu expert matrices, first %s, are %s with half the columns: packed FP4 taken for %s",
		b.n, text_quote(b.first).s, type, type);
}

/* Does an expert matrix have the form of codec c? */
static bool has_form(const struct tensor *t, const uint64_t dim[2], enum codec c)
{
	return t->dtype == codecs[c].code && t->dim[0] == dim[0] &&
		t->dim[1] == codec_dim1(c, dim[1]);
}

/* All blocks have their experts in one form. */
static int mixed(struct misfits *m)
{
	static const enum codec forms[] = { CODEC_MXFP4, CODEC_FP8 };
	struct batch b = { 0 };
	enum codec of = CODEC_NONE;
	uint64_t dim[2];
	size_t i, k;

	for (i = 0; i < m->c->n; i++) {
		const struct tensor *t = weight(m, i, dim);

		for (k = 0; t && is_expert(m, i) && m->other[i] && k < 2; k++)
			if (has_form(t, dim, forms[k])) {
				of = b.n ? of : forms[k];
				claim_pair(m, &b, i);
			}
	}
	if (!b.n)
		return 0;
	return finding_add(m->f, RULE_MODEL_MIXED, b.file,
		"expert matrices are of two forms: %zu, first %s, are %s, the others are %s", b.n,
		text_quote(b.first).s, codecs[of].name, codecs[m->forms.experts].name);
}

static bool is_float(enum dtype d)
{
	return d == DT_BF16 || d == DT_F16 || d == DT_F32;
}

/* Quantized weights as plain numbers: dequantized, or edited and saved so. */
static int dequantized(struct misfits *m)
{
	struct batch b = { 0 };
	const struct tensor *t;
	const char *type = "";
	char said[128] = "";
	size_t i, bare = 0;
	uint64_t dim[2];

	for (i = 0; i < m->c->n; i++) {
		t = weight(m, i, dim);
		if (!t || !is_float(t->dtype) || t->dim[0] != dim[0] || t->dim[1] != dim[1])
			continue;
		if (!b.n) {
			type = dtypes[t->dtype].name;
			misfits_describe(said, sizeof said, m->want[i]->dtype, m->want[i]->dim, 2);
		}
		bare += claim_pair(m, &b, i);
	}
	if (!b.n)
		return 0;
	return finding_add(m->f, RULE_MODEL_DEQUANTIZED, b.file,
		"%zu weights that the model has quantized are %s, %zu of them without a scale: they were "
		"dequantized, or edited and saved so (first %s, expected %s)",
		b.n, type, bare, text_quote(b.first).s, said);
}

/* Experts as one-byte integers, a column each. */
static int int8(struct misfits *m)
{
	struct batch b = { 0 };
	const struct tensor *t;
	const char *type = "";
	uint64_t dim[2];
	size_t i;

	for (i = 0; i < m->c->n; i++) {
		t = weight(m, i, dim);
		if (!t || (t->dtype != DT_I8 && t->dtype != DT_U8) || t->dim[0] != dim[0] ||
			t->dim[1] != dim[1])
			continue;
		type = b.n ? type : dtypes[t->dtype].name;
		claim_pair(m, &b, i);
	}
	if (!b.n)
		return 0;
	return finding_add(m->f, RULE_MODEL_NUMBER_FORMAT, b.file,
		"%zu weights, first %s, are %s with a byte for each column: integers, which is no number "
		"format of DeepSeek-V4 (packed FP4 has half the columns, FP8 is F8_E4M3)",
		b.n, text_quote(b.first).s, type);
}

int causes_find(struct misfits *m)
{
	static int (*const causes[])(struct misfits *) = { records, family_causes_find, drafter,
		dialect, blocks, blind, family_causes_sight, packed, mixed, dequantized, int8 };
	size_t i;

	for (i = 0; i < sizeof causes / sizeof *causes; i++)
		if (causes[i](m))
			return -1;
	return 0;
}
