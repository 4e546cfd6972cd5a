/* SPDX-License-Identifier: MIT */
#include "formats/model/member.h"

#include "core/text.h"
#include "formats/model/family.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const member_names[MEMBERS] = { [MEMBER_MTP] = "V4 with MTP blocks",
	[MEMBER_SPARK] = "V4 with a DSpark drafter (0731, -DSpark)",
	[MEMBER_VISION] = "V4 that sees images (Vision-Exp)",
	[MEMBER_V41] = "V4.1" };

enum {
	MTP = 1 << MEMBER_MTP,
	SPARK = 1 << MEMBER_SPARK,
	VISION = 1 << MEMBER_VISION,
	V41 = 1 << MEMBER_V41,
	V4 = MTP | SPARK | VISION,
	ANY = V4 | V41
};

/* Parts of names, and the members that have tensors called so. */
static const struct mark {
	const char *text;
	enum { AT_START, INSIDE, AT_END } place;
	unsigned of;
} marks[] = {
	{ ".engram.", INSIDE, V41 },
	{ ".attn.indexer.wk.", INSIDE, V41 },
	{ ".attn.indexer.k_norm.", INSIDE, V41 },
	{ ".markov_head.embed.", INSIDE, V41 },
	{ ".markov_head.head.", INSIDE, V41 },
	{ "vision.", AT_START, VISION | V41 },
	{ "aligner.", AT_START, VISION | V41 },
	{ "image_pad", AT_START, VISION },
	{ "image_", AT_START, VISION | V41 },
	{ ".ffn.gate.bias_vl", AT_END, VISION | V41 },
	{ ".ffn.gate.tid2eid", AT_END, V4 },
	{ "hc_head_", INSIDE, V4 },
	{ ".compressor.ape", AT_END, V4 },
	{ ".attn.indexer.compressor.", INSIDE, V4 },
	{ ".markov_head.markov_w", INSIDE, SPARK | VISION },
	{ ".main_proj.", INSIDE, SPARK | VISION | V41 },
	{ ".main_norm.", INSIDE, SPARK | VISION | V41 },
	{ ".confidence_head.", INSIDE, SPARK | VISION | V41 },
	{ ".e_proj.", INSIDE, MTP },
	{ ".h_proj.", INSIDE, MTP },
	{ ".enorm.", INSIDE, MTP },
	{ ".hnorm.", INSIDE, MTP },
};

static bool has_mark(const char *name, const struct mark *m)
{
	return m->place == AT_START  ? !strncmp(name, m->text, strlen(m->text))
		: m->place == AT_END ? text_ends(name, m->text)
				     : strstr(name, m->text) != NULL;
}

static unsigned of_config(const struct config_doc *d)
{
	json_t *flat = config_flat(d);
	const struct family *f = family_of(d);
	unsigned is = MTP;

	if (f->flatten)
		is = V41;
	else if (config_says(flat, "vision_n_layers"))
		is = VISION;
	else if (config_says(flat, "dspark_block_size"))
		is = SPARK;
	json_decref(flat);
	return flat ? is : 0;
}

/* --- shards --- */

struct seen {
	unsigned is;       /* members that the shard can be of */
	bool blind;        /* a layer's router is in it, and its bias of image tokens nowhere */
	unsigned forms[2]; /* dense scales in the blocks of V4, of V4.1 */
	const char *by;    /* the last tensor that took a member away */
};

/* Counts a dense scale by its blocks, where they can be told apart. */
static void see_blocks(struct seen *s, const struct ckpt *c, const struct tensor *t)
{
	static const enum codec dense[2] = { CODEC_FP8, CODEC_FP8_32 };
	const char *end = strrchr(t->name, '.');
	char weight[ST_NAME_MAX + 8];
	const struct tensor *w;
	uint64_t dim[2][2];
	int k;

	if (!end || strcmp(end, ".scale") != 0 || t->dtype != DT_F8_E8M0 || t->rank != 2 ||
		end - t->name > ST_NAME_MAX)
		return;
	snprintf(weight, sizeof weight, "%.*s.weight", (int)(end - t->name), t->name);
	w = ckpt_find(c, weight);
	if (!w || w->dtype != DT_F8_E4M3 || w->rank != 2)
		return;
	for (k = 0; k < 2; k++)
		codec_scale_dim(dense[k], w->dim[0], w->dim[1], dim[k]);
	if (!memcmp(dim[0], dim[1], sizeof dim[0]))
		return;
	for (k = 0; k < 2; k++)
		s->forms[k] += !memcmp(t->dim, dim[k], sizeof dim[k]);
}

