/* ck.h -- for tests: a checkpoint in memory, to be changed and written again.
 *
 * Shards that nothing was changed in are linked; index and config.json are made anew where they were.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_CK_H
#define TESTS_CK_H
#include "tests/set.h"
#include "verify/doctor/doctor.h"

enum { CK_SHARDS = 16, CK_TENSORS = 2048 };

struct ck_tensor {
	char name[120], type[16];
	unsigned rank, shard;
	uint64_t dim[3];
	uint8_t *p; /* owns */
	size_t n;
	bool gone;
};

struct ck {
	const char *from;
	char shard[CK_SHARDS][64];
	bool dirty[CK_SHARDS];
	size_t n_shards, n;
	struct ck_tensor t[CK_TENSORS];
	json_t *config; /* owns */
	bool new_config, old_index;
};

static inline void ck_shard(struct ck *c, const char *name)
{
	size_t n, k;
	uint8_t *f = file_get_all(model_file(c->from, name).s, &n);
	uint64_t len = 0;
	json_t *h, *v;
	const char *key;

	memcpy(&len, f, 8);
	h = json_loadb((char *)f + 8, (size_t)len, 0, NULL);
	if (!h || c->n_shards == CK_SHARDS)
		exit(2);
	snprintf(c->shard[c->n_shards], sizeof c->shard[0], "%.60s", name);
	json_object_foreach(h, key, v)
	{
		struct ck_tensor *t = &c->t[c->n];
		json_t *dim = json_object_get(v, "shape"), *at = json_object_get(v, "data_offsets");
		uint64_t from = (uint64_t)json_integer_value(json_array_get(at, 0));

		if (!strcmp(key, "__metadata__"))
			continue;
		if (c->n++ == CK_TENSORS)
			exit(2);
		memset(t, 0, sizeof *t);
		snprintf(t->name, sizeof t->name, "%s", key);
		snprintf(t->type, sizeof t->type, "%s",
			json_string_value(json_object_get(v, "dtype")));
		t->shard = (unsigned)c->n_shards;
		t->rank = (unsigned)json_array_size(dim);
		for (k = 0; k < t->rank && k < 3; k++)
			t->dim[k] = (uint64_t)json_integer_value(json_array_get(dim, k));
		t->n = (size_t)((uint64_t)json_integer_value(json_array_get(at, 1)) - from);
		t->p = malloc(t->n + 1);
		memcpy(t->p, f + 8 + len + from, t->n);
	}
	json_decref(h);
	free(f);
	c->n_shards++;
}

static inline struct ck *ck_load(const char *from)
{
	struct ck *c = calloc(1, sizeof *c);
	struct dirent **d;
	int n = scandir(from, &d, NULL, alphasort), i;

	c->from = from;
	for (i = 0; i < n; i++) {
		size_t len = strlen(d[i]->d_name);

		if (len > 12 && !strcmp(d[i]->d_name + len - 12, ".safetensors"))
			ck_shard(c, d[i]->d_name);
		free(d[i]);
	}
	free(d);
	if (is_file(model_file(from, "config.json").s))
		c->config = load(from, "config.json");
	return c;
}

static inline void ck_free(struct ck *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		free(c->t[i].p);
	json_decref(c->config);
	free(c);
}

