/* SPDX-License-Identifier: MIT */
#include "convert/plan/shard_config.h"

#include "core/file.h"
#include "core/hash/sha1.h"
#include "core/hash/xxh.h"
#include "core/text.h"
#include "formats/format_id.h"
#include "formats/model/sglang_name.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAP = 64 << 20, RANKS_MAX = 1024 };

static int bad(struct err *e, const char *what)
{
	return err_rule(e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS, "--shard-config: %s", what);
}

/* --- reading --- */

static json_t *load(const struct io *io, const char *path, struct err *e)
{
	struct text t = { 0 };
	json_error_t at;
	json_t *doc;

	if (file_load(io, AT_FDCWD, path, CAP, &t, e)) {
		text_free(&t);
		return NULL;
	}
	doc = json_loadb(t.s ? t.s : "", t.n, JSON_REJECT_DUPLICATES, &at);
	text_free(&t);
	if (!doc)
		err_rule(e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS, "--shard-config: line %d: %s",
			at.line, at.text);
	return doc;
}

/* A member of shard_config that is a number from 1 on. */
static bool number(const json_t *c, const char *key, uint64_t *v)
{
	const json_t *x = json_object_get(c, key);

	if (!json_is_integer(x) || json_integer_value(x) < 1 || json_integer_value(x) > RANKS_MAX)
		return false;
	*v = (uint64_t)json_integer_value(x);
	return true;
}

/* What has to be so for the ranks to share weights as they are written. */
static const struct {
	const char *key, *want; /* as JSON; NULL ends */
} fixed[] = {
	{ "dp", "1" },
	{ "pp", "1" },
	{ "moe_dp_size", "1" },
	{ "moe_dense_tp_size", "null" },
	{ "enable_dp_lm_head", "false" },
	{ "enable_fp32_lm_head", "false" },
	{ "ep_num_redundant_experts", "0" },
	{ "enable_eplb", "false" },
	{ NULL, NULL },
};

static int check_fixed(const json_t *c, struct err *e)
{
	char *is;
	size_t i;
	int rc;

	for (i = 0; fixed[i].key; i++) {
		is = json_dumps(json_object_get(c, fixed[i].key), JSON_ENCODE_ANY);
		rc = is && !strcmp(is, fixed[i].want) ? 0 : -1;
		if (rc)
			err_rule(e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS,
				"--shard-config: the launch has %s %s, only %s is written",
				fixed[i].key, is ? is : "not at all", fixed[i].want);
		free(is);
		if (rc)
			return -1;
	}
	return 0;
}

/* How many ranks there are, and how they share experts. */
static int settle(struct shard_config *s, const json_t *c, struct err *e)
{
	uint64_t ep;

	if (!number(c, "tp", &s->ranks) || !number(c, "ep", &ep))
		return bad(e, "shard_config has no tp or ep");
	if (ep != 1 && ep != s->ranks)
		return bad(e, "ep is neither 1 nor tp: groups of ranks are not written");
	s->experts_tp = ep == 1;
	return check_fixed(c, e);
}

/* The name of the folder is the hash that SGLang makes of shard_config. */
static int check_name(struct shard_config *s, const json_t *c, struct err *e)
{
	const char *said = json_string_value(json_object_get(s->doc, "subfolder"));
	uint8_t sha[20];
	char hex[41];

	s->text = json_dumps(c, JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	if (!s->text)
		return err_nomem(e);
	if (sha1_of(s->text, strlen(s->text), sha, e))
		return -1;
	hex_of(sha, sizeof sha, hex);
	snprintf(s->folder, sizeof s->folder, "TP-%llu-sig-%.16s", (unsigned long long)s->ranks,
		hex);
	if (said && !strcmp(said, s->folder))
		return 0;
	return err_rule(e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS,
		"--shard-config: subfolder is %s, and %s follows from shard_config: it was edited, or is of another SGLang",
		said ? text_quote(said).s : "not there", s->folder);
}

/* Names and forms of parameters are those of one version on one kind of GPU: sglang_name.h. */
static const struct {
	const char *key, *want;
} written[] = { { "sglang", SGLANG_VERSION }, { "device", SGLANG_DEVICE } };

static int check_written(const struct shard_config *s, struct err *e)
{
	const char *is;
	size_t i;

	for (i = 0; i < sizeof written / sizeof *written; i++) {
		is = json_string_value(json_object_get(s->doc, written[i].key));
		if (!is || strcmp(is, written[i].want) != 0)
			return err_rule(e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS,
				"--shard-config: it is of %s %s, and parameters are written as %s has them: run loaders/sglang_probe.py there",
				written[i].key, is ? text_quote(is).s : "nothing", written[i].want);
	}
	return 0;
}

static int check(struct shard_config *s, struct err *e)
{
	const json_t *c = json_object_get(s->doc, "shard_config");
	const char *id = json_string_value(json_object_get(s->doc, "schema"));

	if (!id || strcmp(id, FORMAT_SGLANG) != 0)
		return bad(e,
			"it is no " FORMAT_SGLANG
			": loaders/sglang_probe.py writes one, where SGLang runs");
	s->experts = json_string_value(json_object_get(s->doc, "experts"));
	if (!json_is_object(c) || !s->experts ||
		!json_is_object(json_object_get(s->doc, "parameters")))
		return bad(e, "it has no shard_config, experts or parameters");
	if (check_written(s, e))
		return -1;
	return settle(s, c, e) || check_name(s, c, e) ? -1 : 0;
}

int shard_config_read(struct shard_config *s, const struct io *io, const char *path, struct err *e)
{
	*s = (struct shard_config){ .doc = load(io, path, e) };
	if (s->doc && !check(s, e))
		return 0;
	shard_config_free(s);
	return -1;
}

void shard_config_free(struct shard_config *s)
{
	json_decref(s->doc);
	free(s->text);
	*s = (struct shard_config){ 0 };
}

/* --- parameters --- */

static const json_t *parameters(const struct shard_config *s)
{
	return json_object_get(s->doc, "parameters");
}

bool shard_config_find(const struct shard_config *s, const char *name, const char **dtype,
	uint64_t dim[8], unsigned *rank)
{
	const json_t *p = json_object_get(parameters(s), name),
		     *shape = json_object_get(p, "shape"), *d;
	size_t i;

	*dtype = json_string_value(json_object_get(p, "dtype"));
	if (!*dtype || !json_is_array(shape) || json_array_size(shape) > 8)
		return false;
	*rank = (unsigned)json_array_size(shape);
	for (i = 0; i < *rank; i++) {
		d = json_array_get(shape, i);
		if (!json_is_integer(d) || json_integer_value(d) < 0)
			return false;
		dim[i] = (uint64_t)json_integer_value(d);
	}
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *shard_config_other(const struct shard_config *s, const char *const *names, size_t n)
{
	void *at = json_object_iter((json_t *)parameters(s));
	const char *key;

	for (; at; at = json_object_iter_next((json_t *)parameters(s), at)) {
		key = json_object_iter_key(at);
		if (!n || !bsearch(&key, names, n, sizeof *names, by_text))
			return key;
	}
	return NULL;
}
