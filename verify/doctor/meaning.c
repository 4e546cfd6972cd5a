/* SPDX-License-Identifier: MIT */
#include "verify/doctor/meaning.h"

#include "core/file.h"
#include "core/text.h"
#include "formats/model/family.h"
#include "formats/st/shardmap.h"

#include <stdio.h>
#include <string.h>

/* --- files --- */

/* Engines load a draft by itself, and read every shard that has a tensor of it. */
static void draft(const struct meaning *m)
{
	bool layer[SHARDS_MAX] = { false };
	const char *file = NULL;
	size_t i, n = 0;

	if (m->c->n_shards < 2 || m->c->n_shards > SHARDS_MAX)
		return;
	for (i = 0; i < m->c->n; i++)
		if (!strncmp(m->c->tensors[i].name, "layers.", 7))
			layer[m->c->tensors[i].shard] = true;
	for (i = 0; i < m->c->n; i++)
		if (!strncmp(m->c->tensors[i].name, "mtp.", 4) && layer[m->c->tensors[i].shard] &&
			!n++)
			file = m->c->shards[m->c->tensors[i].shard].name;
	if (n)
		report_add(m->r, RULE_INDEX_DRAFT_MIXED, &(struct report_place){ .file = file },
			"%zu tensors under mtp. lie in shards with layers: loading the draft reads those again",
			n);
}

enum { POINTER_MAX = 1024 };
static const char pointer_start[] = "version https://git-lfs";

/* What stands where a shard could not be read: a pointer, an error page, nothing but zeros. */
static void instead(const struct meaning *m)
{
	unsigned char b[64];
	struct err e = { 0 };
	struct stat st;
	char actual[CKPT_PATH];
	size_t i, n, k;
	bool there;
	int fd;

	for (i = 0; i < m->c->n_shards; i++) {
		const struct shard *s = &m->c->shards[i];
		const struct report_place at = { .file = s->name };

		if (s->fd >= 0 || m->c->headers)
			continue;
		memset(&e, 0, sizeof e);
		if (ckpt_file(m->c, s->name, actual, &st, &there, &e) || !there || st.st_size < 1 ||
			file_open(m->c->io, m->c->dir, actual, &fd, &st, &e))
			continue;
		n = st.st_size < (off_t)sizeof b ? (size_t)st.st_size : sizeof b;
		if (!file_read(m->c->io, fd, b, n, 0, &e)) {
			for (k = 0; k < n && !b[k]; k++)
				;
			if (st.st_size <= POINTER_MAX && n >= sizeof pointer_start &&
				!memcmp(b, pointer_start, sizeof pointer_start - 1))
				report_add(m->r, RULE_FILE_POINTER, &at,
					"%s is a Git-LFS pointer, not the shard",
					text_quote(s->name).s);
			else if (k == n && n >= 8)
				report_add(m->r, RULE_FILE_ZEROS, &at,
					"%s begins with zeros: there is no header",
					text_quote(s->name).s);
			else if (b[0] == '<')
				report_add(m->r, RULE_FILE_PAGE, &at,
					"%s begins as a web page does", text_quote(s->name).s);
		}
		(void)m->c->io->close(m->c->io, fd);
	}
}

/* --- config.json --- */

/* A module of transformers' names as it is called here, "*" and "re:" at the ends taken off. */
static void module_name(const char *said, char *out, size_t room)
{
	static const char *const word[][2] = { { "self_attn", "attn" }, { "mlp", "ffn" },
		{ "lm_head", "head" }, { "o_a_proj", "wo_a" }, { "o_b_proj", "wo_b" },
		{ "q_a_proj", "wq_a" }, { "q_b_proj", "wq_b" }, { "kv_proj", "wkv" } };
	size_t n = 0, i, len;

	said += !strncmp(said, "re:", 3) ? 3 : 0;
	while (*said == '*' || *said == '.' || *said == '^')
		said++;
	said += !strncmp(said, "model.", 6) ? 6 : 0;
	while (*said && n + 1 < room) {
		for (i = 0; i < sizeof word / sizeof *word; i++) {
			len = strlen(word[i][0]);
			if (!strncmp(said, word[i][0], len))
				break;
		}
		if (i < sizeof word / sizeof *word && n + strlen(word[i][1]) + 1 < room) {
			memcpy(out + n, word[i][1], strlen(word[i][1]));
			n += strlen(word[i][1]);
			said += strlen(word[i][0]);
		} else {
			out[n++] = *said++;
		}
	}
	while (n && strchr("*.$", out[n - 1]))
		n--;
	out[n] = 0;
}