/* Whether the tensor is a layer's router without a bias of image tokens. */
static bool is_blind(const struct ckpt *c, const char *name)
{
	static const char end[] = ".ffn.gate.weight";
	char bias[ST_NAME_MAX + 8];

	if (strncmp(name, "layers.", 7) != 0 || !text_ends(name, end))
		return false;
	snprintf(bias, sizeof bias, "%.*sbias_vl", (int)(strlen(name) - strlen("weight")), name);
	return !ckpt_find(c, bias);
}

static void see(struct seen *s, const char *name)
{
	size_t m;

	for (m = 0; m < sizeof marks / sizeof *marks; m++)
		if (has_mark(name, &marks[m])) {
			if (s->is & ~marks[m].of)
				s->by = name;
			s->is &= marks[m].of;
			return;
		}
}

/* What most shards can be of; config decides between equals. */
static enum member most_of(const struct seen *s, size_t n, unsigned config)
{
	size_t votes[MEMBERS] = { 0 }, i;
	enum member best = MEMBER_MTP, m;

	for (m = MEMBER_MTP; m < MEMBERS; m++) {
		for (i = 0; i < n; i++)
			votes[m] += s[i].is >> m & 1;
		if (votes[m] > votes[best] || (votes[m] == votes[best] && config >> m & 1))
			best = m;
	}
	return best;
}

static void sum_up(struct member_view *v, const struct seen *s, size_t n)
{
	size_t i;

	v->tensors = ANY;
	for (i = 0; i < n; i++) {
		v->tensors &= s[i].is;
		v->torn = v->torn || !s[i].is;
		v->blind = v->blind || s[i].blind;
	}
	v->most = most_of(s, n, v->config);
	for (i = 0; !v->tensors && i < n; i++)
		if (!(s[i].is >> v->most & 1)) {
			v->odd = (uint32_t)i;
			v->odd_is = s[i].is;
			v->odd_tensor = s[i].by;
			return;
		}
}

enum { BLOCKS_AMONG = 4 }; /* scales in blocks of another size: one or two may be damage */

int member_look(struct member_view *v, const struct ckpt *c)
{
	struct seen *s = calloc(c->n_shards + 1, sizeof *s);
	size_t i;

	memset(v, 0, sizeof *v);
	v->config = of_config(&c->doc);
	if (!s || !v->config) {
		free(s);
		return -1;
	}
	for (i = 0; i < c->n_shards; i++)
		s[i].is = ANY;
	for (i = 0; i < c->n; i++) {
		see(&s[c->tensors[i].shard], c->tensors[i].name);
		v->sighted = v->sighted || text_ends(c->tensors[i].name, ".ffn.gate.bias_vl");
		s[c->tensors[i].shard].blind =
			s[c->tensors[i].shard].blind || is_blind(c, c->tensors[i].name);
		see_blocks(&s[c->tensors[i].shard], c, &c->tensors[i]);
	}
	for (i = 0; i < c->n_shards; i++) {
		if (s[i].forms[0] >= BLOCKS_AMONG && !s[i].forms[1])
			s[i].is &= V4;
		if (s[i].forms[1] >= BLOCKS_AMONG && !s[i].forms[0])
			s[i].is &= V41;
		/* beside a config.json that sees images, a bias that is not there is missing */
		if (v->sighted && s[i].blind && !(v->config & (VISION | V41)))
			s[i].is &= MTP | SPARK;
	}
	sum_up(v, s, c->n_shards);
	free(s);
	return 0;
}

bool member_mixed(const struct member_view *v)
{
	return !v->tensors || (!(v->tensors & v->config) && (v->tensors & V41 || v->config & V41));
}

/* The member, what several have in common, or the first that it can be. */
static const char *name_of(unsigned is)
{
	enum member m = MEMBER_MTP;

	if (is & MTP && is != MTP)
		return is & V41 ? "V4 or V4.1" : "V4";
	while (m + 1 < MEMBERS && !(is >> m & 1))
		m++;
	return member_names[m];
}

void member_put(struct text *out, const struct member_view *v, const struct ckpt *c)
{
	bool same = v->config >> v->most & 1;

	if (v->tensors) {
		text_fmt(out, "config.json is that of %s, the tensors are those of %s",
			name_of(v->config), name_of(v->tensors));
		return;
	}
	text_fmt(out, "%s has tensors of ", text_quote(c->shards[v->odd].name).s);
	text_fmt(out, "%s", v->odd_is ? name_of(v->odd_is) : "two members of the family");
	if (v->odd_tensor)
		text_fmt(out, " (%s)", text_quote(v->odd_tensor).s);
	text_fmt(out, ", %s those of %s", same ? "config.json and other shards" : "other shards",
		member_names[v->most]);
	if (!same)
		text_fmt(out, ", config.json is that of %s", name_of(v->config));
}