static inline bool ck_ends(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* The i-th tensor whose name contains a and ends with b (NULL: any); NULL after the last. Its shard will be
 * written anew. */
static inline struct ck_tensor *ck_next(struct ck *c, size_t *i, const char *a, const char *b)
{
	for (; *i < c->n; ++*i) {
		struct ck_tensor *t = &c->t[*i];

		if (!t->gone && (!a || strstr(t->name, a)) && (!b || ck_ends(t->name, b))) {
			c->dirty[t->shard] = true;
			++*i;
			return t;
		}
	}
	return NULL;
}

static inline struct ck_tensor *ck_get(struct ck *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (!strcmp(c->t[i].name, name)) {
			c->dirty[c->t[i].shard] = true;
			return &c->t[i];
		}
	fprintf(stderr, "no tensor %s\n", name);
	exit(2);
}

/* Another type (NULL: the same), that many dimensions, bytes; what is new repeats what was there. */
static inline void ck_retype(struct ck_tensor *t, const char *type, uint64_t a, uint64_t b,
	size_t n)
{
	uint8_t *p = malloc(n + 1);
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = t->p[i % t->n];
	free(t->p);
	t->p = p;
	t->n = n;
	t->dim[0] = a;
	t->dim[1] = b;
	t->rank = b ? 2 : 1;
	if (type)
		snprintf(t->type, sizeof t->type, "%s", type);
}

static inline void ck_write_shard(const struct ck *c, unsigned s, const char *dir)
{
	struct text head = { 0 };
	uint64_t at = 0;
	size_t i, len;
	unsigned k;
	FILE *f;

	text_str(&head, "{");
	for (i = 0; i < c->n; i++) {
		const struct ck_tensor *t = &c->t[i];

		if (t->shard != s || t->gone)
			continue;
		text_fmt(&head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", at ? "," : "", t->name,
			t->type);
		for (k = 0; k < t->rank; k++)
			text_fmt(&head, "%s%llu", k ? "," : "", (unsigned long long)t->dim[k]);
		text_fmt(&head, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
			(unsigned long long)(at + t->n));
		at += t->n;
	}
	text_str(&head, "}");
	while (head.n % 8)
		text_str(&head, " ");
	len = head.n;
	f = fopen(model_file(dir, c->shard[s]).s, "wb");
	if (!f || fwrite(&len, 1, 8, f) != 8 || fwrite(head.s, 1, len, f) != len)
		exit(2);
	for (i = 0; i < c->n; i++)
		if (c->t[i].shard == s && !c->t[i].gone &&
			fwrite(c->t[i].p, 1, c->t[i].n, f) != c->t[i].n)
			exit(2);
	fclose(f);
	text_free(&head);
}

static inline void ck_write_index(const struct ck *c, const char *dir)
{
	struct text t = { 0 };
	uint64_t total = 0;
	size_t i, n = 0;

	for (i = 0; i < c->n; i++)
		total += c->t[i].gone ? 0 : c->t[i].n;
	text_fmt(&t, "{\"metadata\":{\"total_size\":%llu},\"weight_map\":{",
		(unsigned long long)total);
	for (i = 0; i < c->n; i++)
		if (!c->t[i].gone)
			text_fmt(&t, "%s\n\"%s\":\"%s\"", n++ ? "," : "", c->t[i].name,
				c->shard[c->t[i].shard]);
	text_str(&t, "}}\n");
	model_put(dir, CKPT_INDEX, t.s, t.n);
	text_free(&t);
}

/* Into a new folder. */
static inline struct path ck_write(const struct ck *c, const char *name)
{
	struct path to = model_copy(c->from, name);
	bool any = false;
	unsigned s;
	char *text;

	for (s = 0; s < c->n_shards; s++) {
		if (!c->dirty[s])
			continue;
		any = true;
		unlink(model_file(to.s, c->shard[s]).s);
		ck_write_shard(c, s, to.s);
	}
	if (any && !c->old_index && is_file(model_file(to.s, CKPT_INDEX).s))
		ck_write_index(c, to.s);
	if (c->new_config) {
		text = json_dumps(c->config, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
		model_put(to.s, "config.json", text, strlen(text));
		free(text);
	}
	return to;
}

/* The model with the change, in a folder of that name; what was there before is gone. */
static inline struct path ck_changed(const char *model, void (*change)(struct ck *c),
	const char *name)
{
	struct ck *c = ck_load(model);
	struct path p;

	change(c);
	dirs_remove(dirs_path(name).s);
	p = ck_write(c, name);
	ck_free(c);
	return p;
}

/* config.json without the member, or with it as that JSON. */
static inline void ck_config(struct ck *c, const char *key, const char *value)
{
	c->new_config = true;
	if (!value)
		json_object_del(c->config, key);
	else if (json_object_set_new(c->config, key, json_loads(value, JSON_DECODE_ANY, NULL)))
		exit(2);
}

/* Runs dsv4-verify doctor; *r is to be freed. The exit status. */
static inline int ck_doctor(struct report *r, const char *dir, const char *engine, const char *fix,
	bool full)
{
	struct doctor_opts o = { .io = io_posix(),
		.engine = engine,
		.fix_config = fix,
		.full = full,
		.threads = 2,
		.features = cpu_features() };
	struct err e = { 0 };

	report_begin(r, "test 0", "doctor", dir, NULL);
	if (doctor_run(r, dir, &o, &e))
		report_take(r, NULL, &(struct err){ .kind = e.kind, .rule = e.rule, .pos = e.pos });
	else
		report_finish(r, &e);
	return err_exit_code(&e);
}
#endif