/* The first weight with a scale that the name is about. */
static const struct tensor *quantized(const struct ckpt *c, const char *module)
{
	char scale[ST_NAME_MAX + 8];
	size_t i, len;

	for (i = 0; i < c->n; i++) {
		const char *name = c->tensors[i].name;

		len = strlen(name);
		if (!text_ends(name, ".weight") || len > ST_NAME_MAX || !strstr(name, module))
			continue;
		snprintf(scale, sizeof scale, "%.*s.scale", (int)(len - 7), name);
		if (ckpt_find(c, scale))
			return &c->tensors[i];
	}
	return NULL;
}

static void excluded(const struct meaning *m)
{
	static const char *const keys[] = { "ignore", "ignored_layers", "modules_to_not_convert",
		"exclude_modules" };
	const json_t *q = json_object_get(m->o, "quantization_config"), *a;
	const struct report_place at = { .file = "config.json" };
	const struct tensor *t;
	char module[256];
	size_t k, i;

	for (k = 0; k < sizeof keys / sizeof *keys; k++) {
		a = json_object_get(q, keys[k]);
		for (i = 0; i < json_array_size(a) && i < 64; i++) {
			const char *said = json_string_value(json_array_get(a, i));

			if (!said)
				continue;
			module_name(said, module, sizeof module);
			t = module[0] ? quantized(m->c, module) : NULL;
			if (t)
				report_add(m->r, RULE_CONFIG_QUANT_EXCLUDED, &at,
					"config.json: \"%s\" leaves out \"%s\", but %s is %s with a scale",
					keys[k], text_quote(said).s, text_quote(t->name).s,
					dtypes[t->dtype].name);
		}
	}
}

static void quant_fields(const struct meaning *m)
{
	static const char *const field[][2] = { { "fmt", "e4m3" }, { "scale_fmt", "ue8m0" } };
	const json_t *q = json_object_get(m->o, "quantization_config");
	const struct report_place at = { .file = "config.json" };
	const char *said;
	size_t i;

	for (i = 0; i < 2; i++) {
		said = json_string_value(json_object_get(q, field[i][0]));
		if (said && strcmp(said, field[i][1]) != 0)
			report_add(m->r, RULE_CONFIG_QUANT, &at,
				"config.json: quantization_config says %s \"%s\", expected \"%s\"",
				field[i][0], text_quote(said).s, field[i][1]);
	}
}

static void tied(const struct meaning *m)
{
	const struct report_place at = { .file = "config.json" };

	if ((json_is_true(json_object_get(m->o, "tie_word_embeddings")) ||
		    json_is_true(json_object_get(json_object_get(m->o, "text_config"),
			    "tie_word_embeddings"))) &&
		ckpt_find(m->c, "head.weight") && ckpt_find(m->c, "embed.weight"))
		report_add(m->r, RULE_CONFIG_TIED, &at,
			"config.json: \"tie_word_embeddings\" is true, but head.weight is a tensor of its own: engines that believe it drop the head");
}

/* Engines that choose their code by "architectures" take the model for one of another family. */
static void architectures(const struct meaning *m)
{
	const struct report_place at = { .file = "config.json" };
	const json_t *list = json_object_get(m->o, "architectures"), *x;
	const struct family *is = m->o ? family_of(&m->c->doc) : NULL, *const * f;
	size_t i;

	json_array_foreach(list, i, x)
	{
		for (f = families; *f; f++)
			if (*f != is && json_is_string(x) &&
				!strcmp(json_string_value(x), (*f)->architecture))
				report_add(m->r, RULE_CONFIG_FIELD_RANGE, &at,
					"config.json: \"architectures\" has %s, which is %s, and model_type is that of %s",
					(*f)->architecture, (*f)->what, is->what);
	}
}

static void renamed(const struct meaning *m)
{
	const struct report_place at = { .file = "config.json" };

	if (m->o && !json_object_get(m->o, "compress_ratios") &&
		(json_object_get(m->o, "layer_types") || json_object_get(m->o, "compress_rates")))
		report_add(m->r, RULE_CONFIG_DIALECT, &at,
			"config.json: transformers wrote layer_types and compress_rates in place of compress_ratios");
}

void meaning_config(const struct meaning *m)
{
	renamed(m);
	architectures(m);
	tied(m);
}

void meaning_judge(const struct meaning *m)
{
	static void (*const checks[])(const struct meaning *) = { instead, draft, quant_fields,
		excluded, meaning_config };
	size_t i;

	for (i = 0; i < sizeof checks / sizeof *checks; i++)
		checks[i](m);
}
