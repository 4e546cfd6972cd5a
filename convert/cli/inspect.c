/* SPDX-License-Identifier: MIT */
#include "convert/cli/inspect.h"

#include "formats/model/family.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 50 };

struct sum {
	uint64_t n, bytes;
};

struct sums {
	struct sum role[FAMILY_ROLES_MAX][2]; /* [role][is scale] */
	enum dtype role_type[FAMILY_ROLES_MAX][2];
	struct sum dtype[DT_COUNT];
	struct sum unexpected;
	uint64_t *shard; /* owns; payload bytes by shard */
};

static void add(struct sum *s, uint64_t bytes)
{
	s->n++;
	s->bytes += bytes;
}

static bool sum_up(struct sums *s, const struct ckpt *c, const struct audit *a)
{
	const struct tensor *t;
	const struct want *w;
	uint64_t bytes;
	size_t i;

	memset(s, 0, sizeof *s);
	s->shard = calloc(c->n_shards + 1, sizeof *s->shard);
	if (!s->shard)
		return false;
	for (i = 0; i < c->n; i++) {
		t = &c->tensors[i];
		w = a->want ? a->want[i] : NULL;
		bytes = t->end - t->begin;
		add(&s->dtype[t->dtype], bytes);
		s->shard[t->shard] += bytes;
		if (!w) {
			add(&s->unexpected, bytes);
			continue;
		}
		add(&s->role[w->nth][w->scale], bytes);
		s->role_type[w->nth][w->scale] = t->dtype;
	}
	return true;
}

/* "attn.wq_a.weight", or "attn.wq_a.scale" for its scale. */
static void role_name(char *out, size_t room, const struct role *role, bool scale)
{
	size_t n = strlen(role->name);

	memset(out, 0, room);
	if (n >= room)
		n = room - 1;
	memcpy(out, role->name, n);
	if (scale)
		memcpy(out + n - strlen("weight"), "scale", strlen("scale") + 1);
}

static void put_model(struct text *out, const struct ckpt *c, const struct audit *a)
{
	const struct config *m = &c->config;

	if (!m->family)
		return;
	text_fmt(out,
		"model: %s, %llu layers (%llu route by token id), %llu %s, hidden size %llu, "
		"%llu heads of %llu in %llu groups, %llu experts of %llu (%s, %llu per token) and %llu "
		"shared, vocabulary %llu\n",
		m->family->name, (unsigned long long)m->L, (unsigned long long)m->n_hash,
		(unsigned long long)m->stages, m->spark ? "DSpark stages" : "MTP blocks",
		(unsigned long long)m->D, (unsigned long long)m->H, (unsigned long long)m->hd,
		(unsigned long long)m->G, (unsigned long long)m->E, (unsigned long long)m->I,
		a->want ? codec_expert(a->experts) : "form unknown", (unsigned long long)m->K,
		(unsigned long long)m->S, (unsigned long long)m->V);
	if (a->want && a->forms.dense == CODEC_FP8_F32)
		text_str(out, "block scales are FP32, as in the -Base checkpoints\n");
}

static void put_line(struct text *out, const char *name, const struct sum *s, const char *type)
{
	text_fmt(out, "  %-40s %9s %19s%s%s\n", name, text_thousands(s->n).s,
		text_thousands(s->bytes).s, *type ? "  " : "", type);
}

static void put_roles(struct text *out, const struct sums *s, const struct family *of)
{
	char name[64];
	unsigned r, scale;

	text_fmt(out, "\n  %-40s %9s %19s  %s\n", "role (# = expert id)", "tensors", "bytes",
		"type");
	for (r = 0; of && r < of->n_roles; r++) {
		for (scale = 0; scale < 2; scale++) {
			if (!s->role[r][scale].n)
				continue;
			role_name(name, sizeof name, &of->roles[r], scale);
			put_line(out, name, &s->role[r][scale],
				dtypes[s->role_type[r][scale]].name);
		}
	}
	if (s->unexpected.n)
		put_line(out, "(no role)", &s->unexpected, "");
}

static void put_types(struct text *out, const struct sums *s)
{
	int d;

	text_fmt(out, "\n  %-40s %9s %19s\n", "type", "tensors", "bytes");
	for (d = DT_COUNT; d-- > 0;)
		if (s->dtype[d].n)
			put_line(out, dtypes[d].name, &s->dtype[d], "");
}

static void put_shards(struct text *out, const struct ckpt *c, const struct sums *s)
{
	size_t i;

	text_fmt(out, "\n  %-40s %9s %19s %19s\n", "shard", "tensors", "payload bytes",
		"file bytes");
	for (i = 0; i < c->n_shards; i++) {
		if (c->shards[i].fd < 0)
			text_fmt(out, "  %-40s %9s\n", c->shards[i].name, "not read");
		else
			text_fmt(out, "  %-40s %9s %19s %19s\n", c->shards[i].name,
				text_thousands(c->shards[i].n).s, text_thousands(s->shard[i]).s,
				text_thousands((uint64_t)c->shards[i].st.st_size).s);
	}
}

void inspect_put_findings(struct text *out, const struct findings *f, const char *none)
{
	const struct finding *v;
	size_t i;

	if (!f->total) {
		text_str(out, none);
		return;
	}
	text_fmt(out, "\n%s finding%s%s:\n", text_thousands(f->total).s, f->total > 1 ? "s" : "",
		f->n > SHOWN ? ", the first 50 (--json lists all)" : "");
	for (i = 0; i < f->n && i < SHOWN; i++) {
		v = &f->v[i];
		text_fmt(out, "  %s%s: %s\n", v->kind == ERR_NONE ? "warning: " : "",
			v->rule ? v->rule : "system", v->text);
	}
}

void inspect_put_text(struct text *out, const struct folder *f, const struct audit *a)
{
	const struct ckpt *c = &f->ckpt;
	struct sums s;

	if (!sum_up(&s, c, a)) {
		out->failed = true;
		return;
	}
	text_fmt(out, "%s: %s\n", text_quote(f->path).s, kind_rows[f->kind].text);
	put_model(out, c, a);
	text_fmt(out, "%s tensors in %s shards, %s bytes of payload (%s)\n", text_thousands(c->n).s,
		text_thousands(c->n_shards).s, text_thousands(c->bytes).s, text_bytes(c->bytes).s);
	if (a->want)
		put_roles(out, &s, c->config.family);
	put_types(out, &s);
	put_shards(out, c, &s);
	inspect_put_findings(out, &f->found,
		"\nno findings: the headers are sound and hold the model that config.json describes\n");
	free(s.shard);
}

/* --- JSON --- */

static void put_sum(struct jwrite *o, const char *key, const char *name, const struct sum *s,
	const char *type)
{
	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", s->bytes);
	if (type)
		jwrite_str(o, "dtype", type);
	jwrite_str(o, key, name);
	jwrite_u64(o, "tensors", s->n);
	jwrite_close(o, '}');
}

static void put_json_model(struct jwrite *o, const struct config *m, const struct audit *a)
{
	jwrite_open(o, "model", '{');
	jwrite_str(o, "drafter", m->spark ? "dspark" : m->stages ? "mtp" : "none");
	jwrite_u64(o, "experts", m->E);
	jwrite_str(o, "experts_form", a->want ? codec_expert(a->experts) : "unsaid");
	jwrite_u64(o, "hash_layers", m->n_hash);
	jwrite_u64(o, "hidden_size", m->D);
	jwrite_u64(o, "layers", m->L);
	jwrite_str(o, "model_type", m->family->name);
	jwrite_str(o, "scale_dtype",
		dtypes[a->want ? codecs[a->forms.dense].scale : DT_F8_E8M0].name);
	jwrite_u64(o, "stages", m->stages);
	jwrite_close(o, '}');
}

void inspect_put_json_findings(struct jwrite *o, const struct findings *f)
{
	const struct finding *v;
	size_t i;

	jwrite_open(o, "findings", '[');
	for (i = 0; i < f->n; i++) {
		v = &f->v[i];
		jwrite_open(o, NULL, '{');
		if (v->pos != ERR_NOPOS)
			jwrite_u64(o, "byte", v->pos);
		if (v->file)
			jwrite_str(o, "file", text_quote(v->file).s);
		jwrite_str(o, "rule", v->rule ? v->rule : "system");
		jwrite_str(o, "text", v->text);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
	jwrite_u64(o, "findings_total", f->total);
}

void inspect_put_json(struct text *out, const struct folder *f, const struct audit *a)
{
	const struct ckpt *c = &f->ckpt;
	const struct family *of = c->config.family;
	struct jwrite o;
	struct sums s;
	struct sum shard;
	char name[64];
	unsigned r, scale;
	size_t i;
	int d;

	if (!sum_up(&s, c, a)) {
		out->failed = true;
		return;
	}
	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "bytes", c->bytes);
	jwrite_open(&o, "dtypes", '[');
	for (d = 0; d < DT_COUNT; d++)
		if (s.dtype[d].n)
			put_sum(&o, "name", dtypes[d].name, &s.dtype[d], NULL);
	jwrite_close(&o, ']');
	inspect_put_json_findings(&o, &f->found);
	jwrite_str(&o, "format", FORMAT_INSPECT_JSON);
	jwrite_str(&o, "kind", kind_rows[f->kind].id);
	if (c->config.family)
		put_json_model(&o, &c->config, a);
	jwrite_open(&o, "roles", '[');
	for (r = 0; of && r < of->n_roles; r++) {
		for (scale = 0; scale < 2; scale++) {
			role_name(name, sizeof name, &of->roles[r], scale);
			if (s.role[r][scale].n)
				put_sum(&o, "name", name, &s.role[r][scale],
					dtypes[s.role_type[r][scale]].name);
		}
	}
	jwrite_close(&o, ']');
	jwrite_open(&o, "shards", '[');
	for (i = 0; i < c->n_shards; i++) {
		shard = (struct sum){ c->shards[i].n, s.shard[i] };
		put_sum(&o, "name", c->shards[i].name, &shard, NULL);
	}
	jwrite_close(&o, ']');
	jwrite_u64(&o, "tensors", c->n);
	jwrite_close(&o, '}');
	free(s.shard);
}

int inspect_verdict(const struct findings *f, struct err *e)
{
	enum err_kind kind = ERR_UNSUPPORTED;
	uint64_t n = f->total - f->warnings;
	size_t i;

	if (!n)
		return 0;
	for (i = 0; i < f->n; i++)
		if (f->v[i].kind != ERR_UNSUPPORTED && f->v[i].kind != ERR_NONE)
			kind = ERR_DATA;
	return err_set(e, kind, "%llu finding%s", (unsigned long long)n, n > 1 ? "s" : "");
}
